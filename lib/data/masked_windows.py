"""Masked windows of points: what a model reconstructs, and what costs nothing to guess.

Points are root-centred and in the crop frame of each frame: rays (2 coordinates), or metres (3).
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.data.windows import WindowBatch
from lib.pose.crops import turn_to
from lib.pose.geometry import homogeneous, project, rotate
from lib.pose.skeleton import Skeleton


class MaskedWindows(NamedTuple):
    """Windows as a model reads them, in units of their scale, and the whole that it should give back."""

    points: Float[Tensor, "window frame joint coord"]  # 0 where hidden
    confidence: Float[Tensor, "window frame joint"]  # 0 where hidden
    scale: Float[Tensor, "window frame"]  # RMS distance of what is visible from the root; the same in all frames
    whole: Float[Tensor, "window frame joint coord"]


class Reconstruction(NamedTuple):
    """What a model made of masked windows, in units of their scale, on the CPU."""

    skeleton: Skeleton
    whole: Float[Tensor, "window frame joint coord"]  # 0 where unknown
    hidden: Bool[Tensor, "window frame joint"]
    output: Float[Tensor, "window frame joint coord"]

    @classmethod
    def of(
        cls, windows: MaskedWindows, output: Float[Tensor, "window frame joint coord"], skeleton: Skeleton
    ) -> "Reconstruction":
        """The windows and a model's output for them."""
        whole = windows.whole.nan_to_num(0.0).cpu()
        return cls(skeleton, whole, (windows.confidence == 0).cpu(), output.float().cpu())


def root_centred_points(clips: WindowBatch, coords: int, skeleton: Skeleton) -> Float[Tensor, "clip frame joint coord"]:
    """The points of clips: rays, not a number where a joint was not seen, or, of clips that have them, positions."""
    seen = clips.confidence > 0
    x, y = clips.rays[..., skeleton.root, :].unbind(-1)
    rotation = turn_to(x, y)
    if coords == 2:
        turned = project(rotate(rotation, homogeneous(clips.rays)))
        return torch.where(seen[..., None], turned, torch.nan)
    if clips.positions is None:
        raise ValueError("3D windows need positions")
    positions = rotate(rotation, clips.positions)
    return positions - positions[..., skeleton.root, None, :]


def masked(
    whole: Float[Tensor, "window frame joint coord"], hidden: Bool[Tensor, "window frame joint"]
) -> MaskedWindows:
    """Hide points, and all that are not a number; windows are scaled by what stays visible alone."""
    seen = (whole.isfinite().all(-1) & ~hidden)[..., None]
    visible = torch.where(seen, whole, 0.0)
    scale = (visible.square().sum((1, 2, 3)) / seen.sum((1, 2, 3)).clamp_min(1)).sqrt().clamp_min(1e-6)
    unit = scale[:, None, None, None]
    frames = scale[:, None].expand(-1, whole.shape[1])
    return MaskedWindows(visible / unit, seen[..., 0].to(whole), frames, whole / unit)
