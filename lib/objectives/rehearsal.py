"""Fine-tuning with some labels that forgets nothing: what pre-training did with all 2D goes on beside it."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lib.data.windows import ClipStream, WindowBatch
from lib.models.lifters import LifterModel
from lib.objectives.base import LiftedExamples, Objective, Step, Terms
from lib.objectives.lift import Lift
from lib.objectives.supervised import Supervised

SETTLING = 8  # moves of the prior's body, after which it is near the people in the 2D


class Rehearsed:
    """Labelled clips for the one objective, `clips` without labels for the other, whose sum has a weight."""

    def __init__(self, labelled: Supervised, lift: Lift, clips: ClipStream, weight: float) -> None:
        self.labelled, self.lift, self.clips, self.weight = labelled, lift, clips, weight

    @property
    def windows(self) -> int:
        """How many windows a step has."""
        return self.labelled.windows + self.lift.windows

    def steps(
        self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int, generator: torch.Generator
    ) -> Iterator[Step]:
        """Steps of both."""
        labelled = self.labelled.steps(teacher, clips, epoch, generator)
        for step, other in zip(labelled, self.lift.steps(teacher, self.clips, epoch, generator), strict=True):
            yield partial(_both, step, other)

    def before_epoch(self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int) -> None:
        """Move the prior's body towards the people in all 2D: at first all the way, for a checkpoint has no prior."""
        for _ in range(SETTLING if epoch == 1 else 1):
            self.lift.before_epoch(teacher, self.clips, epoch)

    def for_validation(self) -> Objective:
        """Lifting against labels, without rehearsal."""
        return self.labelled.for_validation()

    def state_dict(self) -> dict[str, Any]:
        """What the lifting one has learned, and how many of its clips were read."""
        return {"lift": self.lift.state_dict(), "clips": self.clips.read}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there, with clips of which none was read yet."""
        self.lift.load_state_dict(state["lift"])
        self.clips.skip(state["clips"])

    def learned_together(self) -> list[Tensor]:
        """What the lifting one does."""
        return self.lift.learned_together()

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum."""
        rehearsed = {name: value for name, value in terms.items() if name in self.lift.weights}
        return self.labelled.total(terms) + self.weight * self.lift.total(rehearsed)

    def examples(self, model: LifterModel, clips: WindowBatch) -> LiftedExamples:
        """Poses of one body size."""
        return self.labelled.examples(model, clips)


def _both(step: Step, other: Step, model: LifterModel) -> Terms:
    return step(model) | other(model)
