"""Draw one pose on axes: keypoints in the picture, or a 3D pose in a box with equal axes.

Poses come in the camera frame (x right, y down, z forward) and are drawn with z up: plot (x, y, z) = (x, z, -y), so
that the default view is close to what the camera sees, from a little above and from the side.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]
from torch import Tensor

from lib.pose.skeleton import Skeleton

ELEVATION, AZIMUTH = 12.0, -65.0  # degrees; azimuth -90 looks along the camera's own axis
MARGIN = 0.06  # around a person, as a part of its size
MIN_HALF = 0.5  # metres: the floor and the height shown are at least twice this, so that ticks have room

# Landmarks of a person who faces us: where errors are drawn as colours. No measure of anything.
FRONT = {
    "head": (0.0, 1.80),
    "neck": (0.0, 1.62),
    "thorax": (0.0, 1.46),
    "spine": (0.0, 1.20),
    "pelvis": (0.0, 0.95),
    **{f"{side}_shoulder": (sign * 0.19, 1.42) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_elbow": (sign * 0.34, 1.16) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_wrist": (sign * 0.46, 0.90) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_hip": (sign * 0.14, 0.92) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_knee": (sign * 0.18, 0.50) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_ankle": (sign * 0.21, 0.08) for side, sign in (("left", 1), ("right", -1))},
    "nose": (0.0, 1.66),
    "head_top": (0.0, 1.86),
    **{f"{side}_eye": (sign * 0.05, 1.71) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_eye_inner": (sign * 0.02, 1.71) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_eye_outer": (sign * 0.08, 1.71) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_ear": (sign * 0.11, 1.68) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_mouth": (sign * 0.03, 1.59) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_heel": (sign * 0.17, 0.03) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_big_toe": (sign * 0.22, 0.0) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_small_toe": (sign * 0.29, 0.0) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_thumb": (sign * 0.43, 0.81) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_index": (sign * 0.48, 0.78) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_pinky": (sign * 0.53, 0.80) for side, sign in (("left", 1), ("right", -1))},
}


class SkeletonStyle(NamedTuple):
    """A skeleton and the colours of its sides; blue and vermilion suit any colour vision (Okabe and Ito)."""

    skeleton: Skeleton
    left: str = "#0072B2"
    right: str = "#D55E00"
    middle: str = "#4D4D4D"

    def color(self, joint: int) -> str:
        """The colour of a joint and of the bone to its parent."""
        return self.left if joint in self.skeleton.left else self.right if joint in self.skeleton.right else self.middle


class Box(NamedTuple):
    """The part of the picture or of space in which poses are drawn, in the unit and the frame of the poses."""

    center: tuple[float, ...]
    half: tuple[float, ...]  # of each side


def to_plot(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Camera frame -> plot coordinates with z up."""
    x, y, z = points.unbind(-1)
    return torch.stack([x, z, -y], dim=-1)


def square(keypoints: Float[Tensor, "*frames joint 2"]) -> Box:
    """The smallest square, with a margin, that holds all these keypoints."""
    center, half = _extent(keypoints)
    side = float(half.max().clamp_min(1.0))
    return Box(tuple(center.tolist()), (side, side))


def cuboid(*poses: Float[Tensor, "*frames joint 3"]) -> Box:
    """The smallest upright cuboid on a square floor, with a margin, that holds all these poses (metres)."""
    center, half = _extent(torch.cat([pose.reshape(-1, 3) for pose in poses]))
    x, y, z = half.tolist()
    floor = max(x, z, MIN_HALF)
    return Box(tuple(center.tolist()), (floor, max(y, MIN_HALF), floor))


def _extent(points: Float[Tensor, "*batch coord"]) -> tuple[Float[Tensor, " coord"], Float[Tensor, " coord"]]:
    """The middle of all points that are known and half their extent with a margin."""
    flat = points.reshape(-1, points.shape[-1])
    flat = flat[flat.isfinite().all(-1)]
    if len(flat) == 0:
        flat = points.new_zeros(1, points.shape[-1])
    low, high = flat.amin(0), flat.amax(0)
    return (low + high) / 2, (high - low) * (0.5 + MARGIN)


