"""Takes written here, and the cameras around them."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.runtime.errors import UserError
from lib.sources.climbing import ELEVATIONS, JOINTS, TAKES, Motion, read_climbing
from lib.sources.virtual_cameras import camera_around


def write(folder: Path) -> None:
    for take in TAKES:
        joints = np.arange(53, dtype=np.float32)[None, :, None] + np.zeros((3, 1, 3), np.float32)
        np.save(folder / f"climb_{take}.npy", joints + take / 10)


def test_the_joints_are_those_of_the_files(tmp_path: Path) -> None:
    write(tmp_path)
    motions = read_climbing(tmp_path)
    assert [motion.name for motion in motions] == [f"climb_{take}" for take in TAKES]
    assert motions[2].positions.shape == (3, len(JOINTS), 3) and motions[2].fps == 120
    # The order of Motive's skeleton: hips, spine, left arm with 15 joints of fingers, right arm, left and right leg
    where = {name: float(motions[0].positions[0, number, 0]) for number, name in enumerate(JOINTS)}
    expected = {"pelvis": 0, "chest": 2, "head": 4, "left_shoulder": 6, "left_wrist": 8, "left_index": 12}
    expected |= {"left_pinky": 21, "right_collar": 24, "right_shoulder": 25, "right_wrist": 27, "right_pinky": 40}
    expected |= {"left_hip": 43, "left_toe": 46, "right_hip": 47, "right_knee": 48, "right_toe": 50}
    assert {name: where[name] for name in expected} == expected


def test_a_take_that_is_missing_or_no_take_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"climb_0\.npy is missing: run `python -m stages\.wild --prepare`"):
        read_climbing(tmp_path)
    write(tmp_path)
    np.save(tmp_path / "climb_1.npy", np.zeros((4, 52, 3), np.float32))
    with pytest.raises(UserError, match=r"climb_1\.npy is no take of 53 joints"):
        read_climbing(tmp_path)
    (tmp_path / "climb_0.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"climb_0\.npy is no take of 53 joints"):
        read_climbing(tmp_path)


@pytest.mark.parametrize("elevation", [-20.0, 0.0, 40.0, 70.0])
@pytest.mark.parametrize("azimuth", [0.0, 2.0, 4.5])
def test_a_camera_looks_at_the_middle_from_its_elevation(elevation: float, azimuth: float) -> None:
    middle = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    camera = camera_around("a", middle, math.radians(elevation), azimuth, 4.0, 1150.0)
    up = torch.tensor([0.0, 0.0, 0.1], dtype=torch.float64)
    seen = camera.to_camera(torch.stack([middle, middle + up]))
    torch.testing.assert_close(seen[0], torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64), atol=1e-9, rtol=0)
    assert seen[1, 0].abs() < 1e-9 and seen[1, 1] < 0  # up is up in the picture
    away = torch.tensor(camera.position, dtype=torch.float64) - middle
    assert math.degrees(math.asin(float(away[2]) / 4)) == pytest.approx(elevation)


def test_all_of_a_take_is_in_every_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    motion = Motion("climb_0", 120.0, torch.randn(20, len(JOINTS), 3, generator=generator) * 2)
    cameras = motion.cameras()
    assert [camera.name for camera in cameras] == [f"elevation{degrees:g}" for degrees in ELEVATIONS]
    for camera in cameras:
        positions = camera.to_camera(motion.positions)
        pixels = camera.project(positions)
        assert positions[..., 2].min() > 0 and pixels.min() >= -0.5 and pixels.max() <= 999.5
