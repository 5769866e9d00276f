"""Writers of small files of MPI-INF-3DHP and HumanEva, as P-STMO and VideoPose3D write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.pose.cameras import Camera
from lib.sources.humaneva import CAMERAS, STANDS
from tests.data.files import Array, random_walk, reference_projection

FRAMES = 30
STUDIO = Camera("0", (2048, 2048), (1497.693, 1497.103), (1024.704, 1051.394))
OUTDOORS = Camera("0", (1920, 1080), (1683.4, 1672.0), (939.9, 560.2))
# P-STMO's joints as H36M's, whose head and neck stand for points that it has besides
MPI_FROM_H36M = (10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9)
EVA_FROM_H36M = (0, 8, 11, 12, 13, 14, 15, 16, 4, 5, 6, 1, 2, 3, 10)
EVA_LENS = {
    "size": (640, 480),
    "focal": (765.789, 765.33),
    "center": (299.77, 232.35),
    "radial": (-0.289415, 0.105962, 0.0),
    "tangential": (-0.001358, 0.00113),
    "opencv": True,
}


def mpi_video(camera: Camera, seed: int, frames: int = FRAMES) -> dict[str, Any]:
    """Somebody in front of a camera: pixels, and millimetres in its frame (y down)."""
    world = random_walk(frames, np.random.default_rng(seed))[:, MPI_FROM_H36M]
    seen = np.stack([world[..., 1], 0.9 - world[..., 2], 3.5 - world[..., 0]], axis=-1)
    pixels = seen[..., :2] / seen[..., 2:] * camera.focal + np.array(camera.center)
    return {"data_2d": pixels.astype(np.float64), "data_3d": (1000 * seen).astype(np.float32)}


def write_mpi(folder: Path, changes: dict[str, Any] | None = None, tests: dict[str, Any] | None = None) -> None:
    """The two files: S1 and S8 in two cameras, TS1 and TS5; `changes` and `tests` replace entries."""
    train: dict[str, Any] = {
        f"{subject} {take}": [{camera: mpi_video(STUDIO, number + int(camera)) for camera in ("0", "8")}]
        for number, (subject, take) in enumerate((("S1", "Seq1"), ("S1", "Seq2"), ("S8", "Seq1")))
    }
    valid = np.zeros(FRAMES)
    valid[4::5] = 1
    test: dict[str, Any] = {
        "TS1": {**mpi_video(STUDIO, 7), "valid": valid},
        "TS5": {**mpi_video(OUTDOORS, 8), "valid": np.ones(FRAMES)},
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "data_train_3dhp.npz", data=np.array(train | (changes or {}), dtype=object))
    np.savez_compressed(folder / "data_test_3dhp.npz", data=np.array(test | (tests or {}), dtype=object))


def eva_cameras(person: str) -> list[Camera]:
    """The cameras of a person, with a lens like that of the data set."""
    return [
        Camera(name, orientation=orientation, position=position, **EVA_LENS)  # type: ignore[arg-type]
        for name, (orientation, position) in zip(CAMERAS, STANDS[person], strict=True)
    ]


def eva_takes(people: Sequence[str] = ("S1", "S2")) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """3D and exact 2D of some people in training and validation."""
    positions: dict[str, dict[str, Array]] = {}
    keypoints: dict[str, dict[str, list[Array]]] = {}
    for number, subject in enumerate(f"{part}/{person}" for part in ("Train", "Validate") for person in people):
        world = random_walk(FRAMES, np.random.default_rng(number))[:, EVA_FROM_H36M]
        positions[subject] = {"Walking 1 chunk0": world}
        keypoints[subject] = {"Walking 1 chunk0": [_seen(world, each) for each in eva_cameras(subject[-2:])]}
    return positions, keypoints


def _seen(world: Array, camera: Camera) -> Array:
    """OpenCV's distortion is the store's; the projection of tests/data/files.py is Human3.6M's."""
    if not camera.opencv:
        return reference_projection(world, camera).astype(np.float32)
    seen = camera.project(camera.to_camera(torch.from_numpy(world).double()))
    return seen.float().numpy()


def write_eva(folder: Path, positions: Any, keypoints: Any, name: str = "gt") -> None:
    """VideoPose3D's two files."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata: Any = {"layout_name": "humaneva15", "num_joints": 15}
    np.savez_compressed(folder / "data_3d_humaneva15.npz", positions_3d=positions)
    np.savez_compressed(folder / f"data_2d_humaneva15_{name}.npz", positions_2d=keypoints, metadata=metadata)
