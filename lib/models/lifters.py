"""Lifting: a network that reads keypoints, what its numbers mean, and how they become poses."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.models.networks import Architecture
from lib.pose.crops import Crops, mirror, unproject_crop
from lib.pose.geometry import mirror_pose
from lib.pose.skeleton import Skeleton


class Lifted(NamedTuple):
    """What a lifter says about the middle frame of a window of crops (see `lib.pose.crops`)."""

    depth: Float[Tensor, "batch joint"]  # (Z_i / Z_0 - 1) / scale; the root's is 0
    correction: Float[Tensor, "batch joint 2"]  # to add to the crop's keypoints; the root's is 0
    elevation: Float[Tensor, " batch"]  # radians: the camera looks down on the root by this


# (keypoints, confidence, scale) -> Lifted: a LiftingModel, or what a strategy wraps it in.
LifterModel = Callable[[Tensor, Tensor, Tensor], Lifted]


class LiftingModel(nn.Module):
    """A network that lifts windows of `frames` frames of a skeleton's keypoints."""

    def __init__(self, architecture: Architecture, skeleton: Skeleton, frames: int) -> None:
        super().__init__()
        self.skeleton = skeleton
        self.network = architecture.build(skeleton, frames, coords=2, outputs=3 * len(skeleton) + 1)

    def forward(
        self,
        keypoints: Float[Tensor, "batch frame joint 2"],
        confidence: Float[Tensor, "batch frame joint"],
        scale: Float[Tensor, "batch frame"],
    ) -> Lifted:
        """Lift windows of crops; `confidence` is 0 where a joint is hidden, up to 1 where it is certain."""
        numbers = self.network(keypoints, confidence, scale)
        depth, correction, elevation = numbers.split([len(self.skeleton), 2 * len(self.skeleton), 1], dim=-1)
        others = torch.ones_like(depth)
        others[..., self.skeleton.root] = 0  # the crop's origin
        correction = correction.unflatten(-1, (-1, 2)) * others[..., None]
        return Lifted(depth * others, correction, elevation.squeeze(-1))


def corrected(now: Crops, lifted: Lifted) -> Float[Tensor, "batch joint 2"]:
    """The keypoints that a lifted pose projects to: what was seen in its frame plus the model's correction.

    A hidden joint (confidence 0) was seen nowhere: the correction, from the root, is its place.
    """
    seen = now.confidence[..., None] > 0
    return torch.where(seen, now.keypoints, 0.0) + lifted.correction


def lift_crops(model: LifterModel, crops: Crops) -> tuple[Float[Tensor, "batch joint 3"], Float[Tensor, " batch"]]:
    """Poses of windows' middle frames and the camera's elevation.

    Poses are root-centred, in the crop frame, in units of root depth, from the corrected keypoints.
    """
    lifted, now = model(crops.keypoints, crops.confidence, crops.scale), crops.middle()
    return unproject_crop(corrected(now, lifted), now.scale, lifted.depth), lifted.elevation


def lift_both_ways(
    model: LifterModel, crops: Crops, skeleton: Skeleton
) -> tuple[Float[Tensor, "batch joint 3"], Float[Tensor, " batch"]]:
    """What `lift_crops` says, averaged with what it says about the mirrored view."""
    pose, elevation = lift_crops(model, crops)
    mirrored, same = lift_crops(model, mirror(crops, skeleton))
    return (pose + mirror_pose(mirrored, skeleton)) / 2, (elevation + same) / 2
