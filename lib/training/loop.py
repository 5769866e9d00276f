"""The training loop: one for every device, precision and objective, on lightning-fabric."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lib.data.split import Split
from lib.data.windows import WindowBatch, WindowParams, Windows
from lib.objectives.base import Objective, Step, Terms
from lib.runtime.console import Console
from lib.runtime.console import Progress as Bar
from lib.runtime.errors import UserError
from lib.runtime.group import Group
from lib.runtime.tensorboard import Board
from lib.runtime.threads import ThreadTuner
from lib.runtime.timing import timed
from lib.training.monitor import Monitor
from lib.training.nonfinite import FiniteSteps, guarded
from lib.training.optimization import Rates, Schedule, build_optimizer, build_schedule
from lib.training.params import TrainingParams
from lib.training.shards import (
    MeanGradient,
    Shard,
    ShardSetup,
    average_learned,
    average_terms,
    check_same_weights,
)
from lib.training.state import OfferState, Progress, TrainingState

PICTURES = 5  # of poses, over a whole run
SHOWN = 6  # windows in a picture
VALIDATION_STEPS = 16
VALIDATION_WINDOWS = 1024
LOG_EVERY = 10  # steps between readings of the losses, each of which waits for the device


def held_out_clips(split: Split, window: WindowParams) -> WindowBatch:
    """The clips that training validates on, evenly spaced over those of a split that show somebody."""
    clips = Windows(split, window.clip, detected_only=True)
    return clips[clips.evenly_spaced(VALIDATION_WINDOWS // window.middles)]


class TrainingSetup(NamedTuple):
    """What is learned."""

    shards: Sequence[ShardSetup]  # those of this process, on clips of the training subjects
    validation: WindowBatch


class RunContext(NamedTuple):
    """Where training runs, and who is told."""

    fabric: Fabric
    console: Console
    board: Board
    seed: int
    tuner: ThreadTuner | None = None  # changes the number of threads on the way, which is fixed without it
    keep: Callable[[Progress, torch.nn.Module], None] | None = None  # is handed the averaged model after validations
    resume: TrainingState | None = None  # what to go on from; None: from the beginning
    offer_state: OfferState | None = None  # is asked after each epoch
    group: Group = Group()  # the processes that train together, of which the first has the console, board and states
    monitor: Monitor | None = None  # of speed


def fit(
    model: torch.nn.Module,
    setup: TrainingSetup,
    params: TrainingParams,
    context: RunContext,
    rates: Rates | None = None,
) -> Progress:
    """Train a model and return its averaged weights, best and last, with the curves.

    The best weights are those with the lowest validation loss, which reads no label unless the objective does; with a
    `patience`, training stops when that has not fallen for as many validations. `rates` are factors of single
    parameters' learning rates.

    Raises:
        UserError: a validation loss is not finite; before any training, the data are its cause.
    """
    fabric, console, board, seed, tuner, keep, resume, offer_state, group, monitor = context
    monitor = monitor or Monitor(fabric.device, console.announce)
    objective = setup.shards[0].objective
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(params.ema_decay)).to(fabric.device)
    averaged.eval()
    scaled = bool(fabric.strategy.precision.state_dict())  # losses are, in float16
    fused = fabric.device.type == "cpu" or (fabric.device.type == "cuda" and not scaled)
    optimizer = build_optimizer(model, params.optimizer, params.lr, params.weight_decay, fused, rates)
    schedule = build_schedule(optimizer, params.schedule, params.epochs * params.steps_per_epoch)
    student, wrapped = fabric.setup(model, optimizer)
    validation = setup.validation.to(fabric.device)
    resume = group.broadcast(resume)
    if resume is None and group.first:
        _check_untrained(validate(averaged.module, objective, validation, params)["validation/total"])
    shards = [Shard(part, params.shards, seed, fabric.device) for part in setup.shards]
    run = _Run(fabric, model, student, averaged, shards, wrapped, schedule, params, tuner, group)
    done, progress, started = 0, Progress(), time.monotonic()
    if resume is not None:
        done, progress = resume.epochs, run.restore(resume)
        started -= progress.seconds
        for row in progress.rows:
            board.scalars(row, int(row["step"]))
    steps = FiniteSteps(optimizer, progress, scaled, console.announce)
    monitor.start()

    with console.progress(params.epochs, params.steps_per_epoch, done) as bar:
        for epoch in range(done + 1, params.epochs + 1):
            if progress.is_stale(params):
                console.announce(f"stopped early: the validation loss has not fallen since step {progress.best_step}")
                break
            row = _train_epoch(run, epoch, progress, bar, steps, monitor)
            if epoch % params.validate_every == 0 or epoch == params.epochs:
                check_same_weights(averaged, group)
                row |= group.broadcast(validate(averaged.module, objective, validation, params) if group.first else {})
                progress.keep_best(row["validation/total"], averaged.module)
                if keep is not None:
                    keep(progress, averaged.module)
            schedule.step(row.get("validation/total"))
            progress.rows.append(row)
            bar.epoch(epoch, {"loss": row["train/total"], "validation": row.get("validation/total", math.nan)})
            skipped = {"train/skipped_steps": progress.skipped} if progress.skipped else {}
            board.scalars({**row, **skipped, **monitor.epoch(epoch)}, progress.step)
            if board.draws and (epoch == params.epochs or epoch % max(1, params.epochs // PICTURES) == 0):
                shown = torch.linspace(0, len(validation.rays) - 1, SHOWN).long()
                board.picture(objective.examples(averaged.module, validation.take(shown)), progress.step)
            progress.seconds = time.monotonic() - started
            states = group.gather_values([shard.state() for shard in shards])  # all take part, whoever writes them
            if offer_state is not None:
                ends = epoch == params.epochs or progress.is_stale(params)
                offer_state(partial(run.state, epoch, progress, states), ends)
    progress.last = averaged.module.state_dict()
    group.leave()
    return progress


def _check_untrained(loss: float) -> None:
    if not math.isfinite(loss):
        raise UserError(
            f"before any training the validation loss is {loss}: its cause is in the 2D of the validation "
            "subjects (data/processed/stats.json describes it) or in the model's first weights, not in the training"
        )


@dataclass(frozen=True)
class _Run:
    """What the steps of a run work with."""

    fabric: Fabric
    model: torch.nn.Module
    student: torch.nn.Module  # the model, wrapped by fabric
    averaged: AveragedModel  # its averaged weights, the teacher
    shards: Sequence[Shard]  # those of this process
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    params: TrainingParams
    tuner: ThreadTuner | None
    group: Group

    def state(self, epochs: int, progress: Progress, shards: list[dict[str, Any]]) -> TrainingState:
        """All that the run is after so many epochs."""
        return TrainingState(
            epochs=epochs,
            model=self.model.state_dict(),
            averaged=self.averaged.state_dict(),
            optimizer=self.optimizer.state_dict(),
            precision=self.fabric.strategy.precision.state_dict(),
            shards=shards,
            progress=progress,
        )

    def restore(self, state: TrainingState) -> Progress:
        """Be what another run was, before any step of this one; returns what that one had come to.

        The schedule is this run's, whose rates by then are played again: where the run is longer, they are others.
        """
        for row in state.progress.rows:
            for _ in range(self.params.steps_per_epoch - 1):
                self.schedule.step()
            self.schedule.step(row.get("validation/total"))
        rates = [group["lr"] for group in self.optimizer.param_groups]
        try:
            self.model.load_state_dict(state.model)
            self.averaged.load_state_dict(state.averaged)
            self.optimizer.load_state_dict(state.optimizer)
            for shard in self.shards:
                shard.restore(state.shards[shard.number])
        except (RuntimeError, ValueError, LookupError) as error:
            raise UserError(f"the state does not fit the model: {' '.join(str(error).split())[:200]}") from None
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.fabric.strategy.precision.load_state_dict(state.precision)
        return state.progress


def _train_epoch(
    run: _Run, epoch: int, progress: Progress, bar: Bar, finite: FiniteSteps, monitor: Monitor
) -> dict[str, float]:
    """One epoch of steps; returns its row of the curves."""
    params, shards, teacher, began = run.params, run.shards, run.averaged.module, time.monotonic()
    windows = params.shards * shards[0].objective.windows
    monitor.steps_begin("drawn" if epoch <= params.prior_epochs else "all")
    for shard in shards:
        shard.before_epoch(teacher, epoch)
    if params.shards > 1:
        average_learned(shards, run.group)
    steps = islice(zip(*(shard.steps(teacher, epoch) for shard in shards), strict=True), params.steps_per_epoch)
    recent: list[dict[str, Tensor]] = []
    gradient = MeanGradient(run.model.parameters(), params.shards, run.group)
    run.student.train()
    for step, parts in enumerate(run.tuner.timed(steps) if run.tuner else steps, start=1):
        terms = _step(run, parts, gradient, finite)
        if step < params.steps_per_epoch:  # the last one waits for the validation
            run.schedule.step()
        progress.step += 1
        progress.poses += windows
        monitor.step(windows)
        if step % LOG_EVERY == 0 or step == params.steps_per_epoch:
            read = average_terms(terms, run.group)
            with timed("model"):  # an accelerator is waited for
                values = {name: float(value) for name, value in read.items()}
            recent += [read] if all(map(math.isfinite, values.values())) else []
            bar.step(windows, values)
            finite.count()
        else:
            bar.step(windows)
    monitor.steps_end()
    progress.training_seconds += time.monotonic() - began
    return {
        "step": float(progress.step),
        "lr": run.optimizer.param_groups[0]["lr"],
        **_mean(recent or [dict.fromkeys(values, torch.tensor(math.nan))], "train"),
    }


@timed("model")
def _step(run: _Run, parts: Sequence[Step], gradient: MeanGradient, finite: FiniteSteps) -> list[Terms]:
    """Forward, backward and optimizer; returns the terms of each shard."""
    run.optimizer.zero_grad()
    terms = [_backward(run, shard, part, gradient) for shard, part in zip(run.shards, parts, strict=True)]
    gradient.put()
    if finite.allows(_clipped_norm(run)):
        run.optimizer.step()
        run.averaged.update_parameters(run.student)
    return terms


def _clipped_norm(run: _Run) -> Tensor:
    """The norm of the gradient, which is clipped by then if it is to be."""
    largest = run.params.gradient_clip
    if largest == 0:
        return get_total_norm([part.grad for part in run.model.parameters() if part.grad is not None])
    norm = run.fabric.clip_gradients(run.student, run.optimizer, max_norm=largest, error_if_nonfinite=False)
    assert norm is not None  # it is a norm that was to be clipped
    return norm


def _backward(run: _Run, shard: Shard, step: Step, gradient: MeanGradient) -> Terms:
    """Add the gradients of a shard's part of a step, and return its terms with their total."""
    with shard.turn():
        terms = step(run.student)
        loss = shard.objective.total(terms)
        run.fabric.backward(guarded(loss))
    gradient.add()
    return {**terms, "total": loss}


@timed("validation", whole=True)
@torch.inference_mode()
def validate(
    model: torch.nn.Module, objective: Objective, clips: WindowBatch, params: TrainingParams
) -> dict[str, float]:
    """The objective's terms on the validation subjects' 2D and on draws of the prior as it is by then.

    No label is read, unless the objective does. What is corrupted and drawn is the same every time, and so is the loss
    of the same model: the objective remembers nothing from one validation to the next.
    """
    objective = objective.for_validation()
    generator = torch.Generator(clips.rays.device).manual_seed(0)
    measured = []
    steps = objective.steps(model, iter([clips]), params.epochs + 1, generator)
    for terms_of in islice(steps, VALIDATION_STEPS):
        terms = terms_of(model)
        measured.append({**terms, "total": objective.total(terms)})
    return _mean(measured, "validation")


def _mean(rows: list[dict[str, Tensor]], prefix: str) -> dict[str, float]:
    return {f"{prefix}/{name}": float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}
