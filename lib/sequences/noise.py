"""Noise of coordinates that lasts for some frames, as detectors' does: made, measured and taken away, without labels.

It is a first-order autoregression whose correlation falls to 1/e within `seconds`. Sequences lie back to back, as in
the store. Frames need not be evenly spaced: where a `Timing` has times, differences and averages go by them. Only how
many neighbours smoothing looks at, and how much noise it takes, go by the rate of the median distance of frames.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from lib.sequences.medians import medians, some
from lib.sequences.smoothing import LEAST, Blocks, band_between, smoothed_evenly, smoothed_unevenly

SCALES = (0.02, 0.04, 0.08, 0.16)  # seconds: standard deviations of the Gaussians that smooth
BREAK = 3.0  # median distances: frames that are further apart say nothing about each other's noise
QUICKEST = 2000.0  # frames a second by which noise's share of a band is found: more, as in bursts, make it no better
COLUMNS = 8  # coordinates at a time, whose bands fit the cache
MAD_TO_STD = 1.4826  # from the median absolute deviation of a normal distribution to its standard deviation


class Timing(NamedTuple):
    """Sequences that lie back to back."""

    lengths: Sequence[int]  # frames
    fps: Sequence[float]  # of the median distance of frames, where there are times
    times: Float[Tensor, " frame"] | None = None  # seconds, increasing in each sequence; None: constant rates

    @property
    def clocks(self) -> Sequence[Tensor | None]:
        """The times of each sequence, if there are any."""
        return [None] * len(self.lengths) if self.times is None else self.split(self.times)

    @property
    def seconds(self) -> list[float]:
        """How long each sequence lasts, its last frame for as long as it usually does."""
        if self.times is None:
            return [length / fps for length, fps in zip(self.lengths, self.fps, strict=True)]
        return [float(part[-1] - part[0]) + 1 / fps for part, fps in zip(self.split(self.times), self.fps, strict=True)]

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """One part a sequence."""
        parts: tuple[Tensor, ...] = values.split(list(self.lengths))
        return parts


def correlation(seconds: float, interval: float) -> float:
    """Of noise from one frame to the next, `interval` seconds later."""
    return math.exp(-interval / seconds) if seconds > 0 else 0.0


def autoregression(frames: int, correlation: float) -> Float[Tensor, "frame frame"]:
    """What turns white noise over a window into noise of this correlation from frame to frame."""
    mixing: Tensor = torch.linalg.cholesky(_correlations(frames, correlation))
    return mixing


def second_differences(values: Float[Tensor, "frame joint coord"], timing: Timing) -> list[Tensor]:
    """Second differences over time, a part a sequence; none of a sequence under three frames.

    Where frames are not evenly spaced, they are twice the distance from the middle one of three to the line through the
    others, which is the same for those that are; not a number across a break.
    """
    return [part.movedim(-1, 0) for part in _differences(values.movedim(0, -1), timing)]


def noise_std(
    values: Float[Tensor, "frame joint coord"], timing: Timing, seconds: float
) -> Float[Tensor, "joint coord"]:
    """The standard deviation of each coordinate's noise; 0 where no three successive frames are known.

    What is not a number is not known.

    The median second difference over time of a still body is that of its noise, and bodies accelerate little in a
    frame. That noise lasts says how much of it second differences hide.
    """
    parts = []
    for change, fps, times in zip(_differences(_columns(values), timing), timing.fps, timing.clocks, strict=True):
        if times is None:
            frame = correlation(seconds, 1 / fps)
            parts.append(change.abs() / math.sqrt(2 * (1 - frame) * (3 - frame)))  # of such noise, over its deviation
        else:
            parts.append(change.abs() / _uneven_deviation(times, seconds).to(change))
    found = (MAD_TO_STD * medians(torch.cat(parts, 1))).nan_to_num(0.0)
    return found.view(values.shape[:0:-1]).mT


def denoise(
    values: Float[Tensor, "frame joint coord"],
    timing: Timing,
    seconds: float,
    known: Bool[Tensor, " frame"] | None = None,
) -> Float[Tensor, "frame joint coord"]:
    """Values with as much of their quick changes taken away as noise explains.

    Differences between smoothings by wider and wider Gaussians (SCALES) are bands of frequencies. Of each band a
    coordinate loses the share that noise has in its variance, as in Wiener's filter, so that motion without noise stays
    as it is. What is found about the noise is found in frames that are `known`, and by medians: neither outliers nor
    what moves now and then makes much of it.
    """
    known = torch.ones_like(values[:, 0, 0], dtype=torch.bool) if known is None or not known.any() else known
    shown = values if known.all() else values.masked_fill(~known[:, None, None], torch.nan)
    measured = some(known.nonzero()[:, 0])
    noise = noise_std(shown, timing, seconds).square().mT.flatten()
    left = [_variance_of_band(*scales, timing, seconds) for scales in zip((0.0, *SCALES), SCALES, strict=False)]
    parts = []
    for whole, bands, at in _bands(_columns(values), timing):
        of_noise, noise = noise[: len(whole)], noise[len(whole) :]
        kept = whole
        for share, band in zip(left, bands, strict=True):
            variance = (MAD_TO_STD * medians(band.index_select(1, at[measured]).abs())).square()
            kept = kept - (of_noise * share / variance.clamp_min(LEAST)).clamp_max(1)[:, None] * band
        parts.append(kept.index_select(1, at))
    return _as_points(torch.cat(parts), values)


def _bands(columns: Tensor, timing: Timing) -> Iterator[tuple[Tensor, list[Tensor], Tensor]]:
    """Some columns after others, their bands from the quickest on, and where each frame is in all of these."""
    if timing.times is not None:
        smoothings = [columns, *(_smooth(columns, timing, scale) for scale in SCALES)]
        everywhere = torch.arange(columns.shape[1], device=columns.device)
        yield columns, [before - after for before, after in pairwise(smoothings)], everywhere
        return
    kernels = [
        {fps: band_between(finer * fps, scale * fps) for fps in set(timing.fps)}
        for finer, scale in pairwise((0.0, *SCALES))
    ]
    reach = max(len(kernel) // 2 for kernel in kernels[-1].values())
    blocks = Blocks(timing.lengths, timing.fps, reach, columns.device)
    for some_columns in columns.split(COLUMNS):
        windows = blocks.windows(some_columns)
        yield blocks.middles(windows), [blocks.convolved(windows, kernel) for kernel in kernels], blocks.at


def _variance_of_band(finer: float, coarser: float, timing: Timing, seconds: float) -> float:
    """Of noise of variance 1, the variance of the difference between smoothings by two Gaussians, in seconds."""
    frames, variance = Counter[float](), 0.0
    for length, fps in zip(timing.lengths, timing.fps, strict=True):
        frames[fps] += length
    for rate, count in frames.items():
        fps = min(rate, QUICKEST)
        taken = band_between(finer * fps, coarser * fps)
        correlations = _correlations(len(taken), correlation(seconds, 1 / fps)).to(taken)
        variance += count / frames.total() * float(taken @ correlations @ taken)
    return variance


def smooth(
    values: Float[Tensor, "frame joint coord"], timing: Timing, seconds: float
) -> Float[Tensor, "frame joint coord"]:
    """Smoothed over time by a Gaussian with a standard deviation in seconds, whatever the rate or times of frames."""
    return _as_points(_smooth(_columns(values), timing, seconds), values)


def smoothed(values: Float[Tensor, "frame joint coord"], frames: float) -> Float[Tensor, "frame joint coord"]:
    """One sequence, smoothed over time by a Gaussian with a standard deviation in frames; still beyond its ends."""
    return smooth(values, Timing([len(values)], [1.0]), frames)


def _smooth(columns: Tensor, timing: Timing, seconds: float) -> Tensor:
    if timing.times is None:
        return smoothed_evenly(columns, timing.lengths, timing.fps, seconds)
    sequences = zip(columns.split(list(timing.lengths), 1), timing.clocks, timing.fps, strict=True)
    return torch.cat(
        [smoothed_unevenly(part, times, fps, seconds) for part, times, fps in sequences if times is not None], 1
    )


def _columns(values: Float[Tensor, "frame joint coord"]) -> Float[Tensor, "column frame"]:
    """A row a coordinate: no copy where frames lie side by side in memory already."""
    return values.permute(2, 1, 0).reshape(-1, len(values))


def _as_points(columns: Float[Tensor, "column frame"], like: Float[Tensor, "frame joint coord"]) -> Tensor:
    """What `_columns` made rows of, frames side by side in memory."""
    return columns.view(like.shape[::-1]).permute(2, 1, 0)


def _correlations(frames: int, correlation: float) -> Float[Tensor, "frame frame"]:
    frame = torch.arange(frames)
    return torch.tensor(correlation, dtype=torch.float64) ** (frame - frame[:, None]).abs()


def _differences(columns: Shaped[Tensor, "*rows frame"], timing: Timing) -> list[Tensor]:
    """`second_differences` of rows of frames."""
    return [
        part.diff(n=2) if times is None else _uneven_differences(part, times)
        for part, times in zip(columns.split(list(timing.lengths), -1), timing.clocks, strict=True)
    ]


def _spacing(times: Float[Tensor, " frame"]) -> tuple[Tensor, Tensor, Tensor]:
    """Of every three successive frames: the seconds between the first two and the last two, and if there is a break."""
    distance = times.diff()
    if len(distance) < 2:
        return distance[:0], distance[:0], distance[:0] > 0
    apart = distance > BREAK * distance.quantile(0.5)
    return distance[:-1], distance[1:], apart[:-1] | apart[1:]


def _uneven_differences(values: Tensor, times: Float[Tensor, " frame"]) -> Tensor:
    before, after, apart = _spacing(times)
    first = (after / (before + after)).to(values)  # the weights of a straight line's ends
    line = first * values[..., :-2] + (1 - first) * values[..., 2:]
    change: Tensor = (2 * (line - values[..., 1:-1])).masked_fill(apart.to(values.device), torch.nan)
    return change


def _uneven_deviation(times: Float[Tensor, " frame"], seconds: float) -> Float[Tensor, " three"]:
    """The standard deviation of `_uneven_differences` of noise, over that of the noise."""
    before, after, _ = _spacing(times)
    first, last = after / (before + after), before / (before + after)
    near, far = ((-part / seconds).exp() if seconds > 0 else torch.zeros_like(part) for part in (before, after))
    return 2 * (1 + first**2 + last**2 - 2 * first * near - 2 * last * far + 2 * first * last * near * far).sqrt()
