import math

import pytest
import torch

from lib.sequences import noise
from tests.settings import synthetic_split

SECONDS, FPS = 0.08, 50.0


def lasting(frames: int, size: float, seed: int = 0) -> torch.Tensor:
    white = torch.randn(frames, 17 * 3, generator=torch.Generator().manual_seed(seed))
    mixing = noise.autoregression(frames, noise.correlation(SECONDS, FPS)).float()
    return size * (mixing @ white).view(frames, 17, 3)


def test_noise_forgets_itself_in_its_seconds() -> None:
    assert noise.correlation(SECONDS, FPS) ** (SECONDS * FPS) == pytest.approx(math.exp(-1))
    assert noise.correlation(0.0, FPS) == 0


def test_differences_stay_within_sequences() -> None:
    values = torch.arange(9.0).square().view(9, 1, 1)
    assert noise.second_differences(values, [4, 2, 3]).flatten().tolist() == [2.0, 2.0, 2.0]


def test_the_spread_of_lasting_noise_is_found() -> None:
    found = noise.spread(lasting(1200, 0.02), [500, 700], SECONDS, FPS)
    assert found.mean().item() == pytest.approx(0.02, rel=0.05)
    assert found.min() > 0.015


def test_short_sequences_show_no_noise() -> None:
    assert noise.spread(lasting(4, 0.02), [2, 2], SECONDS, FPS).abs().max() == 0
    assert torch.equal(noise.without(lasting(4, 0.02), [2, 2], SECONDS, FPS), lasting(4, 0.02))


def test_noise_is_taken_from_motion_and_motion_stays() -> None:
    motion = synthetic_split(400, 200).positions
    assert motion is not None
    noisy = motion + lasting(600, 0.02)
    clean = noise.without(noisy, [400, 200], SECONDS, FPS)
    assert (clean - motion).norm(dim=-1).mean() < 0.85 * (noisy - motion).norm(dim=-1).mean()
    assert (noise.without(motion, [400, 200], SECONDS, FPS) - motion).norm(dim=-1).mean() < 0.001  # metres


def test_sequences_do_not_touch() -> None:
    values = lasting(60, 0.02)
    other = values.clone()
    other[30:] += 100
    one, shifted = (noise.without(part, [30, 30], SECONDS, FPS) for part in (values, other))
    torch.testing.assert_close(one[:30], shifted[:30], atol=1e-4, rtol=0)


def test_what_is_not_known_has_no_part_in_the_spread() -> None:
    values = lasting(1200, 0.02)
    values[torch.rand(1200, generator=torch.Generator().manual_seed(3)) < 0.1] = torch.nan
    assert noise.spread(values, [1200], SECONDS, FPS).mean().item() == pytest.approx(0.02, rel=0.07)
    assert noise.spread(values * torch.nan, [1200], SECONDS, FPS).abs().max() == 0
