"""All that a training run is between two of its steps: what it needs to go on as if it had not stopped.

Plain tensors, strings and numbers, so that a file of it loads with weights_only=True: opening one runs no code. There
is no state of the schedule, which is played again from the steps and the validation losses, nor one of the loader,
which passes over the clips that were read.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_origin

import torch
from torch import Tensor

from lib.runtime import plain_tensors
from lib.runtime.allowed import shown
from lib.runtime.bounds import one_line
from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.training.params import TrainingParams

FORMAT = 3
# What a state may differ in from the run that goes on from it: how long it is, where and how fast it runs.
FREE = (
    "training.resume",
    "training.epochs",
    "training.device",
    "training.devices",
    "training.threads",
    "data.loader.workers",
)
RANDOM = {"cuda": (torch.cuda.get_rng_state, torch.cuda.set_rng_state)}  # beside the CPU's, which every run has


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
    skipped: int = 0  # steps whose loss or gradient was not finite
    skipped_in_a_row: int = 0  # the last of them
    recent: list[dict[str, Tensor]] = field(default_factory=list)  # losses of the epoch that has begun, on the CPU

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


@dataclass(frozen=True)
class TrainingState:
    """The state of a run; its tensors are those that training changes, so write them or copy them at once."""

    epochs: int  # that are complete
    model: dict[str, Any]
    averaged: dict[str, Any]
    optimizer: dict[str, Any]
    precision: dict[str, Any]  # the scale of losses in float16
    # Of each shard: batches of clips that were read, what the objective has learned (the prior's bones, those of each
    # sequence), and the states of random generators.
    shards: list[dict[str, Any]]
    progress: Progress

    @property
    def place(self) -> str:
        """Where in its run it is, in words."""
        return f"step {self.progress.step}, complete epochs: {self.epochs}"


OfferState = Callable[[Callable[[], TrainingState], bool], None]  # what makes a state, and whether the run ends there


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's own generators, of the CPU and of a device."""
    own = {device.type: RANDOM[device.type][0](device)} if device.type in RANDOM else {}
    return {"cpu": torch.get_rng_state(), **own}


def set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Put torch's own generators where others were; those of another kind of device stay."""
    torch.set_rng_state(state["cpu"])
    if device.type in RANDOM and device.type in state:
        RANDOM[device.type][1](state[device.type], device)


def save_state(state: TrainingState, run: Mapping[str, Any], path: Path) -> None:
    """Write a state and the plain values that determine its run, whole or not at all, and onto the disk itself."""
    parts = {part.name: getattr(state, part.name) for part in fields(state)}
    progress = {part.name: getattr(state.progress, part.name) for part in fields(Progress)}
    with replacing(path, durable=True) as temporary:
        torch.save({"format": FORMAT, "run": dict(run), **parts, "progress": progress}, temporary)


def load_state(path: Path) -> tuple[TrainingState, dict[str, Any]]:
    """Read a state, onto the CPU, and what determines its run.

    Raises:
        UserError: the file is missing, or is no state of this version of the project.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing")
    try:
        content = plain_tensors.load(path)
    except Exception as error:  # torch raises pickle, zip and runtime errors, depending on where a file is damaged
        raise UserError(
            f"{path} is no state of a training run, or a damaged one ({plain_tensors.what_is_wrong(error)})"
        ) from None
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT or "run" not in content:
        raise UserError(f"{path} is no state of a training run of this version of the project")
    try:
        run = dict(content.pop("run"))
        state = TrainingState(**{**content, "progress": Progress(**content["progress"])})
        _check_types(state)
        _check_types(state.progress)
        return state, run
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is incomplete or damaged ({one_line(str(error))}): delete it") from None


def _check_types(content: TrainingState | Progress) -> None:
    """Refuse fields of another kind than a new run's; raises TypeError."""
    for part in fields(content):
        value, kind = getattr(content, part.name), get_origin(part.type) or part.type
        allowed: Any = (int, float) if kind is float else kind
        if not isinstance(value, allowed) or (kind is int and value < 0):
            raise TypeError(f"{part.name} is a {type(value).__name__}")


def check_same_run(saved: Mapping[str, Any], run: Mapping[str, Any], step: int) -> None:
    """Refuse a state of another run: plain values by their dotted keys, and how many steps were done.

    Raises:
        UserError: naming the first value that is another, or the epochs that have begun.
    """
    for key in sorted({*saved, *run} - set(FREE)):
        if saved.get(key) != run.get(key):
            raise UserError(
                f"the state is of another run: there, {key} is {shown(saved.get(key))}, and here {shown(run.get(key))}"
            )
    begun = math.ceil(step / run["training.steps_per_epoch"])
    if begun > run["training.epochs"]:
        raise UserError(f"{begun} epochs have begun in the state: training.epochs must not be less")
