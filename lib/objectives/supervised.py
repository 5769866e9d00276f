"""Lifting with labels: the reference that has all of them, and fine-tuning with some."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from lib import losses
from lib.data.transforms import Corruption, CropBatch, TransformParams, augment, corrupt, flipped, normalize
from lib.data.windows import WindowBatch, WindowParams
from lib.geometry import rotate
from lib.models.lifters import LifterModel, lift_crops
from lib.objectives.base import REFRESH, Step, Terms, lifted_picture, random_windows
from lib.skeleton import H36M


class Labelled(NamedTuple):
    """Clips of real 2D and their true poses."""

    crops: CropBatch  # (clip, frame, ...)
    positions: Float[Tensor, "clip frame joint 3"]  # metres, in the crop frame of each frame


class Supervised:
    """Lifting with labels; `body_size` (metres, total bone length) is that of its pictures alone."""

    def __init__(
        self,
        body_size: float,
        transforms: TransformParams,
        corruption: Corruption,
        window: WindowParams,
        windows: int,
    ) -> None:
        self.body_size, self.transforms, self.corruption = body_size, transforms, corruption
        self.window, self.windows = window, windows

    def steps(
        self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int, generator: torch.Generator
    ) -> Iterator[Step]:
        """Steps on windows of the clips; the teacher and the epoch make no difference."""
        for some in clips:
            labelled = self.label(some)
            for _ in range(REFRESH):
                yield partial(self.terms, labelled=labelled, generator=generator)

    def adapt(self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int) -> None:
        """Nothing: labels say it all."""

    def afresh(self) -> "Supervised":
        """Itself: it remembers nothing."""
        return self

    def label(self, clips: WindowBatch) -> Labelled:
        """Crops of clips and their true poses."""
        if clips.positions is None:
            raise ValueError("supervised training needs positions")
        crops = normalize(clips, self.transforms.normalization)
        return Labelled(crops, rotate(crops.rotation, clips.positions))

    def terms(self, model: LifterModel, labelled: Labelled, generator: torch.Generator) -> Terms:
        """Mean distance from the truth in metres, at the true distance of the root."""
        clip, index = (
            part[:, 0] for part in random_windows(labelled.crops.shown, self.window, self.windows, 1, generator)
        )
        seen = CropBatch(*(part[clip[:, None], index] for part in labelled.crops))
        absolute = labelled.positions[clip, index[:, index.shape[1] // 2]]
        distance = absolute[:, H36M.root, 2]
        target = absolute - absolute[:, H36M.root, None]
        turned, target = _augmented(seen, target, self.transforms, generator)
        given = corrupt(turned, self.corruption, self.transforms.normalization, generator)
        pose, _ = lift_crops(model, given)
        return {"supervised": losses.pose_distance(pose * distance[:, None, None], target)}

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The one term."""
        return terms["supervised"]

    def picture(self, model: LifterModel, clips: WindowBatch) -> Figure:
        """Poses of one body size."""
        return lifted_picture(model, clips, self.transforms.normalization, self.window, self.body_size)


def _augmented(
    seen: CropBatch, target: Float[Tensor, "batch joint 3"], transforms: TransformParams, generator: torch.Generator
) -> tuple[CropBatch, Float[Tensor, "batch joint 3"]]:
    """Windows flipped and rotated at random, and the poses of their middle frames with them."""
    chosen = torch.rand(len(target), generator=generator, device=target.device) < transforms.flip
    back = target[:, torch.tensor(H36M.mirror)] * target.new_tensor([-1.0, 1.0, 1.0])
    seen, target = flipped(seen, chosen), torch.where(chosen[:, None, None], back, target)
    turned = augment(seen, transforms.model_copy(update={"flip": 0.0, "scaling": 0.0}), generator)
    roll = turned.middle().rotation @ seen.middle().rotation.mT
    return turned, rotate(roll, target)
