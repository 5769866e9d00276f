"""Lifting with labels: the reference that has all of them, and fine-tuning with some."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.transforms import InputPipeline, augment
from lib.data.windows import WindowBatch
from lib.models.lifters import LifterModel, lift_crops
from lib.objectives import losses
from lib.objectives.base import REFRESH, LiftedExamples, ObjectiveContext, Step, Terms, lifted_examples, random_windows
from lib.pose.crops import Crops, flip_some
from lib.pose.geometry import mirror_pose, root_centred, rotate


class Labelled(NamedTuple):
    """Clips of real 2D and their true poses."""

    crops: Crops  # (clip, frame, ...)
    positions: Float[Tensor, "clip frame joint 3"]  # metres, in the crop frame of each frame


class Supervised:
    """Lifting with labels; `body_size` (metres, total bone length) is that of its examples alone."""

    def __init__(self, inputs: InputPipeline, windows: int, body_size: float) -> None:
        self.inputs, self.windows, self.body_size = inputs, windows, body_size

    @classmethod
    def make(cls, given: ObjectiveContext) -> "Supervised":
        """The objective for a split with positions."""
        return cls(given.inputs, given.batches.real + given.batches.drawn, given.prior.body_size)

    def steps(
        self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int, generator: torch.Generator
    ) -> Iterator[Step]:
        """Steps on windows of the clips; the teacher and the epoch make no difference."""
        for some in clips:
            labelled = self.label(some)
            for _ in range(REFRESH):
                yield partial(self.terms, labelled=labelled, generator=generator)

    def before_epoch(self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int) -> None:
        """Nothing: labels say it all."""

    def for_validation(self) -> "Supervised":
        """Itself: it remembers nothing."""
        return self

    def label(self, clips: WindowBatch) -> Labelled:
        """Crops of clips and their true poses."""
        if clips.positions is None:
            raise ValueError("supervised training needs positions")
        crops = self.inputs.crops(clips)
        return Labelled(crops, rotate(crops.rotation, clips.positions))

    def terms(self, model: LifterModel, labelled: Labelled, generator: torch.Generator) -> Terms:
        """Mean distance from the truth in metres, at the true distance of the root."""
        clip, index = (
            part[:, 0]
            for part in random_windows(labelled.crops.detected, self.inputs.window, self.windows, 1, generator)
        )
        seen = Crops(*(part[clip[:, None], index] for part in labelled.crops))
        absolute = labelled.positions[clip, index[:, index.shape[1] // 2]]
        distance = absolute[:, self.inputs.skeleton.root, 2]
        target = root_centred(absolute, self.inputs.skeleton)
        turned, target = _augmented(seen, target, self.inputs, generator)
        given = self.inputs.corrupted(turned, generator)
        pose, _ = lift_crops(model, given)
        return {"supervised": losses.pose_distance(pose * distance[:, None, None], target)}

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The one term."""
        return terms["supervised"]

    def examples(self, model: LifterModel, clips: WindowBatch) -> LiftedExamples:
        """Poses of one body size."""
        return lifted_examples(model, clips, self.inputs, self.body_size)


def _augmented(
    seen: Crops, target: Float[Tensor, "batch joint 3"], inputs: InputPipeline, generator: torch.Generator
) -> tuple[Crops, Float[Tensor, "batch joint 3"]]:
    """Windows flipped and rotated at random, and the poses of their middle frames with them."""
    transforms, skeleton = inputs.transforms, inputs.skeleton
    chosen = torch.rand(len(target), generator=generator, device=target.device) < transforms.flip_probability
    target = torch.where(chosen[:, None, None], mirror_pose(target, skeleton), target)
    seen = flip_some(seen, chosen, skeleton)
    turned = augment(seen, transforms.model_copy(update={"flip_probability": 0.0}), skeleton, generator)
    roll = turned.middle().rotation @ seen.middle().rotation.mT
    return turned, rotate(roll, target)
