"""Lifting: a network that reads keypoints, what its numbers mean, and how they become poses."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.models.base import WindowShape
from lib.models.networks import Architecture
from lib.pose.crops import Crops, Frames, mirror_crops, turn_to, unproject_crop
from lib.pose.geometry import rotate
from lib.pose.landmarks import JOINTS, LANDMARKS
from lib.pose.layout import Layout

POINTS = JOINTS + len(LANDMARKS)  # of all layouts
ERROR_HIDDEN = 64  # numbers between the latents and the stated errors
FEW = 8  # windows: the two views of so many are lifted together
TYPICAL = 0.1  # of a crop's unit: what the stated error of a point is near at first


class Lifted(NamedTuple):
    """What a lifter says about the middle frame of a window of crops (see `lib.pose.crops`).

    Points are the joints of Human3.6M, the root first, then the keypoints as the layout marks them.
    """

    depth: Float[Tensor, "batch point"]  # (Z_i / Z_0 - 1) / scale; the root's is 0
    correction: Float[Tensor, "batch point 2"]  # to add to the crop's keypoints
    error: Float[Tensor, "batch point"]  # how far off it expects to be, in units of the crop at the root's distance
    up: Float[Tensor, "batch 3"]  # the direction against gravity in the crop frame, of length 1


# (keypoints, confidence, scale, layout) -> Lifted: a LiftingModel, or what a strategy wraps it in.
LifterModel = Callable[[Tensor, Tensor, Tensor, Layout], Lifted]


class LiftingModel(nn.Module):
    """A network that lifts windows of `frames` frames of keypoints in any of the layouts."""

    def __init__(self, architecture: Architecture, frames: int, layouts: Sequence[Layout]) -> None:
        super().__init__()
        self.network = architecture.build(WindowShape(frames, 2, layouts), outputs=3 * POINTS + 3)
        self.error_head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(self.network.head.features, ERROR_HIDDEN),
            nn.GELU(),
            nn.Linear(ERROR_HIDDEN, POINTS),
        )

    def forward(
        self,
        keypoints: Float[Tensor, "batch frame keypoint 2"],
        confidence: Float[Tensor, "batch frame keypoint"],
        scale: Float[Tensor, "batch frame"],
        layout: Layout,
    ) -> Lifted:
        """Lift windows of crops; `confidence` is 0 where a keypoint is hidden, up to 1 where it is certain."""
        latents = self.network.latents(keypoints, confidence, scale, layout)
        numbers = self.network.head(latents)
        marked = [*range(JOINTS), *(JOINTS + slot for slot in layout.slots)]
        points = numbers[:, 3:].unflatten(1, (-1, 3))[:, marked]
        error = self.error_head(latents.detach())[:, marked]  # which must not disturb what lifts
        level = numbers.new_tensor([0.0, -1.0, 0.0])
        others = (torch.arange(points.shape[1], device=points.device) > 0).to(points)  # but the root
        return Lifted(
            depth=points[..., 0] * others,
            correction=points[..., 1:3],
            error=(error.float() + math.log(TYPICAL)).clamp(-7, 2).exp(),
            up=nn.functional.normalize(numbers[:, :3] + level, dim=-1),
        )


def corrected(now: Frames, lifted: Lifted, layout: Layout) -> Float[Tensor, "batch point 2"]:
    """What lifted points project to: the keypoint that was seen of their landmark plus the model's correction.

    A hidden one (confidence 0) was seen nowhere: the correction, from the crop's middle, is its place.
    """
    visible = torch.where(now.confidence[..., None] > 0, now.keypoints, 0.0)
    return torch.cat([layout.of_joints(visible), visible], 1) + lifted.correction


class Poses(NamedTuple):
    """Lifted points of single frames as a camera sees them that looks at the root, in units of the root's distance."""

    points: Float[Tensor, "batch point 3"]  # root-centred
    error: Float[Tensor, "batch point"]  # how far off each is expected to be
    up: Float[Tensor, "batch 3"]  # the direction against gravity, of length 1
    rotation: Float[Tensor, "batch 3 3"]  # from the camera frame


def lift_poses(model: LifterModel, crops: Crops, flip: bool = True) -> Poses:
    """What a model lifts windows to; with `flip`, averaged with what it says about the mirrored view."""
    seen = mirror_crops(crops) if flip else crops
    lifted, other = _lift_both(model, crops, seen) if flip else (_lift(model, crops), None)
    now = crops.middle()
    keypoints, depth, error, up = corrected(now, lifted, crops.layout), lifted.depth, lifted.error, lifted.up
    if other is not None:
        order = list(crops.layout.point_mirror)
        sign = up.new_tensor([-1.0, 1.0, 1.0])
        keypoints = (keypoints + corrected(seen.middle(), other, crops.layout)[:, order] * sign[:2]) / 2
        depth, error = (depth + other.depth[:, order]) / 2, (error + other.error[:, order]) / 2
        up = nn.functional.normalize(up + other.up * sign, dim=-1)
    points = unproject_crop(keypoints, now.scale, depth)
    to_root = turn_to(*(keypoints[:, 0] * now.scale[:, None]).unbind(-1))
    return Poses(
        rotate(to_root, points), error * now.scale[:, None], (to_root @ up[..., None])[..., 0], to_root @ now.rotation
    )


def _lift(model: LifterModel, crops: Crops) -> Lifted:
    return model(crops.keypoints, crops.confidence, crops.scale, crops.layout)


def _lift_both(model: LifterModel, crops: Crops, others: Crops) -> tuple[Lifted, Lifted]:
    """What two batches of a size are lifted to; small ones together, which takes little longer than one by itself."""
    if torch.compiler.is_exporting() or len(crops.scale) > FEW:
        return _lift(model, crops), _lift(model, others)
    keypoints, confidence, scale = (torch.cat(pair) for pair in zip(crops[:3], others[:3], strict=True))
    both = model(keypoints, confidence, scale, crops.layout)
    one, other = zip(*(part.chunk(2) for part in both), strict=True)
    return Lifted(*one), Lifted(*other)
