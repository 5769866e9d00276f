"""Distances by a body's size, the world frame, and feet that stand."""

import pytest
import torch

from lib.inference.trajectory import floor_height, planted, root_distances, world_rotation
from lib.inference.uprightness import ANKLE_JOINTS
from lib.pose.skeleton import H36M
from lib.sequences.noise import Timing
from tests.inference.motions import walking

CAMERA = torch.tensor([0.0, 1.4, 4.0])  # where `walking` is seen from


def test_a_body_of_known_size_tells_its_distance() -> None:
    distance = torch.linspace(3, 6, 200)
    found = root_distances(4.0 / distance, 4.0, Timing([150, 50], [50.0, 50.0]))
    torch.testing.assert_close(found[20:130], distance[20:130], rtol=2e-3, atol=0)
    torch.testing.assert_close(root_distances(4.0 / distance, 4.0, Timing([200], [50.0]), 0.0), distance)


def test_sizes_that_jitter_are_smoothed() -> None:
    noise = (0.05 * torch.randn(400, generator=torch.Generator().manual_seed(0))).exp()
    found = root_distances(4.0 / 5.0 * noise, 4.0, Timing([400], [50.0]))
    assert (found - 5.0).abs().mean() < 0.3 * 5.0 * 0.05


@pytest.mark.parametrize("direction", [(0, -1, 0), (0.1, -0.8, -0.5), (0, 0, -1), (0, 0, 1), (1, 0, 0)])
def test_the_world_is_upright_and_right_handed(direction: tuple[float, float, float]) -> None:
    up = torch.nn.functional.normalize(torch.tensor(direction, dtype=torch.float32), dim=0)
    rotation = world_rotation(up)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3))
    assert torch.det(rotation) == pytest.approx(1)
    torch.testing.assert_close(rotation @ up, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6, rtol=0)


def test_before_a_level_camera_right_stays_right_and_near_comes_forward() -> None:
    rotation = world_rotation(torch.tensor([0.0, -1.0, 0.0]))
    torch.testing.assert_close(rotation @ torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, -2.0, -3.0]))


@pytest.mark.parametrize("along", [-1.0, 1.0])
def test_from_above_and_from_below_right_stays_right(along: float) -> None:
    rotation = world_rotation(torch.tensor([0.0, 0.0, along]))
    torch.testing.assert_close(rotation @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]))


def test_the_floor_is_under_the_foot_that_stands() -> None:
    joints = walking(100).joints + torch.tensor([0.0, 0.7, 0.0])
    assert floor_height(joints) == pytest.approx(0.7, abs=1e-3)


def _slide(joints: torch.Tensor) -> float:
    """Mean metres a second of the ankle that stands."""
    ankles = joints[:, list(ANKLE_JOINTS)]
    stands = ankles[..., 1].argmin(-1)
    step = torch.linalg.vector_norm(ankles.diff(dim=0), dim=-1).gather(1, stands[1:, None])
    return float(step.mean() * 50)


def _standing(frames: int) -> torch.Tensor:
    """Somebody who stands still."""
    return walking(1).joints.expand(frames, -1, -1)


def test_feet_that_stand_do_not_slide() -> None:
    true = _standing(200)
    off = 0.1 * (torch.arange(200) / 15).sin()[:, None, None]
    seen = true + off * torch.nn.functional.normalize(true[:, :1] - CAMERA, dim=-1)
    times = torch.arange(200, dtype=torch.float64) / 50
    move = planted(seen, CAMERA, times)
    assert _slide(seen + move[:, None]) < 0.4 * _slide(seen)
    sight = torch.nn.functional.normalize(seen[:, H36M.root] - CAMERA, dim=-1)
    assert torch.linalg.vector_norm(torch.linalg.cross(move, sight), dim=-1).max() < 1e-5  # along the line of sight


def test_who_stands_on_the_floor_stays() -> None:
    assert planted(_standing(50), CAMERA, torch.arange(50, dtype=torch.float64) / 50).abs().max() < 1e-3
    assert planted(_standing(1), CAMERA, torch.zeros(1, dtype=torch.float64)).abs().max() == 0


def test_who_jumps_is_not_pulled_down() -> None:
    high = _standing(50) + torch.tensor([0.0, 0.6, 0.0])
    assert planted(high, CAMERA, torch.arange(50, dtype=torch.float64) / 50).abs().max() < 1e-3
