"""Lifting with labels: the reference that has all of them, and fine-tuning with some."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.transforms import InputPipeline
from lib.data.windows import WindowBatch
from lib.models.lifters import LifterModel, corrected
from lib.objectives import losses
from lib.objectives.base import REFRESH, LiftedExamples, ObjectiveContext, Step, Terms, lifted_examples, random_windows
from lib.pose.crops import Rays, unproject_crop
from lib.pose.geometry import root_centred, rotate
from lib.pose.landmarks import JOINTS

STATED = 0.02  # weight of how well errors are stated


class Labelled(NamedTuple):
    """Clips of real 2D and their true poses."""

    rays: Rays  # (clip, frame, ...)
    positions: Float[Tensor, "clip frame keypoint 3"]  # metres, in the camera frame, of the layout's keypoints


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

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""

    def label(self, clips: WindowBatch) -> Labelled:
        """Clips and their true poses."""
        if clips.positions is None:
            raise ValueError("supervised training needs positions")
        return Labelled(self.inputs.rays(clips), clips.positions)

    def terms(self, model: LifterModel, labelled: Labelled, generator: torch.Generator) -> Terms:
        """Mean distance from the truth in metres, at the true distance of the root, and how well errors are stated."""
        rays, positions = labelled
        layout, skeleton = self.inputs.layout, self.inputs.layout.skeleton
        clip, index = random_windows(rays.std.isfinite().any(-1), self.inputs.window, self.windows, 1, generator)
        index = index[:, 0]
        windows = rays.take((clip, index))
        absolute = positions[clip[:, 0], index[:, index.shape[1] // 2]]
        turned, change = self.inputs.augmented(windows, generator)
        order = torch.tensor(skeleton.mirror, device=absolute.device)
        flipped = (torch.linalg.det(change) < 0)[:, None, None]
        absolute = rotate(change, torch.where(flipped, absolute[:, order], absolute))
        given = self.inputs.crops(self.inputs.corrupted(turned, generator))
        lifted = model(given.keypoints, given.confidence, given.scale, given.layout)
        now = given.middle()
        points = unproject_crop(corrected(now, lifted, layout), now.scale, lifted.depth)
        target = rotate(now.rotation, root_centred(absolute, skeleton))
        distance = torch.linalg.vector_norm(absolute[:, list(skeleton.centre)].mean(1), dim=-1)
        metres = points * distance[:, None, None]
        error = torch.linalg.vector_norm(root_centred(metres[:, JOINTS:], skeleton) - target, dim=-1)
        stated = lifted.error[:, JOINTS:]
        if layout.exact:  # keypoints are the joints
            of_joints = torch.linalg.vector_norm(metres[:, :JOINTS] - target, dim=-1)
            error, stated = torch.cat([of_joints, error], 1), lifted.error
        likelihood = losses.error_likelihood(stated, error / (now.scale * distance)[:, None])
        return {"supervised": error.mean(), "stated": likelihood}

    def learned_together(self) -> list[Tensor]:
        """Nothing."""
        return []

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The distance, and what teaches the head that states errors and nothing else."""
        return terms["supervised"] + STATED * terms["stated"]

    def examples(self, model: LifterModel, clips: WindowBatch) -> LiftedExamples:
        """Poses of one body size."""
        return lifted_examples(model, clips, self.inputs, self.body_size)
