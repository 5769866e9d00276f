"""A motion as other programs expect it: y up, evenly spaced in time, every point under a name of its own."""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.inference.motion import Motion
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError

UPRIGHT = "x right, y up, z towards the camera"
_EVEN = 0.25  # of a frame: how far off its time in an even file a frame may be
_MOST_FRAMES = 1_000_000


class Points(NamedTuple):
    """Named points of a person: Human3.6M's joints, and after them the keypoints where they are others."""

    names: tuple[str, ...]
    places: Float[Tensor, "frame point 3"]  # metres


def upright(motion: Motion) -> Motion:
    """The motion with y up, x to the right and z towards the camera: the world frame as it is.

    Of the camera frame, y and z change their signs, and the camera stays the origin: upright, if the camera was level.
    """
    if motion.frame == "world":
        return motion

    def turned(places: Float[Tensor, "frame point 3"]) -> Float[Tensor, "frame point 3"]:
        return places * places.new_tensor([1.0, -1.0, -1.0])

    target = None if motion.target is None else turned(motion.target)
    return replace(motion, keypoints=turned(motion.keypoints), joints=turned(motion.joints), target=target)


def evenly_spaced(motion: Motion) -> Motion:
    """The motion with frames the same time apart, for formats that hold nothing but a frame rate.

    Where all frames are within a quarter of one from such times, they stay as they are. Else 3D is on straight lines in
    time between them, at the motion's own frame rate, and what belongs to pictures is the nearest frame's.

    Raises:
        UserError: that would be more than a million frames.
    """
    frames, times = len(motion), motion.times.double()
    if frames == 1:
        return motion
    even = torch.linspace(float(times[0]), float(times[-1]), frames, dtype=torch.float64)
    spacing = float(times[-1] - times[0]) / (frames - 1)
    if float((times - even).abs().max()) <= _EVEN * spacing and abs(spacing * motion.fps - 1) < _EVEN:
        return replace(motion, fps=1 / spacing, times=even)
    count = round(float(times[-1] - times[0]) * motion.fps) + 1
    if count > _MOST_FRAMES:
        raise UserError(
            f"{motion.name}: {frames} frames are {times[-1] - times[0]:.0f} seconds apart, over a million at "
            f"{motion.fps:g} frames a second: formats without times cannot hold that; choose json, csv, npz or h5"
        )
    wanted = times[0] + torch.arange(count, dtype=torch.float64) / motion.fps
    after = torch.searchsorted(times, wanted).clamp(1, frames - 1)
    part = ((wanted - times[after - 1]) / (times[after] - times[after - 1])).clamp(0, 1)

    def at(values: Tensor) -> Tensor:
        among = part.reshape(-1, *[1] * (values.ndim - 1))
        return torch.lerp(values[after - 1].double(), values[after].double(), among)

    nearest = torch.where(part < 0.5, after - 1, after)
    return replace(
        motion,
        times=wanted,
        numbers=motion.numbers[nearest],
        pixels=motion.pixels[nearest],
        confidence=motion.confidence[nearest],
        keypoints=at(motion.keypoints),
        keypoint_error=at(motion.keypoint_error),
        joints=at(motion.joints),
        joint_error=at(motion.joint_error),
        target=None if motion.target is None else at(motion.target),
    )


def check_spacing(motion: Motion) -> None:
    """Refuse a motion that no number of evenly spaced frames can hold; raises UserError."""
    evenly_spaced(motion)


def points_of(motion: Motion) -> Points:
    """All points of a motion: `pelvis` is a joint, `keypoint_pelvis` a keypoint of a layout of its own."""
    if motion.layout.exact:  # its keypoints are the joints
        return Points(H36M.names, motion.joints)
    names = (*H36M.names, *(f"keypoint_{name}" for name in motion.layout.keypoints))
    return Points(names, torch.cat([motion.joints, motion.keypoints], 1))
