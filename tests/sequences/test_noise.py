import math

import pytest
import torch

from lib.sequences import noise
from tests.settings import synthetic_split

SECONDS, FPS = 0.08, 50.0


def timing(*lengths: int) -> noise.Timing:
    return noise.Timing(lengths, [FPS] * len(lengths))


def lasting(frames: int, size: float, seed: int = 0) -> torch.Tensor:
    white = torch.randn(frames, 17 * 3, generator=torch.Generator().manual_seed(seed))
    mixing = noise.autoregression(frames, noise.correlation(SECONDS, 1 / FPS)).float()
    return size * (mixing @ white).view(frames, 17, 3)


def test_noise_forgets_itself_in_its_seconds() -> None:
    assert noise.correlation(SECONDS, 1 / FPS) ** (SECONDS * FPS) == pytest.approx(math.exp(-1))
    assert noise.correlation(0.0, 1 / FPS) == 0


def test_differences_stay_within_sequences() -> None:
    values = torch.arange(9.0).square().view(9, 1, 1)
    assert [part.flatten().tolist() for part in noise.second_differences(values, timing(4, 2, 3))] == [[2, 2], [], [2]]


def test_the_size_of_lasting_noise_is_found() -> None:
    found = noise.noise_std(lasting(1200, 0.02), timing(500, 700), SECONDS)
    assert found.mean().item() == pytest.approx(0.02, rel=0.05)
    assert found.min() > 0.015


def test_short_sequences_show_no_noise() -> None:
    assert noise.noise_std(lasting(4, 0.02), timing(2, 2), SECONDS).abs().max() == 0
    assert torch.equal(noise.denoise(lasting(4, 0.02), timing(2, 2), SECONDS), lasting(4, 0.02))


def test_noise_is_taken_from_motion_and_motion_stays() -> None:
    motion = synthetic_split(400, 200).positions
    assert motion is not None
    noisy = motion + lasting(600, 0.02)
    clean = noise.denoise(noisy, timing(400, 200), SECONDS)
    assert (clean - motion).norm(dim=-1).mean() < 0.85 * (noisy - motion).norm(dim=-1).mean()
    assert (noise.denoise(motion, timing(400, 200), SECONDS) - motion).norm(dim=-1).mean() < 0.001  # metres


def test_sequences_do_not_touch() -> None:
    values = lasting(60, 0.02)
    other = values.clone()
    other[30:] += 100
    one, shifted = (noise.denoise(part, timing(30, 30), SECONDS) for part in (values, other))
    torch.testing.assert_close(one[:30], shifted[:30], atol=1e-4, rtol=0)


def test_what_is_not_known_has_no_part_in_the_noise() -> None:
    values = lasting(1200, 0.02)
    values[torch.rand(1200, generator=torch.Generator().manual_seed(3)) < 0.1] = torch.nan
    assert noise.noise_std(values, timing(1200), SECONDS).mean().item() == pytest.approx(0.02, rel=0.07)
    assert noise.noise_std(values * torch.nan, timing(1200), SECONDS).abs().max() == 0


def test_sequences_keep_their_own_rates() -> None:
    """The same motion with the same noise, at 50 and at 25 frames a second: its size is found in both together."""
    slow = noise.correlation(SECONDS, 2 / FPS)
    mixing = noise.autoregression(600, slow).float()
    white = torch.randn(600, 17 * 3, generator=torch.Generator().manual_seed(1))
    both = torch.cat([lasting(600, 0.02), 0.02 * (mixing @ white).view(600, 17, 3)])
    found = noise.noise_std(both, noise.Timing([600, 600], [FPS, FPS / 2]), SECONDS)
    assert found.mean().item() == pytest.approx(0.02, rel=0.05)
