"""A reader of BVH motion capture, and its forward kinematics.

The format is M. Meredith and S. Maddock's (Motion capture file formats explained, Sheffield 2001): a tree of joints
with offsets and channels, then a line of channel values a frame. Rotations are in degrees and apply in the order in
which their channels stand, in any order of axes. Joints other than the root may have positions, too: exporters write
them where bones stretch, and mean either the place itself or what is added to the offset; the values tell which.

Libraries were looked at: pybvh (kept well, and the reference in the tests) refuses joints with positions, which
Blender's and other programs' files have; bvhtools ignores them and needs a renderer; bvhio pins other packages.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.geometry import rotation_about
from lib.runtime.bounds import check_text

_AXES = ("x", "y", "z")
_FEWEST_JOINTS = 2


class BvhError(ValueError):
    """A file that cannot be read; the message says what is wrong with it."""


@dataclass(frozen=True)
class Bvh:
    """A file's joints, in its order, and their motion in its own unit and axes.

    End sites are joints without channels, named after their parent with `END`.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1: the root
    offsets: Float[Tensor, "joint 3"]
    channels: tuple[tuple[str, ...], ...]  # of each joint: xposition, zrotation, ...
    values: Float[Tensor, "frame channel"]
    frame_seconds: float

    @property
    def fps(self) -> float:
        """Frames a second; those that a file rounded (0.0083333) are whole."""
        fps = 1 / self.frame_seconds
        return float(round(fps)) if abs(fps - round(fps)) < 2e-3 * fps else fps


END = " end"


def read_bvh(path: Path) -> Bvh:
    """Read a BVH file.

    Raises:
        BvhError: it is no BVH file, or incomplete, or its numbers are not finite.
    """
    if not path.is_file():
        raise BvhError("no file, but a folder, a pipe or a device")
    try:
        check_text(path)
        text = path.read_text(encoding="utf-8-sig", errors="strict")
    except (OSError, ValueError):
        raise BvhError("no text that can be read") from None
    head, found, motion = text.partition("MOTION")
    if not head.lstrip().startswith("HIERARCHY") or not found:
        raise BvhError("no HIERARCHY and MOTION")
    names, parents, offsets, channels = _hierarchy(head)
    frames, seconds, rows = _motion_head(motion)
    width = sum(map(len, channels))
    values = _numbers_of(rows)
    if values is None or values.size != frames * width:
        count = 0 if values is None else values.size
        raise BvhError(f"{frames} frames of {width} channels are announced, but there are {count} numbers")
    if not np.isfinite(values).all():
        raise BvhError("numbers that are not finite")
    return Bvh(
        tuple(names),
        tuple(parents),
        torch.tensor(offsets, dtype=torch.float64),
        tuple(channels),
        torch.from_numpy(values.reshape(frames, width)),
        seconds,
    )


def _numbers_of(rows: str) -> npt.NDArray[np.float64] | None:
    """All numbers of some lines, if they are nothing else."""
    try:
        return np.loadtxt(io.StringIO(rows), dtype=np.float64, ndmin=2)  # ten times as fast as the other way
    except ValueError:
        pass
    try:
        return np.array([float(word) for word in rows.split()])  # frames may go on over several lines
    except ValueError:
        return None


def _hierarchy(head: str) -> tuple[list[str], list[int], list[list[float]], list[tuple[str, ...]]]:
    """The joints with their parents, offsets and channels."""
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    above: list[int] = []
    for line in head.splitlines():
        word, *rest = line.replace("\t", " ").split() or [""]
        match word.upper():
            case "ROOT" | "JOINT" | "END":
                if (word.upper() == "ROOT") == bool(names):
                    raise BvhError("not one root, at the top")
                parent = above[-1] if above else -1
                names.append(names[parent] + END if word.upper() == "END" else " ".join(rest))
                parents.append(parent)
                offsets.append([])
                channels.append(())
            case "{" if len(names) > 0:
                above.append(len(names) - 1)
            case "}" if above:
                above.pop()
            case "OFFSET" if above:
                offsets[above[-1]] = _numbers(rest)
            case "CHANNELS" if above and rest:
                channels[above[-1]] = tuple(channel.lower() for channel in rest[1:])
            case "" | "HIERARCHY":
                pass
            case _:
                raise BvhError(f"{line.strip()[:40]!r} in the hierarchy")
    if above or len(names) < _FEWEST_JOINTS or not all(len(offset) == 3 for offset in offsets):
        raise BvhError("the hierarchy is not complete")
    known = {f"{axis}{kind}" for axis in _AXES for kind in ("position", "rotation")}
    if unknown := [channel for joint in channels for channel in joint if channel not in known]:
        raise BvhError(f"the channel {unknown[0][:40]!r}")
    return names, parents, offsets, channels


def _motion_head(motion: str) -> tuple[int, float, str]:
    """How many frames there are, how long each lasts, and the text of their values."""
    lines = motion.lstrip().splitlines()
    try:
        frames, seconds = (line.split(":", 1)[1] for line in lines[:2])
        announced = int(frames), float(seconds)
    except (ValueError, IndexError):
        raise BvhError("no number of frames and no frame time") from None
    if announced[0] < 1 or not 1e-4 <= announced[1] <= 10:
        raise BvhError(f"{announced[0]} frames of {announced[1]:g} seconds")
    return *announced, "\n".join(lines[2:])


def _numbers(words: list[str]) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if not all(map(np.isfinite, numbers)):
        numbers = []
    return numbers  # too few of them are an offset that is missing


def joint_motion(bvh: Bvh) -> tuple[Float[Tensor, "frame joint 3"], Float[Tensor, "frame joint 3 3"]]:
    """Where all joints are, and how each is turned in the world, in the file's unit and axes."""
    first, positions, rotations = 0, [], []
    for joint, (parent, channels) in enumerate(zip(bvh.parents, bvh.channels, strict=True)):
        values = dict(zip(channels, bvh.values[:, first : first + len(channels)].unbind(-1), strict=True))
        first += len(channels)
        turn = torch.eye(3, dtype=torch.float64).expand(len(bvh.values), 3, 3)
        for channel, angle in values.items():
            if channel.endswith("rotation"):
                turn = turn @ rotation_about(channel[0], torch.deg2rad(angle))
        step = _step(bvh.offsets[joint], values, is_root=parent < 0)
        if parent < 0:
            positions.append(step.expand(len(bvh.values), 3))
            rotations.append(turn)
        else:
            positions.append(positions[parent] + (rotations[parent] @ step[..., None])[..., 0])
            rotations.append(rotations[parent] @ turn)
    return torch.stack(positions, dim=1), torch.stack(rotations, dim=1)


def _step(offset: Float[Tensor, "3"], values: dict[str, Tensor], is_root: bool) -> Float[Tensor, "*frame 3"]:
    """From the parent to a joint: its offset, or its positions, which replace the offset or add to it.

    Those of the root replace it: whether it adds moves the whole motion by a constant, which means nothing.
    """
    given = [values.get(f"{axis}position") for axis in _AXES]
    if all(part is None for part in given):
        return offset
    frames = next(len(part) for part in given if part is not None)
    place = torch.stack([torch.zeros(frames, dtype=torch.float64) if part is None else part for part in given], dim=-1)
    mean = place.mean(0)
    adds = not is_root and float((mean - offset).norm()) > float(mean.norm())
    return place + offset if adds else place
