"""Perspective crops: what a model reads of a window of keypoints, and how its depths become a pose.

The camera is turned so that the middle of the body is on its optical axis; the picture that results is centred on it
and scaled. Nothing is approximated: a crop is the picture that a camera of the same centre, looking there, would take.
No single keypoint is needed for that: the middle is a mean of those that are seen, of the trunk above all. Crop frame:
x right, y down, z forward, as the camera's, after the turn.
"""

from functools import cache
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.pose.geometry import homogeneous, project, rotate
from lib.pose.landmarks import side_of
from lib.pose.layout import Layout

Normalization = Literal["rms", "max"]  # a crop's unit: the RMS or the largest distance of its keypoints from its middle
_TRUNK = ("pelvis", "hip", "spine", "thorax", "shoulder")
_LIMBS = ("knee", "ankle", "elbow", "wrist", "neck", "head")
DOUBTFUL = 0.05  # of a crop's unit: noise with this standard deviation makes a confidence of a half
NEAREST = 0.05  # of the root's depth: no point is nearer to the camera
ASIDE = 0.02  # what keypoints off the trunk weigh in a crop's middle: they count where no other is seen
ATTACHED = 0.1  # what those of the face, the feet and the hands weigh in a crop's unit


@cache
def _weights(layout: Layout, trunk: float, limbs: float, others: float) -> Tensor:
    names = (side_of(name)[1] for name in layout.landmarks)
    return torch.tensor([trunk if name in _TRUNK else limbs if name in _LIMBS else others for name in names])


class Rays(NamedTuple):
    """Windows of calibrated keypoints, before they are cropped."""

    rays: Float[Tensor, "batch frame keypoint 2"]  # (x, y) = (X, Y) / Z in the camera frame
    std: Float[Tensor, "batch frame keypoint"]  # standard deviation of their noise, as far as known; infinite: hidden
    layout: Layout

    def take(self, index: Any) -> "Rays":
        """Some of the windows and frames."""
        return Rays(self.rays[index], self.std[index], self.layout)


class Crops(NamedTuple):
    """Normalised keypoints of windows, as a model reads them."""

    keypoints: Float[Tensor, "batch frame keypoint 2"]  # centred rays divided by `scale`; hidden ones are anywhere
    confidence: Float[Tensor, "batch frame keypoint"]  # 1 / (1 + std / (DOUBTFUL scale)); 0: hidden, 1: exact
    scale: Float[Tensor, "batch frame"]  # RMS or largest length of the centred rays
    rotation: Float[Tensor, "batch frame 3 3"]  # camera frame -> crop frame
    layout: Layout

    def middle(self) -> "Frames":
        """The middle frames of windows."""
        middle = self.scale.shape[1] // 2
        return Frames(*(part[:, middle] for part in self[:4]))


class Frames(NamedTuple):
    """Crops of single frames."""

    keypoints: Float[Tensor, "batch keypoint 2"]
    confidence: Float[Tensor, "batch keypoint"]
    scale: Float[Tensor, " batch"]
    rotation: Float[Tensor, "batch 3 3"]


def perspective_crops(windows: Rays, normalization: Normalization = "rms") -> Crops:
    """Turn the camera to the middle of the body, then centre and scale.

    The turn is a pan followed by a tilt, so a level camera sees the vertical in the crop's plane x = 0. What is seen in
    any frame of a window counts in all of them, and in those that do not show it, it is put where it is in the others:
    so a keypoint that comes and goes moves neither the middle nor the unit. Frames that show nothing have stand-ins
    (`lib.data.calibration`), and stay where those are; in windows that show nothing, everything counts.
    """
    rays, std, layout = windows
    seen = std.isfinite()
    counted = seen.any(1)
    if torch.compiler.is_exporting() or not seen.all():
        counted = counted | ~counted.any(-1, keepdim=True)
        placed = seen | ~seen.any(-1, keepdim=True)
        if torch.compiler.is_exporting() or not (placed | ~counted[:, None]).all():
            rays = _filled(rays, placed)
    weight = (counted * _weights(layout, 1.0, ASIDE, ASIDE).to(rays))[:, None, :, None]
    x, y = ((weight * rays).sum(2) / weight.sum(2)).unbind(-1)
    rotation = turn_to(x, y)
    turned = project(rotate(rotation, homogeneous(rays)))
    scale = _unit(turned, counted, layout, normalization)
    confidence = 1 / (1 + std / (DOUBTFUL * scale[..., None]))
    return Crops(turned / scale[..., None, None], confidence, scale, rotation, layout)


