"""The filter against what it promises: it is causal, smooths what is still, and follows what is fast."""

import math

import torch

from lib.sequences.filters import CUTOFF, SPEED_CUTOFF, SPEED_GAIN, OneEuroFilter


def filtered(values: torch.Tensor, seconds: float) -> torch.Tensor:
    one_euro = OneEuroFilter()
    return torch.stack([one_euro(value, seconds) for value in values])


def noisy(frames: int) -> torch.Tensor:
    return 0.01 * torch.randn(frames, 4, 3, generator=torch.Generator().manual_seed(0))


def test_the_first_value_is_itself_and_what_stands_still_stays() -> None:
    still = torch.rand(4, 3).expand(20, 4, 3)
    torch.testing.assert_close(filtered(still, 1 / 30), still)


def test_trembling_becomes_less() -> None:
    values = noisy(300)
    assert filtered(values, 1 / 30)[50:].std() < 0.6 * values[50:].std()


def test_what_is_fast_lags_less_than_behind_a_filter_of_the_lowest_cutoff() -> None:
    times = torch.arange(90) / 30
    values = (3.0 * times)[:, None, None].expand(-1, 1, 3)  # 5.2 m/s
    lag = float((values - filtered(values, 1 / 30))[-1].max())
    slow = 3.0 / (2 * math.pi * CUTOFF)  # what the lag would be
    assert 0 < lag < 0.2 * slow


def test_it_is_the_published_one() -> None:
    """Casiez et al., CHI 2012, for a point of one coordinate, written out."""
    values, te = [0.0, 0.1, 0.15, 0.5], 0.04

    def alpha(cutoff: float) -> float:
        return 1 / (1 + 1 / (2 * math.pi * cutoff) / te)

    x, dx, expected = values[0], 0.0, [values[0]]
    for value in values[1:]:
        dx = alpha(SPEED_CUTOFF) * (value - x) / te + (1 - alpha(SPEED_CUTOFF)) * dx
        a = alpha(CUTOFF + SPEED_GAIN * abs(dx))
        x = a * value + (1 - a) * x
        expected.append(x)
    torch.testing.assert_close(filtered(torch.tensor(values)[:, None, None], te)[:, 0, 0], torch.tensor(expected))


def test_points_are_filtered_each_by_itself_and_by_the_past_alone() -> None:
    values = noisy(30)
    whole = filtered(values, 1 / 30)
    torch.testing.assert_close(filtered(values[:, :1], 1 / 30), whole[:, :1])
    torch.testing.assert_close(filtered(values[:12], 1 / 30), whole[:12])


def test_the_rate_hardly_matters() -> None:
    """Half of the frames of something slow give about the same at the same times."""
    times = torch.arange(240) / 60
    values = 0.2 * torch.sin(2 * math.pi * 0.5 * times)[:, None, None].expand(-1, 1, 3)
    fine, coarse = filtered(values, 1 / 60)[::2], filtered(values[::2], 1 / 30)
    assert (fine - coarse)[30:].abs().max() < 0.015
