"""From a sequence's keypoints to calibrated rays: what of them was seen, and what stands where nothing was.

Sources say that a joint was not detected by a coordinate that is not a number, by the point (0, 0), as OpenPose does,
or by a confidence of 0. It is hidden then: its confidence is 0, and whatever reads its ray has to look at that first.
Two stand-ins keep crops sensible, and a confidence of 0 says of both that they were not seen:

- the root, a crop's origin: midway between the hips if both are seen, else the mean of the joints that are;
- of frames in which nobody was detected, every joint: on a straight line in time between the frames that show it. Seen
  joints that all lie in one point are no detection either.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from lib.pose.geometry import all_finite
from lib.pose.skeleton import Skeleton
from lib.sequences.gaps import interpolated
from lib.sources.base import PoseSequence

LEAST_EXTENT = 1.0  # pixels: what is smaller is one point
_HIPS = ("left_hip", "right_hip")


def only(values: Shaped[Tensor, "..."], mask: Bool[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """`values[mask]`, which is much work for nothing where the mask leaves nothing out."""
    return values.flatten(0, mask.ndim - 1) if mask.all() else values[mask]


def or_else(
    values: Float[Tensor, "*shape coord"], mask: Bool[Tensor, "*shape"], other: float
) -> Float[Tensor, "*shape coord"]:
    """The values, and another where the mask is not set."""
    return values if mask.all() else torch.where(mask[..., None], values, other)


class Calibrated(NamedTuple):
    """A sequence's 2D as the store holds it: every number is finite."""

    keypoints: Float[Tensor, "frame joint 2"]  # pixels; (0, 0) where the source's are not finite
    confidence: Float[Tensor, "frame joint"]  # 0 to 1; 0: hidden
    rays: Float[Tensor, "frame joint 2"]


def detected_joints(
    keypoints: Float[Tensor, "frame joint 2"], confidence: Float[Tensor, "frame joint"]
) -> Bool[Tensor, "frame joint"]:
    """Which joints were seen; none of a frame whose joints all lie in one point."""
    x, y = keypoints.unbind(-1)
    seen = ((x != 0) | (y != 0)) & (confidence > 0)
    if not all_finite(keypoints):
        seen &= x.isfinite() & y.isfinite()
    low, high = (or_else(keypoints, seen, far) for far in (torch.inf, -torch.inf))
    return seen & ((high.amax(1) - low.amin(1)).amax(-1) >= LEAST_EXTENT)[:, None]


def calibrate(sequence: PoseSequence, skeleton: Skeleton) -> Calibrated:
    """Rays, with stand-ins; a keypoint so far outside the picture that the lens model has no ray for it is hidden."""
    keypoints, confidence = sequence.keypoints, sequence.confidence
    if not all_finite(keypoints):
        keypoints = torch.where(keypoints.isfinite().all(-1, keepdim=True), keypoints, 0.0)
    rays = sequence.camera.to_rays(keypoints)
    error = (sequence.camera.to_pixels(rays) - keypoints).abs().amax(-1)
    found = error < 1  # pixel; not a number is not found
    if not found.all():
        rays, confidence = torch.where(found[..., None], rays, 0.0), torch.where(found, confidence, 0.0)
    seen = detected_joints(keypoints, confidence)
    rays = _with_stand_ins(rays, seen, skeleton, sequence.times)
    return Calibrated(keypoints, torch.where(seen, sequence.confidence, 0.0), rays)


def _with_stand_ins(
    rays: Float[Tensor, "frame joint 2"],
    seen: Bool[Tensor, "frame joint"],
    skeleton: Skeleton,
    times: Float[Tensor, " frame"] | None,
) -> Float[Tensor, "frame joint 2"]:
    """The same rays, with others for the root where it is not seen, and for all joints where none is."""
    shown = seen.any(-1)
    if seen[:, skeleton.root].all():
        return rays
    hips = torch.tensor([name in _HIPS for name in skeleton.names])
    both = (seen | ~hips).all(-1, keepdim=True) & hips.any()
    weight = torch.where(both, hips, seen)[..., None].to(rays)
    stand_in = (weight * rays).sum(1) / weight.sum(1).clamp_min(1)
    rays = rays.clone()
    rays[:, skeleton.root] = torch.where(seen[:, skeleton.root, None], rays[:, skeleton.root], stand_in)
    placed = seen.clone()
    placed[:, skeleton.root] = shown
    line = interpolated(rays[None], placed[None].to(rays), torch.zeros_like(rays[0]), times)[0]
    line = torch.where(placed.any(0)[:, None], line, line[:, skeleton.root, None])  # what no frame shows is at the root
    return torch.where(shown[:, None, None], rays, line)
