"""Cameras from people who walk on a floor, whom a lifter sees that knows relative depths."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import Tensor

from lib.data.split import Split
from lib.inference.camera_search import ASSUMED_STD, TELLS, find_camera, find_cameras
from lib.inference.lifter import Lifter
from lib.models.lifters import Poses
from lib.pose.geometry import project, rotate
from lib.pose.layouts import H36M_LAYOUT
from lib.pose.skeleton import H36M
from tests.synthetic import BODY_SIZE, STANDING

FPS, SECONDS = 25, 10
ELEVATION, ROLL = 20.0, -6.0  # degrees


class Knowing(Lifter):
    """Gives relative depths as they are, whatever the focal length, and up."""

    def __init__(self, *parts: Tensor) -> None:  # of a split
        self.positions, self.body_size = torch.cat(parts), BODY_SIZE

    def lift_windows(
        self,
        split: Split,
        batch_size: int = 4096,
        flip: bool = True,
        frames: Tensor | None = None,
        live: bool = False,
    ) -> Poses:
        assert frames is not None
        depth = (self.positions[..., 2:] / self.positions[:, H36M.root, None, 2:])[frames]
        points = torch.cat([split.rays[frames], torch.ones_like(depth)], -1) * depth
        eye = torch.eye(3).expand(len(frames), 3, 3)
        points = points - torch.tensor([0.0, 0.0, 1.0])
        return Poses(points, torch.full(points.shape[:2], 0.01), UP.expand(len(frames), 3), eye)


def turn(axis: int, degrees: float) -> Tensor:
    x, y = (other for other in range(3) if other != axis)
    matrix = torch.eye(3)
    matrix[x, x] = matrix[y, y] = math.cos(math.radians(degrees))
    matrix[x, y], matrix[y, x] = -math.sin(math.radians(degrees)), math.sin(math.radians(degrees))
    return matrix


CAMERA = turn(2, ROLL) @ turn(0, ELEVATION)  # from a level camera's frame
UP = CAMERA @ torch.tensor([0.0, -1.0, 0.0])


def walk(frames: int, seed: int = 0, speed: float = 1.0) -> Tensor:
    """Somebody who walks to and fro before the camera, turning about."""
    time = torch.arange(frames) / FPS + 2 * seed
    angle = (1.1 * speed * time)[:, None]
    x, y, z = STANDING.unbind(-1)
    joints = torch.stack(
        [angle.cos() * x + angle.sin() * z, y.expand(frames, -1), angle.cos() * z - angle.sin() * x], dim=-1
    )
    place = torch.stack([(0.9 * speed * time).sin(), torch.zeros(frames), 1.5 * (0.6 * speed * time).cos()], dim=-1)
    return rotate(CAMERA, joints + place[:, None]) + torch.tensor([0.0, 0.0, 5.0])


def seen(*parts: Tensor, factor: float = 1.0, cameras: tuple[str, ...] = ("camera1",)) -> Split:
    """Under an assumed focal length of which the true one is so many times."""
    lengths = [len(part) for part in parts]
    table = pd.DataFrame(
        {
            "subject": "S1",
            "action": "Walking",
            "camera": [cameras[number % len(cameras)] for number in range(len(parts))],
            "fps": float(FPS),
            "width": 1000,
            "height": 1000,
            "start": [sum(lengths[:number]) for number in range(len(parts))],
            "length": lengths,
        }
    )
    rays = project(torch.cat(parts)) * factor
    return Split(H36M_LAYOUT, table, rays, torch.ones(rays.shape[:2]), rays, None)


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("feet", [True, False])
def test_walking_tells_the_focal_length_and_up(factor: float, feet: bool) -> None:
    parts = [walk(FPS * SECONDS, seed) for seed in range(4)]
    split = seen(*parts, factor=factor)
    if not feet:
        split.confidence[:, [H36M.index("left_ankle"), H36M.index("right_ankle")]] = 0.0
    found = find_camera(split, Knowing(*parts))
    assert found.tells
    assert abs(math.log(found.focal_factor / factor)) < 0.1
    assert abs(found.elevation_deg - ELEVATION) < 4
    assert abs(found.roll_deg - ROLL) < 4
    assert torch.tensor(found.up).norm() == pytest.approx(1, abs=1e-5)
    assert found.seconds == pytest.approx(4 * SECONDS)


def test_who_stands_still_tells_little_of_the_focal_length() -> None:
    still = walk(FPS * SECONDS, speed=0.0)
    found = find_camera(seen(still, factor=1.5), Knowing(still))
    assert not found.tells
    assert found.focal_std > 0.8 * ASSUMED_STD
    assert abs(math.log(found.focal_factor)) < 0.1
    assert abs(found.roll_deg - ROLL) < 4


def test_little_motion_never_tells() -> None:
    parts = [walk(2 * FPS) for _ in range(2)]
    split = seen(*parts, factor=1.4)
    short, long = (find_camera(split, Knowing(*parts)), find_camera(seen(*parts * 3, factor=1.4), Knowing(*parts * 3)))
    assert not short.tells
    assert long.focal_std < short.focal_std


@pytest.mark.parametrize("frames", [1, FPS - 1])
def test_what_is_too_short_leaves_the_assumption(frames: int) -> None:
    part = walk(frames)
    found = find_camera(seen(part), Knowing(part))
    assert not found.tells
    assert found.focal_factor == pytest.approx(1)
    assert found.focal_std > TELLS
    assert found.up == (0, -1, 0)
    assert found.seconds == 0


def test_frames_that_show_nobody_count_for_nothing() -> None:
    parts = [walk(FPS * SECONDS, seed) for seed in range(2)]
    split = seen(*parts, factor=1.2)
    hidden = torch.zeros(len(split.rays), dtype=torch.bool)
    hidden[40:60] = True
    spoilt = replace(
        split,
        rays=torch.where(hidden[:, None, None], 0.05 * split.rays, split.rays),
        confidence=split.confidence.masked_fill(hidden[:, None], 0.0),
    )
    found = find_camera(spoilt, Knowing(*parts))
    assert found.tells
    assert abs(math.log(found.focal_factor / 1.2)) < 0.1


def test_each_camera_has_its_own() -> None:
    parts = [walk(FPS * SECONDS, seed) for seed in range(4)]
    split = seen(*parts, cameras=("b", "a"))
    split.rays[: FPS * SECONDS] *= 1.4
    split.rays[2 * FPS * SECONDS : 3 * FPS * SECONDS] *= 1.4

    class EachOne(Knowing):
        def lift_windows(
            self,
            split: Split,
            batch_size: int = 4096,
            flip: bool = True,
            frames: Tensor | None = None,
            live: bool = False,
        ) -> Poses:
            ours = parts[0::2] if split.table["camera"].iloc[0] == "b" else parts[1::2]
            return Knowing(*ours).lift_windows(split, frames=frames)

    found = find_cameras(split, EachOne(*parts))
    assert list(found) == ["b", "a"]
    assert found["b"].focal_factor == pytest.approx(1.4, rel=0.1)
    assert found["a"].focal_factor == pytest.approx(1.0, rel=0.1)
