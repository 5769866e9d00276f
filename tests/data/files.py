"""Writers of tiny raw files, and a projection written out independently of lib.pose.cameras."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.pose.cameras import Camera
from lib.pose.skeleton import H36M
from lib.sources.base import SourceParams, SplitParams, VirtualCameraParams
from lib.sources.clips import CLIPS, file_name
from lib.sources.h36m_cameras import cameras

Array = npt.NDArray[Any]

SUBJECTS = ("S1", "S8", "S9")
ACTIONS = ("Walking", "Eating 2")
FRAMES = 30
VIRTUAL_CAMERAS: dict[str, Any] = {
    "count": 4,
    "elevation_deg": (10.0, 16.0),
    "distance_m": (4.1, 5.5),
    "fov_deg": 47.0,
    "seed": 0,
}
METADATA: dict[str, Any] = {"num_joints": 17, "keypoints_symmetry": [list(H36M.left), list(H36M.right)]}

# The joints of Human3.6M's capture system that are joints of the skeleton, by the place where it stores them.
CAPTURED = {
    "pelvis": 0,
    "right_hip": 1,
    "right_knee": 2,
    "right_ankle": 3,
    "left_hip": 6,
    "left_knee": 7,
    "left_ankle": 8,
    "spine": 12,
    "thorax": 13,
    "neck": 14,
    "head": 15,
    "left_shoulder": 17,
    "left_elbow": 18,
    "left_wrist": 19,
    "right_shoulder": 25,
    "right_elbow": 26,
    "right_wrist": 27,
}
# A person who stands at the world's origin and looks along x; z is up, y to the left; metres.
STANDING = {
    "pelvis": (0.0, 0.0, 0.9),
    "hip": (0.0, 0.13, 0.9),
    "knee": (0.02, 0.13, 0.47),
    "ankle": (0.0, 0.13, 0.06),
    "spine": (0.0, 0.0, 1.13),
    "thorax": (0.0, 0.0, 1.37),
    "neck": (0.07, 0.0, 1.47),
    "head": (0.04, 0.0, 1.59),
    "shoulder": (0.0, 0.15, 1.36),
    "elbow": (0.0, 0.17, 1.08),
    "wrist": (0.06, 0.18, 0.84),
}


def standing() -> Array:
    """(17, 3) in the world."""
    rows = []
    for name in H36M.names:
        x, y, z = STANDING[name.removeprefix("left_").removeprefix("right_")]
        rows.append((x, -y if name.startswith("right") else y, z))
    return np.array(rows)


def random_walk(frames: int, generator: np.random.Generator) -> Array:
    """(frames, 17, 3) in the world: a person who drifts and trembles."""
    joints = 0.005 * generator.standard_normal((frames, 17, 3)).cumsum(0)
    drift = 0.02 * generator.standard_normal((frames, 1, 3)).cumsum(0)
    return (standing() + joints + drift).astype(np.float32)


def captured(pose: Array) -> Array:
    """The 32 joints of the capture system; those that nobody wants are far away."""
    full = np.full((len(pose), 32, 3), 99.0, np.float32)
    for name, index in CAPTURED.items():
        full[:, index] = pose[:, H36M.index(name)]
    return full


def reference_projection(world: Array, camera: Camera) -> Array:
    """World -> pixels as the file format defines it, in double precision."""
    w, x, y, z = camera.orientation
    # The rotation matrix of a quaternion, column by column; its transpose is its inverse.
    axes = np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y + w * z), 2 * (x * z - w * y)],
            [2 * (x * y - w * z), w * w - x * x + y * y - z * z, 2 * (y * z + w * x)],
            [2 * (x * z + w * y), 2 * (y * z - w * x), w * w - x * x - y * y + z * z],
        ]
    ) / np.dot(camera.orientation, camera.orientation)
    points = (world.astype(np.float64) - np.array(camera.position)) @ axes.T
    u, v = points[..., 0] / points[..., 2], points[..., 1] / points[..., 2]
    (k1, k2, k3), (p1, p2) = camera.radial, camera.tangential
    r2 = u**2 + v**2
    factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * u + p2 * v
    (fx, fy), (cx, cy) = camera.focal, camera.center
    return np.stack([fx * (u * factor + p1 * r2) + cx, fy * (v * factor + p2 * r2) + cy], axis=-1)


def h36m_takes(subjects: Sequence[str] = SUBJECTS) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """3D and exact 2D of all subjects and actions, in VideoPose3D's layout."""
    generator = np.random.default_rng(0)
    positions: dict[str, dict[str, Any]] = {}
    keypoints: dict[str, dict[str, Any]] = {}
    for subject in subjects:
        poses = {action: random_walk(FRAMES, generator) for action in ACTIONS}
        positions[subject] = {action: captured(pose) for action, pose in poses.items()}
        keypoints[subject] = {
            action: [reference_projection(pose, camera).astype(np.float32) for camera in cameras(subject)]
            for action, pose in poses.items()
        }
    return positions, keypoints


def write_h36m(
    folder: Path,
    positions: Any,
    keypoints: Any,
    name: str = "gt",
    metadata: Any = METADATA,
) -> None:
    """Write VideoPose3D's two files."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=positions)
    np.savez_compressed(folder / f"data_2d_h36m_{name}.npz", positions_2d=keypoints, metadata=metadata)


def clip_frames(seconds: float = 1.0, rate: float = 30.0) -> list[list[float]]:
    """Frames of a DeepMimic clip: a person stands upright and straight while moving 0.5 m/s forward."""
    count = round(seconds * rate) + 1
    upright = [1.0, 0.0, 0.0, 0.0]
    limbs = [*upright, 0.0, *upright, *upright, 0.0]
    return [[1 / rate, 0.5 * i / rate, 0.9, 0.0, *upright, *upright, *upright, *limbs, *limbs] for i in range(count)]


def write_clips(folder: Path, frames: Sequence[Sequence[float]] | None = None) -> None:
    """Write all clips of the sample, all of the same motion."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip in sum(CLIPS.values(), ()):
        content = {"Loop": "none", "Frames": clip_frames() if frames is None else frames}
        (folder / file_name(clip)).write_text(json.dumps(content), encoding="utf-8")


def source_params(source: str = "h36m", **changes: Any) -> SourceParams:
    """`data`, with the subjects of these files."""
    split = {"train": ("S1",), "validation": ("S8",), "test": ("S9",)}
    content = {
        "source": source,
        "keypoints": "gt",
        "layout": "auto",
        "cameras": "auto",
        "fps": 30.0,
        "size": "auto",
        "rotate": "auto",
        "people": "all",
        "split": SplitParams(**split),
        "min_frames": 10,
        "virtual_cameras": VirtualCameraParams(**VIRTUAL_CAMERAS),
    }
    return SourceParams(**{**content, **changes})
