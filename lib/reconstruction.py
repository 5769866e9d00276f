"""Masked windows of points: what a model reconstructs, how well, and what costs nothing to guess.

Points are root-centred and in the crop frame of each frame: rays (2 coordinates), or metres (3).
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.data.windows import WindowBatch
from lib.geometry import perspective_crop, rotate
from lib.skeleton import H36M


class MaskedWindows(NamedTuple):
    """Windows as a model reads them, in units of their scale, and the whole that it should give back."""

    points: Float[Tensor, "window frame joint coord"]  # 0 where hidden
    confidence: Float[Tensor, "window frame joint"]  # 0 where hidden
    scale: Float[Tensor, "window frame"]  # RMS distance of what is visible from the root; the same in all frames
    whole: Float[Tensor, "window frame joint coord"]


def root_centred_points(clips: WindowBatch, coords: int) -> Float[Tensor, "clip frame joint coord"]:
    """The points of clips: rays, not a number where a joint was not seen, or, of clips that have them, positions."""
    seen = clips.confidence > 0
    crop = perspective_crop(clips.rays, seen=seen)
    if coords == 2:
        return torch.where(seen[..., None], crop.keypoints * crop.scale[..., None, None], torch.nan)
    if clips.positions is None:
        raise ValueError("3D windows need positions")
    positions = rotate(crop.rotation, clips.positions)
    return positions - positions[..., H36M.root, None, :]


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


def hidden_error(
    predicted: Float[Tensor, "window frame joint coord"],
    windows: MaskedWindows,
    unit: Float[Tensor, " window"],
) -> Float[Tensor, " joint"]:
    """The mean distance of each joint where it is hidden, or everywhere if nothing is; `unit` is that of a scale of 1.

    Points that are not known do not count. Not a number where there is none: of a joint that was never seen, or is
    hidden in no window. The root, which is 0 by centring, counts as 0.
    """
    distance = torch.linalg.vector_norm(predicted - windows.whole, dim=-1) * (windows.scale * unit[:, None])[..., None]
    distance[..., H36M.root] = 0
    known, counted = windows.whole.isfinite().all(-1), windows.confidence == 0
    counted = (counted if (counted & known).any() else torch.ones_like(counted)) & known
    error: Tensor = (distance.nan_to_num(0.0) * counted).sum((0, 1)) / counted.sum((0, 1))
    return error
