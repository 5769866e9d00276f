"""The losses, each a function of its own; the objective weighs them (`losses` in params.yaml; 0 turns one off).

Poses are root-centred. Losses of bones are relative to the body's size, because a lifter knows poses only up to scale.
"""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import Skeleton
from lib.runtime.params import Section

Weight = Annotated[float, Field(ge=0, le=10_000)]


class LossParams(Section):
    """`losses`: the weight of each term."""

    prior: Weight
    vertical: Weight
    error: Weight
    distillation: Weight
    plausibility: Weight
    reconstruction: Weight
    symmetry: Weight
    constancy: Weight
    proportions: Weight
    smoothness: Weight

    @model_validator(mode="after")
    def _something_on_drawn_poses(self) -> "LossParams":
        if self.prior == 0 and self.distillation == 0:
            raise ValueError("prior or distillation must be above 0: nothing else says what depth is")
        if self.plausibility > 0 and self.distillation == 0:
            raise ValueError("plausibility needs distillation above 0: it judges the poses that distillation lifts")
        return self


def pose_distance(
    predicted: Float[Tensor, "*batch joint 3"], target: Float[Tensor, "*batch joint 3"]
) -> Float[Tensor, ""]:
    """Mean distance of joints, in the unit of the poses: MPJPE as a loss."""
    distance: Tensor = torch.linalg.vector_norm(predicted - target, dim=-1)
    return distance.mean()


def error_likelihood(stated: Float[Tensor, "batch point"], error: Float[Tensor, "batch point"]) -> Float[Tensor, ""]:
    """How unlikely errors are under the stated mean error: negative log-likelihood, without its constant.

    Of a density of offsets in space that falls exponentially with their length r, exp(-3 r / m) / m^3, whose mean
    length is m. Errors teach what is stated of them, and nothing else: their gradient is cut.
    """
    error = error.detach()
    return (error / stated + stated.log()).mean()


def reconstruction(
    predicted: Float[Tensor, "*batch joint 2"],
    observed: Float[Tensor, "*batch joint 2"],
    confidence: Float[Tensor, "*batch joint"],
) -> Float[Tensor, ""]:
    """Confidence-weighted mean distance of 2D keypoints, in units of the crop's scale.

    `observed` is what was there before joints were hidden and noise was added; a `confidence` of 0 leaves a joint out.
    """
    distance: Tensor = torch.linalg.vector_norm(predicted - observed, dim=-1)
    return (confidence * distance).sum() / confidence.sum().clamp_min(1e-6)


def relative_bone_lengths(pose: Float[Tensor, "*batch joint 3"], skeleton: Skeleton) -> Float[Tensor, "*batch bone"]:
    """Bone lengths divided by their mean over the body: free of the pose's scale."""
    lengths = bone_lengths(pose, skeleton)
    return lengths / lengths.mean(-1, keepdim=True).clamp_min(1e-6)


def symmetry(lengths: Float[Tensor, "*batch bone"], skeleton: Skeleton) -> Float[Tensor, ""]:
    """Mean difference of relative bone lengths, left against right."""
    order = torch.tensor(skeleton.mirror_bones, device=lengths.device)
    paired = order != torch.arange(len(order), device=lengths.device)
    return (lengths - lengths[..., order])[..., paired].abs().mean()


def constancy(lengths: Float[Tensor, "batch frame bone"]) -> Float[Tensor, ""]:
    """Mean deviation of relative bone lengths from their mean over the window; 0 for windows of one frame."""
    return (lengths - lengths.mean(1, keepdim=True)).abs().mean()


def proportions(
    lengths: Float[Tensor, "*batch bone"], expected: Float[Tensor, " bone"], std: float
) -> Float[Tensor, ""]:
    """Mean squared log ratio to the prior's relative bone lengths, in units of its standard deviation."""
    expected = expected / expected.mean()
    return (lengths.clamp_min(1e-3) / expected).log().div(max(std, 1e-3)).square().clamp_max(25).mean()


def smoothness(pose: Float[Tensor, "batch frame joint 3"], skeleton: Skeleton) -> Float[Tensor, ""]:
    """Mean second difference over time, relative to the mean bone length; 0 for windows under three frames.

    The poses must be in one frame of reference: the camera's, not each frame's own crop.
    """
    if pose.shape[1] < 3:
        return pose.new_zeros(())
    acceleration: Tensor = torch.linalg.vector_norm(pose[:, 2:] - 2 * pose[:, 1:-1] + pose[:, :-2], dim=-1)
    return acceleration.mean() / bone_lengths(pose, skeleton).mean().detach().clamp_min(1e-6)
