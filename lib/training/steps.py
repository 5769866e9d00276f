"""The steps of a training run: what they work with, and an epoch of them."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim.swa_utils import AveragedModel

from lib.objectives.base import Step, Terms
from lib.runtime.console import Progress as Bar
from lib.runtime.errors import UserError
from lib.runtime.group import Group
from lib.runtime.threads import ThreadTuner
from lib.runtime.timing import timed
from lib.training.monitor import Monitor
from lib.training.nonfinite import FiniteSteps, guarded
from lib.training.optimization import Schedule
from lib.training.params import TrainingParams
from lib.training.shards import MeanGradient, Shard, average_learned, average_terms
from lib.training.state import Progress, TrainingState

LOG_EVERY = 10  # steps between readings of the losses, each of which waits for the device
STRETCH = 200  # steps between two moments at which a state can be taken, at most; a multiple of LOG_EVERY


@dataclass(frozen=True)
class Run:
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

    def within(self, progress: Progress, epochs: int) -> int:
        """How many steps of an epoch are done, of which so many came before."""
        return progress.step - epochs * self.params.steps_per_epoch

    def state(self, epochs: int, progress: Progress, shards: list[dict[str, Any]]) -> TrainingState:
        """All that the run is after so many epochs, and the steps of the next one that are done."""
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
        for _ in range(self.within(state.progress, state.epochs)):
            self.schedule.step()
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


class Told(NamedTuple):
    """Who is told of steps."""

    progress: Progress
    bar: Bar
    finite: FiniteSteps
    monitor: Monitor


def train_epoch(run: Run, epoch: int, told: Told, offer: Callable[[], None]) -> dict[str, float]:
    """Those steps of an epoch that are not done yet; returns its row of the curves.

    Steps come in stretches, each of which begins with draws and pseudo-labels of its own: between two of them, when
    `offer` is called, a state needs none of these.
    """
    params, progress, monitor = run.params, told.progress, told.monitor
    while True:
        began = time.monotonic()
        told.bar.steps_begin()
        monitor.steps_begin("drawn" if epoch <= params.prior_epochs else "all")
        names = _stretch(run, epoch, run.within(progress, epoch - 1), told)
        monitor.steps_end()
        progress.training_seconds += time.monotonic() - began
        if run.within(progress, epoch - 1) == params.steps_per_epoch:
            break
        offer()
    recent, progress.recent = progress.recent, []
    return {
        "step": float(progress.step),
        "lr": run.optimizer.param_groups[0]["lr"],
        **mean_terms(recent or [dict.fromkeys(names, torch.tensor(math.nan))], "train"),
    }


def _stretch(run: Run, epoch: int, done: int, told: Told) -> Sequence[str]:
    """Steps of an epoch after the first `done` of them; returns the names of their terms."""
    params, shards, teacher = run.params, run.shards, run.averaged.module
    progress, bar, finite, monitor = told
    windows = params.shards * shards[0].objective.windows
    if done == 0:
        for shard in shards:
            shard.before_epoch(teacher, epoch)
        if params.shards > 1:
            average_learned(shards, run.group)
    end = min(done + STRETCH - done % STRETCH, params.steps_per_epoch)
    steps = islice(zip(*(shard.steps(teacher, epoch) for shard in shards), strict=True), end - done)
    gradient = MeanGradient(run.model.parameters(), params.shards, run.group)
    run.student.train()
    for step, parts in enumerate(run.tuner.timed(steps) if run.tuner else steps, start=done + 1):
        terms = _step(run, parts, gradient, finite)
        if step < params.steps_per_epoch:  # the last one waits for the validation
            run.schedule.step()
        progress.step += 1
        progress.poses += windows
        monitor.step(windows)
        if step % LOG_EVERY == 0 or step == params.steps_per_epoch:
            read = average_terms(terms, run.group)
            with timed("model"):  # an accelerator is waited for
                read = {name: value.cpu() for name, value in read.items()}
            values = {name: float(value) for name, value in read.items()}
            progress.recent += [read] if all(map(math.isfinite, values.values())) else []
            bar.step(windows, values)
            finite.count()
        else:
            bar.step(windows)
    return list(values)


@timed("model")
def _step(run: Run, parts: Sequence[Step], gradient: MeanGradient, finite: FiniteSteps) -> list[Terms]:
    """Forward, backward and optimizer; returns the terms of each shard."""
    run.optimizer.zero_grad()
    terms = [_backward(run, shard, part, gradient) for shard, part in zip(run.shards, parts, strict=True)]
    gradient.put()
    if finite.allows(_clipped_norm(run)):
        run.optimizer.step()
        run.averaged.update_parameters(run.student)
    return terms


def _clipped_norm(run: Run) -> Tensor:
    """The norm of the gradient, which is clipped by then if it is to be."""
    largest = run.params.gradient_clip
    if largest == 0:
        return get_total_norm([part.grad for part in run.model.parameters() if part.grad is not None])
    norm = run.fabric.clip_gradients(run.student, run.optimizer, max_norm=largest, error_if_nonfinite=False)
    assert norm is not None  # it is a norm that was to be clipped
    return norm


def _backward(run: Run, shard: Shard, step: Step, gradient: MeanGradient) -> Terms:
    """Add the gradients of a shard's part of a step, and return its terms with their total."""
    with shard.turn():
        terms = step(run.student)
        loss = shard.objective.total(terms)
        run.fabric.backward(guarded(loss))
    gradient.add()
    return {**terms, "total": loss}


def mean_terms(rows: Sequence[Mapping[str, Tensor]], prefix: str) -> dict[str, float]:
    """The means of rows of terms, by their names in the curves."""
    return {f"{prefix}/{name}": float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}
