"""People who do exercises, with bones of constant lengths: everything bends far, and nothing jumps."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.inference.motion import Motion
from lib.pose.geometry import rotation_about
from lib.pose.landmarks import STANDING
from lib.pose.skeleton import H36M
from tests.inference.motions import walking


def exercising(frames: int = 200, **changes: Any) -> Motion:
    """Turns around twice while bending, crouching and raising bent arms as far as people can, and walks in a circle."""
    joints = exercise(frames)
    return walking(frames, fps=100.0, joints=joints, keypoints=joints, **changes)


def exercise(frames: int) -> Float[Tensor, "frame joint 3"]:
    """The joints; facing +z at first, y up."""
    part = torch.linspace(0, 1, frames, dtype=torch.float64)
    far = (math.pi * part).sin().square()

    def about(axis: str, degrees: float) -> Tensor:
        return rotation_about(axis, math.radians(degrees) * far)

    heading = rotation_about("y", 4 * math.pi * part)
    trunk = heading @ about("x", 50)
    turns = {joint: trunk for joint in ("spine", "thorax", "neck", "head", "left_shoulder", "right_shoulder")}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        turns[f"{side}_hip"] = heading
        turns[f"{side}_knee"] = heading @ about("x", -85) @ about("z", sign * 20)
        turns[f"{side}_ankle"] = turns[f"{side}_knee"] @ about("x", 145)
        turns[f"{side}_elbow"] = trunk @ about("z", sign * 150)
        turns[f"{side}_wrist"] = turns[f"{side}_elbow"] @ about("x", -140)
    standing = torch.tensor([STANDING[name] for name in H36M.names], dtype=torch.float64)
    circle = torch.stack([part.cos(), 0.9 - 0.4 * far, part.sin()], -1)
    places = [circle]
    for child, parent in H36M.bones:
        places.append(places[parent] + turns[H36M.names[child]] @ (standing[child] - standing[parent]))
    return torch.stack(places, 1).float()


def angles_between(first: Float[Tensor, "*batch 3 3"], second: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Degrees between rotations."""
    trace = (first.mT @ second).diagonal(dim1=-2, dim2=-1).sum(-1)
    return torch.rad2deg(((trace - 1) / 2).clamp(-1, 1).acos())
