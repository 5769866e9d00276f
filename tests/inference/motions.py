"""Made-up motions, for what shows them and writes them."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.inference.motion import Motion
from lib.pose.geometry import project
from lib.pose.landmarks import JOINTS, LANDMARKS, STANDING
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT
from lib.pose.skeleton import H36M

AWAY = 4.0  # metres from the camera, which is 1.4 m above the floor


def walking(frames: int = 50, fps: float = 25.0, layout: Layout = H36M_LAYOUT, **changes: Any) -> Motion:
    """Somebody in the world frame who walks to the right, swings arms and legs, and of whom nothing is hidden.

    Bones keep their lengths; the ankle that is lower is at y = 0.08 always. The right wrist is said to be 0.2 m off,
    the rest 0.02.
    """
    times = torch.arange(frames, dtype=torch.float64) / fps
    landmarks = _walking(times.float())
    keypoints, joints = layout.mixing @ landmarks, landmarks[:, :JOINTS]
    seen = keypoints + keypoints.new_tensor([0.0, -1.4, -AWAY])
    pixels = project(seen * seen.new_tensor([1.0, -1.0, -1.0])) * 1000 + seen.new_tensor([640.0, 360.0])
    motion = {
        "name": "walk",
        "person": "0",
        "layout": layout,
        "frame": "world",
        "scale": "the size of an average body",
        "size": (1280, 720),
        "fps": fps,
        "numbers": torch.arange(frames),
        "times": times,
        "pixels": pixels,
        "confidence": torch.full(keypoints.shape[:2], 0.9),
        "keypoints": keypoints,
        "keypoint_error": _error(layout.landmarks).expand(frames, -1),
        "joints": joints,
        "joint_error": _error(H36M.names).expand(frames, -1),
    }
    return Motion(**{**motion, **changes})


def _error(names: tuple[str, ...]) -> Float[Tensor, " point"]:
    return torch.tensor([0.2 if name == "right_wrist" else 0.02 for name in names])


def _walking(seconds: Float[Tensor, " frame"]) -> Float[Tensor, "frame landmark 3"]:
    standing = torch.tensor([STANDING[name] for name in LANDMARKS])  # to the left, up, forward
    points = standing.expand(len(seconds), -1, -1).clone()
    swing = 0.4 * (2 * math.pi * seconds).sin()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for joint, way, below in (("hip", sign, LEG), ("shoulder", -sign, ARM)):
            about = points[:, None, LANDMARKS.index(f"{side}_{joint}")]
            moved = [index for index, name in enumerate(LANDMARKS) if name in {f"{side}_{part}" for part in below}]
            x, y, z = (points[:, moved] - about).unbind(-1)
            cos, sin = (way * swing).cos()[:, None], (way * swing).sin()[:, None]
            points[:, moved] = about + torch.stack([x, cos * y + sin * z, cos * z - sin * y], -1)
    ankles = [LANDMARKS.index(f"{side}_ankle") for side in ("left", "right")]
    points[..., 1] += 0.08 - points[:, ankles, 1].amin(1)[:, None]
    left, up, forward = points.unbind(-1)
    return torch.stack([forward + 1.2 * seconds[:, None], up, -left], -1)


LEG = ("knee", "ankle", "heel", "big_toe", "small_toe")
ARM = ("elbow", "wrist", "thumb", "index", "pinky")
