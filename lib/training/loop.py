"""The training loop: one for every device, precision and objective, on lightning-fabric."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lib.data.split import Split
from lib.data.windows import WindowBatch, WindowParams, Windows
from lib.objectives.base import Examples, Objective
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.hardware import Hardware
from lib.runtime.tensorboard import Board
from lib.runtime.timing import timed
from lib.training.monitor import Monitor
from lib.training.nonfinite import FiniteSteps
from lib.training.optimization import Rates, build_optimizer, build_schedule
from lib.training.params import TrainingParams
from lib.training.shards import Shard, ShardSetup, check_same_weights
from lib.training.state import OfferState, Progress, TrainingState
from lib.training.steps import Run, Told, mean_terms, train_epoch

PICTURES = 5  # of poses, over a whole run
SHOWN = 6  # windows in a picture
VALIDATION_STEPS = 16
VALIDATION_WINDOWS = 1024


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

    hardware: Hardware  # of several processes that train together, the first has the console, board and states
    console: Console
    board: Board
    seed: int
    keep: Callable[[Progress, torch.nn.Module], None] | None = None  # is handed the averaged model after validations
    resume: TrainingState | None = None  # what to go on from; None: from the beginning
    offer_state: OfferState | None = None  # is asked after each epoch, and within long ones
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
    hardware, console, board, seed, keep, resume, offer_state, monitor = context
    fabric, group = hardware.fabric, hardware.group
    monitor = monitor or Monitor(fabric.device, console.announce)
    objective = setup.shards[0].objective
    averaged = _averaged(model, params.ema_decay, fabric.device)
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
    run = Run(fabric, model, student, averaged, shards, wrapped, schedule, params, hardware.tuner, group)
    done, progress = 0, Progress()
    if resume is not None:
        done, progress = resume.epochs, run.restore(resume)
        for row in progress.rows:
            board.scalars(row, int(row["step"]))
    finite = FiniteSteps(optimizer, progress, scaled, console.announce)
    monitor.start()
    started = time.monotonic() - progress.seconds

    def offer(epochs: int, ends: bool = False) -> None:
        progress.seconds = time.monotonic() - started
        states = group.gather_values([shard.state() for shard in shards])  # all take part, whoever writes them
        if offer_state is not None:
            offer_state(partial(run.state, epochs, progress, states), ends)

    with console.progress(params.epochs, params.steps_per_epoch, done, run.within(progress, done)) as bar:
        told = Told(progress, bar, finite, monitor)
        for epoch in range(done + 1, params.epochs + 1):
            if progress.is_stale(params):
                console.announce(f"stopped early: the validation loss has not fallen since step {progress.best_step}")
                break
            row = train_epoch(run, epoch, told, partial(offer, epoch - 1))
            if epoch % params.validate_every == 0 or epoch == params.epochs:
                check_same_weights(averaged, group)
                row |= group.broadcast(validate(averaged.module, objective, validation, params) if group.first else {})
                progress.keep_best(row["validation/total"], averaged.module)
                if keep is not None:
                    keep(progress, averaged.module)
            schedule.step(row.get("validation/total"))
            progress.rows.append(row)
            bar.epoch(epoch, {"loss": row["train/total"], "validation": row.get("validation/total", math.nan)})
            board.scalars({**row, **_skipped(progress), **monitor.epoch(epoch)}, progress.step)
            if board.draws and (epoch == params.epochs or epoch % max(1, params.epochs // PICTURES) == 0):
                board.picture(_examples(averaged.module, objective, validation), progress.step)
            offer(epoch, epoch == params.epochs or progress.is_stale(params))
    progress.last = averaged.module.state_dict()
    group.leave()
    return progress


def _averaged(model: torch.nn.Module, decay: float, device: torch.device) -> AveragedModel:
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)).to(device)
    averaged.eval()
    return averaged


def _examples(model: torch.nn.Module, objective: Objective, clips: WindowBatch) -> Examples:
    shown = torch.linspace(0, len(clips.rays) - 1, SHOWN).long()
    return objective.examples(model, clips.take(shown))


def _skipped(progress: Progress) -> dict[str, float]:
    return {"train/skipped_steps": float(progress.skipped)} if progress.skipped else {}


def _check_untrained(loss: float) -> None:
    if not math.isfinite(loss):
        raise UserError(
            f"before any training the validation loss is {loss}: its cause is in the 2D of the validation "
            "subjects (data/processed/stats.json describes it) or in the model's first weights, not in the training"
        )


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
    return mean_terms(measured, "validation")
