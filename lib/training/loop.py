"""The training loop: one for every device, precision and objective, on lightning-fabric."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Literal, NamedTuple

import torch
from lightning_fabric import Fabric
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lib.data.store import Split
from lib.data.windows import WindowBatch, WindowParams, Windows
from lib.objectives.base import REFRESH, Batches, Objective
from lib.objectives.catalog import OBJECTIVES
from lib.runtime.console import Console
from lib.runtime.console import Progress as Bar
from lib.runtime.errors import UserError
from lib.runtime.params import DeviceName, FileName, Section
from lib.runtime.tensorboard import Board
from lib.runtime.threads import ThreadTuner
from lib.training.optimization import Rates, Schedule, ScheduleParams, build_optimizer, build_schedule

NEW_WEIGHTS = "none"  # the `start` of most runs
Epochs = Annotated[int, Field(ge=1, le=10_000)]
Steps = Annotated[int, Field(ge=1, le=100_000)]  # of an epoch
BatchSize = Annotated[int, Field(ge=1, le=32_768)]
LearningRate = Annotated[float, Field(gt=0, le=10)]
VIEWS = 4  # how often training sees a window before the next clips, from different sides
PICTURES = 5  # of poses, over a whole run
SHOWN = 6  # windows in a picture
VALIDATION_STEPS = 16
VALIDATION_WINDOWS = 1024
LOG_EVERY = 10  # steps between readings of the losses, each of which waits for the device


def _known(objective: str) -> str:
    if objective not in OBJECTIVES:
        raise ValueError(f"must be one of {', '.join(OBJECTIVES)}")
    return objective


class TrainingParams(Section):
    """`training`."""

    objective: Annotated[str, AfterValidator(_known)]  # one of lib.objectives.catalog.OBJECTIVES
    start: FileName  # of a checkpoint in data/starts; none: new weights
    device: DeviceName
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]
    epochs: Epochs
    steps_per_epoch: Steps
    batch_size: BatchSize  # windows of real 2D in a step
    prior_batch_size: BatchSize  # windows of the prior in a step
    prior_epochs: Annotated[int, Field(ge=0, le=10_000)]  # first epochs, which see the prior alone
    constant_bone_lengths: bool  # bones of its poses keep the lengths that they have in all of a recording
    optimizer: Literal["adamw", "adam", "sgd"]
    lr: LearningRate
    weight_decay: Annotated[float, Field(ge=0, le=10)]
    schedule: ScheduleParams
    gradient_clip: Annotated[float, Field(ge=0, le=1_000_000)]  # largest norm; 0 turns it off
    ema_decay: Annotated[float, Field(ge=0, lt=1)]  # of the averaged weights that are validated and kept
    validate_every: Epochs
    patience: Annotated[int, Field(ge=0, le=10_000)]  # validations without a better loss until training stops; 0: never
    debug: bool  # a run of seconds, to see that everything works

    @property
    def origin(self) -> str:
        """What training starts from, in words."""
        return "new weights" if self.start == NEW_WEIGHTS else self.start

    @property
    def batches(self) -> Batches:
        """The windows of a step."""
        return Batches(self.batch_size, self.prior_batch_size, self.prior_epochs)

    def clips(self, window: WindowParams) -> int:
        """How many clips the loader gives at a time, from which REFRESH steps take their windows."""
        return max(1, REFRESH * self.batch_size // (window.middles * VIEWS))

    def shortened(self) -> "TrainingParams":
        """These params, or with `debug` those of a run of seconds."""
        if not self.debug:
            return self
        tiny = {
            "epochs": 2,
            "prior_epochs": min(self.prior_epochs, 1),
            "steps_per_epoch": 5,
            "batch_size": 16,
            "prior_batch_size": 16,
            "validate_every": 1,
        }
        return self.model_copy(update=tiny)


@dataclass
class Progress:
    """What a training run has come to."""

    step: int = 0
    best_step: int = 0
    best_loss: float = float("inf")
    last_loss: float = float("inf")
    best: dict[str, Tensor] = field(default_factory=dict)  # weights with the best validation loss
    last: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)  # a row an epoch, for plots/training.csv
    poses: int = 0
    training_seconds: float = 0.0  # of the steps alone
    seconds: float = 0.0  # with validation

    def is_stale(self, params: TrainingParams) -> bool:
        """Whether the validation loss has not fallen for `patience` validations."""
        waited = self.step - self.best_step
        return 0 < params.patience * params.validate_every * params.steps_per_epoch <= waited

    def kept(self, params: TrainingParams) -> tuple[Mapping[str, Tensor], int, float]:
        """Weights, step and validation loss of what a run hands on: its end, or its best if it may stop early."""
        if params.patience > 0:
            return self.best, self.best_step, self.best_loss
        return self.last, self.step, self.last_loss

    def keep_best(self, loss: float, model: torch.nn.Module) -> None:
        """Remember a model's weights if its validation loss is the lowest so far.

        Raises:
            UserError: the loss is not finite.
        """
        if not math.isfinite(loss):
            raise UserError(
                f"training diverged: the loss at step {self.step} is {loss}; "
                "lower training.lr, or finetune.lr while fine-tuning"
            )
        self.last_loss = loss
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            self.best = copy.deepcopy(model.state_dict())


def held_out_clips(split: Split, window: WindowParams) -> WindowBatch:
    """The clips that training validates on, evenly spaced over those of a split that show somebody."""
    clips = Windows(split, window.clip, detected_only=True)
    return clips[clips.evenly_spaced(VALIDATION_WINDOWS // window.middles)]


class TrainingSetup(NamedTuple):
    """What is learned, and from which clips."""

    objective: Objective
    clips: Iterable[WindowBatch]  # of the training subjects, without end
    validation: WindowBatch


class RunContext(NamedTuple):
    """Where training runs, and who is told."""

    fabric: Fabric
    console: Console
    board: Board
    seed: int
    tuner: ThreadTuner | None = None  # changes the number of threads on the way, which is fixed without it
    keep: Callable[[Progress, torch.nn.Module], None] | None = None  # is handed the averaged model after validations


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
    fabric, console, board, seed, tuner, keep = context
    objective = setup.objective
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(params.ema_decay)).to(fabric.device)
    averaged.eval()
    fused = fabric.device.type == "cpu"
    optimizer = build_optimizer(model, params.optimizer, params.lr, params.weight_decay, fused, rates)
    schedule = build_schedule(optimizer, params.schedule, params.epochs * params.steps_per_epoch)
    student, optimizer = fabric.setup(model, optimizer)
    generator = torch.Generator(fabric.device).manual_seed(seed)
    run = _Run(fabric, student, averaged, objective, optimizer, schedule, generator, params, tuner)
    validation = setup.validation.to(fabric.device)
    untrained = validate(averaged.module, objective, validation, params)["validation/total"]
    if not math.isfinite(untrained):
        raise UserError(
            f"before any training the validation loss is {untrained}: its cause is in the 2D of the validation "
            "subjects (data/processed/stats.json describes it) or in the model's first weights, not in the training"
        )
    progress, stream, started = Progress(), (some.to(fabric.device) for some in setup.clips), time.monotonic()

    with console.progress(params.epochs, params.steps_per_epoch) as bar:
        for epoch in range(1, params.epochs + 1):
            row = _train_epoch(run, stream, epoch, progress, bar)
            if epoch % params.validate_every == 0 or epoch == params.epochs:
                row |= validate(averaged.module, objective, validation, params)
                progress.keep_best(row["validation/total"], averaged.module)
                if keep is not None:
                    keep(progress, averaged.module)
            schedule.step(row.get("validation/total"))
            progress.rows.append(row)
            bar.epoch(epoch, {"loss": row["train/total"], "validation": row.get("validation/total", math.nan)})
            board.scalars(row, progress.step)
            if board.draws and (epoch == params.epochs or epoch % max(1, params.epochs // PICTURES) == 0):
                shown = torch.linspace(0, len(validation.rays) - 1, SHOWN).long()
                board.picture(objective.examples(averaged.module, validation.take(shown)), progress.step)
            if progress.is_stale(params):
                console.announce(f"stopped early: the validation loss has not fallen since step {progress.best_step}")
                break
    progress.last = averaged.module.state_dict()
    progress.seconds = time.monotonic() - started
    return progress


@dataclass(frozen=True)
class _Run:
    """What the steps of a run work with."""

    fabric: Fabric
    student: torch.nn.Module  # the model, wrapped by fabric
    averaged: AveragedModel  # its averaged weights, the teacher
    objective: Objective
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    generator: torch.Generator
    params: TrainingParams
    tuner: ThreadTuner | None


def _train_epoch(
    run: _Run, stream: Iterator[WindowBatch], epoch: int, progress: Progress, bar: Bar
) -> dict[str, float]:
    """One epoch of steps; returns its row of the curves."""
    params, objective, began = run.params, run.objective, time.monotonic()
    objective.before_epoch(run.averaged.module, stream, epoch)
    steps = islice(objective.steps(run.averaged.module, stream, epoch, run.generator), params.steps_per_epoch)
    recent: list[dict[str, Tensor]] = []
    run.student.train()
    for step, terms_of in enumerate(run.tuner.timed(steps) if run.tuner else steps, start=1):
        terms = terms_of(run.student)
        loss = objective.total(terms)
        run.optimizer.zero_grad()
        run.fabric.backward(loss)
        if params.gradient_clip > 0:
            run.fabric.clip_gradients(
                run.student, run.optimizer, max_norm=params.gradient_clip, error_if_nonfinite=False
            )
        run.optimizer.step()
        if step < params.steps_per_epoch:  # the last one waits for the validation
            run.schedule.step()
        run.averaged.update_parameters(run.student)
        progress.step += 1
        progress.poses += objective.windows
        if step % LOG_EVERY == 0 or step == params.steps_per_epoch:
            recent.append({name: value.detach() for name, value in {**terms, "total": loss}.items()})
            bar.step(objective.windows, {name: float(value) for name, value in recent[-1].items()})
        else:
            bar.step(objective.windows)
    progress.training_seconds += time.monotonic() - began
    return {"step": float(progress.step), "lr": run.optimizer.param_groups[0]["lr"], **_mean(recent, "train")}


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
