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


def uneven(frames: int, seed: int = 0) -> torch.Tensor:
    """Times off by up to 30 % of the distance of frames at 50 Hz; a tenth of the frames is missing."""
    generator = torch.Generator().manual_seed(seed)
    off = 0.3 * (2 * torch.rand(frames, generator=generator, dtype=torch.float64) - 1)
    times = (torch.arange(frames) + off) / FPS
    return times[torch.rand(frames, generator=generator) > 0.1]


def lasting_at(times: torch.Tensor, size: float) -> torch.Tensor:
    """Noise at any times, as many coordinates as bodies have."""
    correlations = (-(times - times[:, None]).abs() / SECONDS).exp()
    white = torch.randn(len(times), 17 * 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    mixed: torch.Tensor = torch.linalg.cholesky(correlations) @ white
    return (size * mixed).float().view(-1, 17, 3)


def timed(*times: torch.Tensor) -> noise.Timing:
    return noise.Timing([len(part) for part in times], [FPS] * len(times), torch.cat([p - p[0] for p in times]))


def test_even_times_are_a_rate() -> None:
    values, even = lasting(3000, 0.02), torch.arange(3000, dtype=torch.float64) / FPS
    ruled, plain = timed(even[:2000], even[:1000]), timing(2000, 1000)
    for one, other in zip(*(noise.second_differences(values, which) for which in (ruled, plain)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    found, expected = (noise.noise_std(values, which, SECONDS) for which in (ruled, plain))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-3)
    smooth, expected = (noise.denoise(values, which, SECONDS) for which in (ruled, plain))
    inside = torch.cat(
        [torch.arange(30, 1970), torch.arange(2030, 2970)]
    )  # ends stand still in one, go on in the other
    torch.testing.assert_close(smooth[inside], expected[inside], atol=1e-3, rtol=0)


def test_steady_motion_at_uneven_times_is_no_noise() -> None:
    times = uneven(200)
    motion = (1.5 * times)[:, None, None].expand(-1, 17, 3).float()
    assert noise.noise_std(motion, timed(times), SECONDS).max() < 1e-6
    assert noise.noise_std(motion, timing(len(times)), SECONDS).min() > 0.005  # as frames that are evenly spaced
    torch.testing.assert_close(noise.denoise(motion, timed(times), SECONDS), motion, atol=1e-5, rtol=0)


def test_noise_at_uneven_times_is_found_and_taken_away() -> None:
    times = uneven(1000)
    off = lasting_at(times, 0.02)
    assert noise.noise_std(off, timed(times), SECONDS).mean().item() == pytest.approx(0.02, rel=0.05)
    motion = torch.sin(3 * times)[:, None, None].float()
    clean = noise.denoise(motion + off, timed(times), SECONDS)
    assert (clean - motion).norm(dim=-1).mean() < 0.87 * off.norm(dim=-1).mean()


def test_outliers_do_not_keep_noise() -> None:
    off = lasting(1200, 0.02)
    wild = off.clone()
    wild[torch.rand(1200, 17, generator=torch.Generator().manual_seed(4)) < 0.01] += 1.0
    calm, others = noise.denoise(off, timing(1200), SECONDS), noise.denoise(wild, timing(1200), SECONDS)
    moved = (others - wild).norm(dim=-1).median()
    assert moved == pytest.approx((calm - off).norm(dim=-1).median().item(), rel=0.1)


def test_nothing_is_compared_across_a_break() -> None:
    times = torch.arange(60, dtype=torch.float64) / FPS
    times[30:] += 1
    values = torch.zeros(60, 1, 1)
    values[30:] = 100
    (change,) = noise.second_differences(values, timed(times))
    assert change.isnan().flatten().nonzero().flatten().tolist() == [28, 29]
    assert change.nan_to_num(0.0).abs().max() == 0
    assert torch.equal(noise.denoise(values, timed(times), SECONDS), values)


@pytest.mark.parametrize("frames", [1, 2])
def test_the_shortest_sequences_have_times_too(frames: int) -> None:
    times = torch.arange(frames, dtype=torch.float64) / FPS
    values = lasting(2 * frames, 0.02)
    assert noise.noise_std(values, timed(times, times), SECONDS).abs().max() == 0
    torch.testing.assert_close(noise.denoise(values, timed(times, times), SECONDS), values)


def test_frames_that_come_in_bursts_are_smoothed_by_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a network camera, three at a time: by their median distance, 10,000 a second."""
    groups = torch.arange(60, dtype=torch.float64).div(3, rounding_mode="floor") / 10
    times = groups + 1e-4 * (torch.arange(60) % 3)
    bursts, plain = noise.Timing([60], [1e4], times), timed(groups[::3])
    values, sizes, correlations = lasting(60, 0.02), list[int](), noise._correlations

    def watched(frames: int, correlation: float) -> torch.Tensor:
        sizes.append(frames)
        return correlations(frames, correlation)

    monkeypatch.setattr(noise, "_correlations", watched)
    assert noise.denoise(values, bursts, SECONDS).isfinite().all()
    assert 0 < max(sizes) < 3000  # of a matrix, which took 70 GB at 100,000 a second
    smooth, of_groups = (
        noise.smooth(values, bursts, 0.1),
        noise.smooth(values.unflatten(0, (-1, 3)).mean(1), plain, 0.1),
    )
    torch.testing.assert_close(smooth.unflatten(0, (-1, 3)).mean(1), of_groups, atol=1e-3, rtol=0)


def test_smoothing_keeps_what_stands_still_and_takes_quick_changes_away() -> None:
    still = torch.ones(20, 3, 2)
    torch.testing.assert_close(noise.smoothed(still, 2.0), still)
    quick = torch.tensor([1.0, -1.0]).repeat(10)[:, None, None]
    assert noise.smoothed(quick, 2.0)[5:-5].abs().max() < 0.01
    bump = torch.zeros(41, 1, 1)
    bump[20] = 1
    spread = noise.smoothed(bump, 3.0)[:, 0, 0]
    frame = torch.arange(41) - 20.0
    assert float((spread * frame**2).sum().sqrt()) == pytest.approx(3.0, rel=0.05)
