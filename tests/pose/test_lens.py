"""Lenses from points and pixels."""

import pytest
import torch

from lib.pose.cameras import Camera
from lib.pose.lens import FEWEST, fitted

NOMINAL = Camera("any", (2000, 1500), (1500.0, 1500.0), (1000.0, 750.0))
TRUE = Camera("any", (2000, 1500), (1310.0, 1320.0), (1040.0, 700.0))


def points(count: int = 3000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([1.5, 1.2, 1.0], dtype=torch.float64)
    return torch.randn(count, 3, generator=generator, dtype=torch.float64) * spread + torch.tensor([0.0, 0.0, 5.0])


def test_a_lens_is_found_whatever_the_unit() -> None:
    world = points()
    for unit in (1.0, 1000.0):
        found = fitted(NOMINAL, world * unit, TRUE.project(world))
        assert (*found.focal, *found.center) == pytest.approx((*TRUE.focal, *TRUE.center), abs=1e-3)
        assert found.radial == (0, 0, 0) and (found.name, found.size) == (NOMINAL.name, NOMINAL.size)


def test_distortion_is_found() -> None:
    world = points() * torch.tensor([0.4, 0.4, 0.2]) + torch.tensor([0.0, 0.0, 4.0])
    true = Camera("any", TRUE.size, TRUE.focal, TRUE.center, (-0.2, 0.1, 0.0), (-0.001, 0.002), opencv=True)
    found = fitted(NOMINAL, world, true.project(world), distortion=True)
    assert found.opencv
    assert (*found.radial, *found.tangential) == pytest.approx((*true.radial, *true.tangential), abs=1e-4)


def test_noise_gaps_and_outliers_do_little() -> None:
    world, generator = points(), torch.Generator().manual_seed(1)
    pixels = TRUE.project(world) + 5 * torch.randn(len(world), 2, generator=generator, dtype=torch.float64)
    pixels[::20] += 300
    pixels[::21], world[::22] = torch.nan, torch.nan
    pixels[::23] = 0
    found = fitted(NOMINAL, world, pixels)
    assert found.focal == pytest.approx(TRUE.focal, rel=0.01)
    assert found.center == pytest.approx(TRUE.center, abs=5)


def test_what_says_nothing_of_a_lens_changes_nothing() -> None:
    world = points()
    assert fitted(NOMINAL, world[: FEWEST // 2], TRUE.project(world[: FEWEST // 2])) == NOMINAL
    assert fitted(NOMINAL, -world, TRUE.project(world)) == NOMINAL  # behind the camera
    assert fitted(NOMINAL, world, TRUE.project(world) / 1000) == NOMINAL  # pixels in 0..1