def _filled(rays: Tensor, seen: Tensor) -> Float[Tensor, "batch frame keypoint 2"]:
    """What is hidden in some frames is where it is in the others, relative to what is seen in all of them."""
    always = seen.all(1, keepdim=True)
    always = (always | (seen & ~always.any(-1, keepdim=True)))[..., None].to(rays)
    middle = (always * rays).sum(2, keepdim=True) / always.sum(2, keepdim=True).clamp_min(1)
    visible = seen[..., None].to(rays)
    off = (visible * (rays - middle)).sum(1, keepdim=True) / visible.sum(1, keepdim=True).clamp_min(1)
    return torch.where(seen[..., None], rays, middle + off)


def extent(windows: Rays) -> Float[Tensor, "batch frame"]:
    """About the unit of the crops that windows would have: the RMS distance of what is seen from its mean."""
    seen = windows.std.isfinite()[..., None]
    count = seen.sum(2).clamp_min(1)
    mean = torch.where(seen, windows.rays, 0.0).sum(2) / count
    squares = torch.where(seen, windows.rays - mean[:, :, None], 0.0).square().sum((2, 3))
    return (squares / count[..., 0]).sqrt().clamp_min(1e-6)


def turn_to(x: Float[Tensor, "*batch"], y: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """The pan and then tilt that put the ray (x, y, 1) on the optical axis."""
    pan, tilt = torch.atan2(x, torch.ones_like(x)), torch.atan2(y, (x * x + 1).sqrt())
    cos_pan, sin_pan, cos, sin = pan.cos(), pan.sin(), tilt.cos(), tilt.sin()
    down = -sin
    rows = (
        *(cos_pan, torch.zeros_like(x), -sin_pan),
        *(down * sin_pan, cos, down * cos_pan),
        *(cos * sin_pan, sin, cos * cos_pan),
    )
    turn: Tensor = torch.stack(rows, -1).unflatten(-1, (3, 3))
    return turn


def _unit(
    centred: Float[Tensor, "batch frame keypoint 2"],
    counted: Bool[Tensor, "batch keypoint"],
    layout: Layout,
    normalization: Normalization,
) -> Float[Tensor, "batch frame"]:
    squares, weight = centred.square().sum(-1), (counted * _weights(layout, 1.0, 1.0, ATTACHED).to(centred))[:, None]
    if normalization == "max":
        return torch.where(counted[:, None], squares, 0.0).amax(-1).sqrt().clamp_min(1e-6)
    return ((weight * squares).sum(-1) / weight.sum(-1)).sqrt().clamp_min(1e-6)


def unproject_crop(
    keypoints: Float[Tensor, "*batch point 2"], scale: Float[Tensor, "*batch"], depth: Float[Tensor, "*batch point"]
) -> Float[Tensor, "*batch point 3"]:
    """The pose that points of a crop and their relative depths stand for, in units of the root's distance.

    Root-centred, in the crop frame; the root comes first. With X_i a point, Z_0 the root's depth and
    d_i = Z_i / Z_0 - 1, which the model gives as `depth` = d_i / scale: (X_i - X_0) / Z_0 = (x_i (1 + d_i) - x_0, d_i).
    Exact under perspective; only the root's distance, Z_0 |(x_0, 1)|, stays unknown. Nothing is behind the camera.
    """
    relative = (depth * scale[..., None]).clamp_min(NEAREST - 1)
    rays = keypoints * scale[..., None, None]
    root = rays[..., :1, :]
    pose = torch.cat([rays * (1 + relative)[..., None] - root, relative[..., None]], dim=-1)
    return pose / (1 + root.square().sum(-1, keepdim=True)).sqrt()


def mirror(windows: Rays) -> Rays:
    """The keypoints of the mirrored scene: x changes its sign, left and right their names."""
    order, sign = list(windows.layout.skeleton.mirror), windows.rays.new_tensor([-1.0, 1.0])
    return Rays(windows.rays[..., order, :] * sign, windows.std[..., order], windows.layout)


def mirror_crops(crops: Crops) -> Crops:
    """The crops of the mirrored scene."""
    order, sign = list(crops.layout.skeleton.mirror), crops.keypoints.new_tensor([-1.0, 1.0])
    flip = crops.rotation.new_tensor([-1.0, 1.0, 1.0]).diag()
    keypoints, confidence = crops.keypoints[..., order, :] * sign, crops.confidence[..., order]
    return Crops(keypoints, confidence, crops.scale, flip @ crops.rotation @ flip, crops.layout)
