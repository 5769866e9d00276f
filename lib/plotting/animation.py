"""A moving prediction as a GIF: the 2D keypoints, the predicted 3D pose and, where there is one, the true one.

The GIF is a function of its input alone: no date, no random dither.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from lib.plotting.figures import STYLE, pose_figure
from lib.plotting.skeletons import AZIMUTH, ELEVATION, SkeletonStyle, cuboid, draw_2d, draw_3d, move_2d, move_3d, square

DPI = 72  # a GIF of this size stays below 600 kB with 48 frames
SWING = 25.0  # degrees to either side: depth shows when the view moves
PALETTE = 32  # colours


def frame_indices(length: int, fps: float, gif_frames: int, gif_fps: float) -> Int[Tensor, " shown"]:
    """Which frames of a sequence a GIF shows, at its real speed, from its start and never beyond it."""
    indices = (torch.arange(gif_frames) * (fps / gif_fps)).round().long()
    return indices[indices < length]


@matplotlib.rc_context(STYLE)
def motion_images(
    keypoints: Float[Tensor, "frame joint 2"],
    predicted: Float[Tensor, "frame joint 3"],
    target: Float[Tensor, "frame joint 3"] | None,
    title: str,
    style: SkeletonStyle,
) -> list[Image.Image]:
    """An RGB image a frame; keypoints in pixels, poses in metres, root-centred, camera frame.

    The view swings slowly about the vertical, once to either side and back, so that the GIF has no seam.
    """
    poses = {"predicted 3D": predicted} | ({} if target is None else {"true 3D": target})
    figure, (panels,) = pose_figure([title], tuple(poses), style)
    lines_2d = draw_2d(panels.picture, keypoints[0], style, square(keypoints))
    box = cuboid(*poses.values())
    views = []
    for axes, pose in zip(panels.spaces, poses.values(), strict=True):
        views.append((axes, draw_3d(axes, pose[0], style, box), pose))
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):  # texts that turn with the view are hard to read, and large
            axis.set_ticklabels([])
            axis.set_label_text("")
        axes.text2D(0.5, 0.0, "grid: 50 cm", transform=axes.transAxes, ha="center")
    images = []
    for frame in range(len(keypoints)):
        move_2d(lines_2d, keypoints[frame], style.skeleton)
        for axes, lines, pose in views:
            move_3d(lines, pose[frame], style.skeleton)
            axes.view_init(ELEVATION, AZIMUTH + SWING * math.sin(2 * math.pi * frame / len(keypoints)))
        images.append(_render(figure))
    return images


def _render(figure: Figure) -> Image.Image:
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png", dpi=DPI)
    return Image.open(pixels).convert("RGB")


def write_gif(path: Path, images: Sequence[Image.Image], fps: float) -> None:
    """Write RGB images as an endless GIF with one palette for all of them, so that nothing flickers."""
    palette = _palette(images)
    frames = [_map_colors(image, palette) for image in images]
    duration = 10 * round(100 / fps)  # ms; a GIF counts in hundredths of a second
    frames[0].save(
        path, format="GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0, optimize=True
    )


def _palette(images: Sequence[Image.Image]) -> Int[np.ndarray[Any, Any], "color 3"]:
    """The commonest colours of some of the images, exactly: an averaging palette would tint the background."""
    pixels = np.concatenate([_pack(image) for image in images[:: max(1, len(images) // 4)]])
    packed, counts = np.unique(pixels, return_counts=True)
    return _unpack(packed[np.argsort(-counts, kind="stable")[:PALETTE]])


def _map_colors(image: Image.Image, palette: Int[np.ndarray[Any, Any], "color 3"]) -> Image.Image:
    """Give every pixel the nearest colour; Pillow's own search is not exact and turns white into grey."""
    packed, places = np.unique(_pack(image), return_inverse=True)
    nearest = np.square(_unpack(packed)[:, None] - palette).sum(-1).argmin(-1).astype(np.uint8)
    mapped = Image.fromarray(nearest[places].reshape(image.height, image.width))
    mapped.putpalette(palette.ravel().tolist())
    return mapped


def _pack(image: Image.Image) -> Int[np.ndarray[Any, Any], " pixel"]:
    """Every pixel as one number, because numpy sorts numbers much faster than rows."""
    red, green, blue = np.asarray(image).reshape(-1, 3).astype(np.int64).T
    packed: np.ndarray[Any, Any] = red << 16 | green << 8 | blue
    return packed


def _unpack(packed: Int[np.ndarray[Any, Any], " color"]) -> Int[np.ndarray[Any, Any], "color 3"]:
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1)