def draw_2d(
    axes: Axes, keypoints: Float[Tensor, "joint 2"], style: SkeletonStyle, box: Box | None = None
) -> list[Line2D]:
    """Draw keypoints (pixels) as a camera shows them: v down, equal axes, cut to `box`; returns a line a bone."""
    (u, v), (half, _) = box or square(keypoints)
    lines = [axes.plot([], [], color=style.color(child), **_BONE)[0] for child, _ in style.skeleton.bones]
    move_2d(lines, keypoints, style.skeleton)
    axes.set_xlim(u - half, u + half)
    axes.set_ylim(v + half, v - half)
    axes.set_aspect("equal")
    axes.set(xlabel="u (px)", ylabel="v (px)")
    return lines


def move_2d(lines: Sequence[Line2D], keypoints: Float[Tensor, "joint 2"], skeleton: Skeleton) -> None:
    """Move the lines of `draw_2d` to other keypoints."""
    points = keypoints.numpy()
    for line, bone in zip(lines, skeleton.bones, strict=True):
        line.set_data(points[list(bone), 0], points[list(bone), 1])


def draw_3d(axes: Axes3D, pose: Float[Tensor, "joint 3"], style: SkeletonStyle, box: Box | None = None) -> list[Line2D]:
    """Draw a pose (metres, camera frame) with equal axes; returns a line a bone."""
    box = box or cuboid(pose)
    lines = [axes.plot([], [], [], color=style.color(child), **_BONE)[0] for child, _ in style.skeleton.bones]
    move_3d(lines, pose, style.skeleton)
    center = to_plot(torch.tensor(box.center)).tolist()
    half = to_plot(torch.tensor(box.half)).abs().tolist()
    axes.set_box_aspect(half, zoom=_zoom(*half))  # equal axes: a metre has one length along all three
    axes.view_init(ELEVATION, AZIMUTH)
    ticks = np.arange(-5, 5.5, 0.5)
    three = (axes.xaxis, axes.yaxis, axes.zaxis), ("right", "depth", "up"), center, half
    for axis, name, middle, extent in zip(*three, strict=True):
        axis.set_view_interval(middle - extent, middle + extent, ignore=True)
        inside = ticks[np.abs(ticks - middle) < extent - 0.05]
        axis.set_ticks(inside, [f"{tick:.1f}" for tick in inside])
        upright = name == "up"
        axis.set_tick_params(pad=3 if upright else -2)
        axis.set_label_text(f"{name} (m)")
        axis.labelpad = 6 if upright else -2
        axis.set_pane_color((0.96, 0.96, 0.96, 1.0))
    return lines


def move_3d(lines: Sequence[Line2D], pose: Float[Tensor, "joint 3"], skeleton: Skeleton) -> None:
    """Move the lines of `draw_3d` to another pose."""
    points = to_plot(pose).numpy()
    for line, bone in zip(lines, skeleton.bones, strict=True):
        line.set_data_3d(*points[list(bone)].T)  # type: ignore[attr-defined]  # Line3D has no stubs


def _zoom(right: float, depth: float, up: float) -> float:
    """What makes a cuboid with these half sides fill its panel and leaves room for the labels."""
    azimuth, elevation = math.radians(AZIMUTH), math.radians(ELEVATION)
    width = right * abs(math.sin(azimuth)) + depth * abs(math.cos(azimuth))
    height = up * math.cos(elevation) + (right + depth) * 0.7 * math.sin(elevation)
    # Matplotlib draws every cuboid with the same diagonal; the two parts of the panel are by eye.
    return math.hypot(right, depth, up) * min(0.66 / width, 0.74 / height)


_BONE: dict[str, Any] = {"linewidth": 2.5, "marker": "o", "markersize": 3.5, "solid_capstyle": "round"}
