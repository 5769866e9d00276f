"""Motions as JSON that the page reads: numbers as quantised arrays in base64, all in one upright frame.

Coordinates are 16-bit steps from the lowest of each axis. The code MISSING stands for a point that is not known. All
numbers are little-endian, as browsers' arrays are.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from lib.inference.motion import Motion
from lib.pose.landmarks import side_of
from lib.pose.skeleton import H36M, Skeleton

MISSING = 0xFFFF
LEVELS = MISSING - 1
CONFIDENT = 255
UPRIGHT = (1.0, -1.0, -1.0)  # from the camera's frame: x right, y up, z towards the camera
SOLE = 0.08  # metres from the ankle down to the floor
FEET = {"ankle": SOLE, "heel": 0.0, "big_toe": 0.0, "small_toe": 0.0}
GLITCHES = 0.01  # of the frames, in which a foot may be under the floor


@dataclass(frozen=True)
class Scene:
    """A video or a sequence with all that is known of it: several people, or what several models say of one.

    `Motion.person` and `Motion.model` tell motions apart; `Motion.numbers` says which of their frames belong together.
    """

    title: str
    motions: Sequence[Motion]


def pack_scene(scene: Scene) -> dict[str, Any]:
    """A scene as plain values; frames that only some of its motions have are frames of the scene."""
    numbers, first = np.unique(torch.cat([motion.numbers for motion in scene.motions]).numpy(), return_index=True)
    times = torch.cat([motion.times for motion in scene.motions]).numpy()[first]
    floor = _floor([motion for motion in scene.motions if motion.frame == "camera"])
    return {
        "title": scene.title,
        "fps": float(scene.motions[0].fps),
        "numbers": _base64(numbers.astype("<i4")),
        "times": _base64(times.astype("<f8")),
        "motions": [_motion(motion, numbers, floor) for motion in scene.motions],
    }


def upright(points: Float[Tensor, "*batch 3"], motion: Motion, floor: float) -> Float[Tensor, "*batch 3"]:
    """Points of a motion with y up; in the camera's frame, the floor is at the height `floor` and comes to y = 0."""
    if motion.frame == "world":
        return points
    return points * points.new_tensor(UPRIGHT) - points.new_tensor([0.0, floor, 0.0])


def lowest_foot(points: Float[Tensor, "frame keypoint 3"], landmarks: Sequence[str]) -> float | None:
    """The height of a floor that feet touch and do not sink into, but for a few frames; y is up.

    Of keypoints without feet it is that of the lowest of them; None if none is known.
    """
    below = {index: FEET[side_of(name)[1]] for index, name in enumerate(landmarks) if side_of(name)[1] in FEET}
    feet = points[:, list(below), 1] - points.new_tensor(list(below.values())) if below else points[..., 1]
    heights = feet.amin(1)[feet.isfinite().all(1)]
    return float(heights.double().quantile(GLITCHES)) if len(heights) else None


def _floor(motions: Sequence[Motion]) -> float:
    """The height of the lowest foot of all people; what models say of one person, they say of the same floor."""
    heights = []
    for motion in motions:
        for points, landmarks in (
            (motion.keypoints, motion.layout.landmarks),
            (motion.joints, H36M.names),
            (motion.target, motion.layout.landmarks),
        ):
            if points is not None:
                heights.append(lowest_foot(points * points.new_tensor(UPRIGHT), landmarks))
    known = [height for height in heights if height is not None]
    return min(known, default=0.0)


def _motion(motion: Motion, numbers: Int[np.ndarray[Any, Any], " frame"], floor: float) -> dict[str, Any]:
    keypoints = upright(motion.keypoints, motion, floor)
    packed = {
        "name": motion.name,
        "person": motion.person,
        "model": motion.model,
        "scale": motion.scale,
        "frame": motion.frame,
        "size": list(motion.size),
        "layout": motion.layout.name,
        "frames": _base64(np.searchsorted(numbers, motion.numbers.numpy()).astype("<i4")),  # of the scene
        "pixels": quantised(motion.pixels),
        "confidence": _base64(_confidence(motion.confidence)),
        "keypoints": _points(keypoints, motion.keypoint_error, motion.layout.skeleton, motion.layout.keypoints),
    }
    if not motion.layout.exact:  # else the joints are the keypoints
        joints = upright(motion.joints, motion, floor)
        packed["joints"] = _points(joints, motion.joint_error, H36M, H36M.names)
    if motion.target is not None:
        packed["target"] = quantised(upright(motion.target, motion, floor))
    return packed


def _points(
    positions: Float[Tensor, "frame point 3"],
    error: Float[Tensor, "frame point"],
    skeleton: Skeleton,
    names: Sequence[str],
) -> dict[str, Any]:
    return {
        **skeleton_of(skeleton, names),
        "positions": quantised(positions),
        "error": quantised(error[..., None]),
    }


def skeleton_of(skeleton: Skeleton, names: Sequence[str]) -> dict[str, Any]:
    """What figures are drawn by, with the points' names as people read them."""
    sides = {"left": 1, "right": 2}
    torso = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
    return {
        "names": [name.replace("_", " ") for name in names],
        "bones": [list(bone) for bone in skeleton.bones],
        "sides": [sides.get(side_of(name)[0], 0) for name in skeleton.names],
        "centre": list(skeleton.centre),
        "torso": [skeleton.index(name) for name in torso] if set(torso) <= set(skeleton.names) else [],
    }


def quantised(values: Float[Tensor, "frame point axis"]) -> dict[str, Any]:
    """`data`, `origin` and `step`: a value of an axis is its origin plus its code times the step.

    A point of which any coordinate is not finite is missing.
    """
    exact = values.double().numpy()
    known = np.isfinite(exact).all(-1)
    low = exact[known].min(0) if known.any() else np.zeros(exact.shape[-1])
    span = float((exact[known].max(0) - low).max()) if known.any() else 0.0
    step = span / LEVELS or 1.0
    codes = np.full(exact.shape, MISSING, "<u2")
    codes[known] = np.rint((exact[known] - low) / step).clip(0, LEVELS).astype("<u2")
    return {"data": _base64(codes), "origin": low.tolist(), "step": step}


def _confidence(confidence: Float[Tensor, "frame keypoint"]) -> UInt8[np.ndarray[Any, Any], "frame keypoint"]:
    """In 255 steps; what was detected, however unsurely, does not become 0."""
    exact = confidence.clamp(0, 1).numpy()
    codes: UInt8[np.ndarray[Any, Any], "frame keypoint"]
    codes = np.where(exact > 0, np.rint(exact * CONFIDENT).clip(1), 0).astype("u1")
    return codes


def _base64(array: Shaped[np.ndarray[Any, Any], "..."]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
