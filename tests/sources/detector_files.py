"""Files as detectors write them, of people that the prior draws: poses are (keypoint, 3), x and y in pixels."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lib.pose.geometry import project
from lib.pose.layout import Layout
from lib.pose.layouts import layout_named
from lib.prior.sampler import PosePrior, PriorParams
from tests.settings import PRIOR

Array = npt.NDArray[Any]
SIZE = (1920, 1080)
_UPRIGHT = PRIOR.model_copy(update={"tumbling_probability": 0.0})


@cache
def _motion(params: PriorParams, layout: Layout, frames: int, seed: int) -> Array:
    sample = PosePrior(params).sample_motion(1, frames, 1 / 30, torch.Generator().manual_seed(seed), layout)
    positions = sample.keypoints[0] + torch.tensor([0.0, 0.0, 5.0])
    points = project(positions).numpy().astype(np.float64) * 1000
    return np.concatenate([points + [SIZE[0] / 2, SIZE[1] / 2], np.full((*points.shape[:2], 1), 0.9)], axis=-1)


def prior_keypoints(layout: str, frames: int = 40, seed: int = 0) -> Array:
    """A person in the middle of the picture: (frame, keypoint, 3), with confidences of 0.9."""
    return _motion(_UPRIGHT, layout_named(layout), frames, seed).copy()


def moved(poses: Array, x: float, y: float = 0.0) -> Array:
    """The same poses elsewhere in the picture."""
    there: Array = poses + np.array([x, y, 0.0])
    return there


def flat(pose: Array) -> list[float]:
    """x, y, confidence of one keypoint after the other; 0, 0, 0 where one was not detected."""
    return [round(float(value), 3) for value in np.where(np.isfinite(pose).all(-1, keepdims=True), pose, 0).ravel()]


def write_openpose(folder: Path, frames: Sequence[Sequence[Array]], prefix: str = "") -> None:
    """A folder of a file a frame, as OpenPose's --write_json; `frames` are the people of each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, people in enumerate(frames):
        content = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": flat(pose)} for pose in people]}
        (folder / f"{prefix}{number:012d}_keypoints.json").write_text(json.dumps(content))


def write_json(path: Path, content: Any) -> None:
    """Write JSON, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def coco_results(poses: Array, **more: Any) -> list[dict[str, Any]]:
    """COCO's results of one person."""
    return [
        {"image_id": frame, "category_id": 1, "keypoints": flat(pose), "score": 0.9, **more}
        for frame, pose in enumerate(poses)
    ]
