"""Noise of coordinates that lasts for some frames, as detectors' does: made, measured and taken away, without labels.

It is a first-order autoregression whose correlation falls to 1/e within `seconds`. Sequences lie back to back, as in
the store. Frames need not be evenly spaced: where a `Timing` has times, differences and averages go by them. Only how
many neighbours smoothing looks at, and how much noise it takes, go by the rate of the median distance of frames.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

SCALES = (0.02, 0.04, 0.08, 0.16)  # seconds: standard deviations of the Gaussians that smooth
LEAST = 1e-12
BREAK = 3.0  # median distances: frames that are further apart say nothing about each other's noise
ENOUGH = 1 << 13  # frames, for a median: more make it slow and hardly any better
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
    return [
        part.diff(n=2, dim=0) if times is None else _uneven_differences(part, times)
        for part, times in zip(timing.split(values), timing.clocks, strict=True)
    ]


def noise_std(
    values: Float[Tensor, "frame joint coord"], timing: Timing, seconds: float
) -> Float[Tensor, "joint coord"]:
    """The standard deviation of each coordinate's noise; 0 where no three successive frames are known.

    What is not a number is not known.

    The median second difference over time of a still body is that of its noise, and bodies accelerate little in a
    frame. That noise lasts says how much of it second differences hide.
    """
    parts = []
    sequences = zip(second_differences(values, timing), timing.fps, timing.clocks, strict=True)
    for change, fps, times in sequences:
        if times is None:
            frame = correlation(seconds, 1 / fps)
            parts.append(change / math.sqrt(2 * (1 - frame) * (3 - frame)))  # of such noise, over its deviation
        else:
            parts.append(change / _uneven_deviation(times, seconds).to(change)[:, None, None])
    change = torch.cat(parts)
    if len(change) == 0:
        return torch.zeros_like(values[0])
    found: Tensor = MAD_TO_STD * change.abs().nanmedian(0).values
    return found.nan_to_num(0.0)


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
    noise = noise_std(values.masked_fill(~known[:, None, None], torch.nan), timing, seconds).square()
    measured = some(known.nonzero()[:, 0])
    before, result = values, values
    for scale, finer in zip(SCALES, (0.0, *SCALES), strict=False):
        after = smooth(values, timing, scale)
        left = 0.0
        for length, fps in zip(timing.lengths, timing.fps, strict=True):
            of_band = _band_variance(finer * fps, scale * fps, correlation(seconds, 1 / fps))
            left += length / len(values) * of_band
        band = before - after
        variance = (MAD_TO_STD * band[measured].abs().median(0).values).square()
        result = result - (noise * left / variance.clamp_min(LEAST)).clamp_max(1) * band
        before = after
    return result


def some(values: Shaped[Tensor, " frame *rest"]) -> Shaped[Tensor, " some *rest"]:
    """All of them, or of too many about ENOUGH, evenly spaced."""
    return values[:: -(-len(values) // ENOUGH)] if len(values) > ENOUGH else values


def _band_variance(finer: float, coarser: float, correlation: float) -> float:
    """Of noise of variance 1, the variance of the difference between smoothings by two Gaussians, in frames."""
    wide = _gaussian(coarser)
    taken = -wide
    narrow = _gaussian(finer) if finer > 0 else torch.ones(1)
    beside = (len(wide) - len(narrow)) // 2
    taken[beside : beside + len(narrow)] += narrow
    return float(taken @ _correlations(len(wide), correlation).to(taken) @ taken)


def smooth(
    values: Float[Tensor, "frame joint coord"], timing: Timing, seconds: float
) -> Float[Tensor, "frame joint coord"]:
    """Smoothed over time by a Gaussian with a standard deviation in seconds, whatever the rate or times of frames."""
    sequences = zip(timing.split(values), timing.fps, timing.clocks, strict=True)
    return torch.cat(
        [
            _smoothed(part, _gaussian(seconds * fps).to(part))
            if times is None
            else _smoothed_unevenly(part, times, fps, seconds)
            for part, fps, times in sequences
        ]
    )


def smoothed(values: Float[Tensor, "frame joint coord"], frames: float) -> Float[Tensor, "frame joint coord"]:
    """One sequence, smoothed over time by a Gaussian with a standard deviation in frames; still beyond its ends."""
    return _smoothed(values, _gaussian(frames).to(values))


def _correlations(frames: int, correlation: float) -> Float[Tensor, "frame frame"]:
    frame = torch.arange(frames)
    return torch.tensor(correlation, dtype=torch.float64) ** (frame - frame[:, None]).abs()


def _gaussian(sigma: float) -> Float[Tensor, " tap"]:
    """Of a standard deviation in frames."""
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2))
    return kernel / kernel.sum()


def _smoothed(values: Float[Tensor, "frame joint coord"], kernel: Float[Tensor, " tap"]) -> Tensor:
    """Over time; beyond its ends, a sequence stands still."""
    reach = len(kernel) // 2
    columns = values.flatten(1).mT[:, None]
    padded = torch.nn.functional.pad(columns, (reach, reach), mode="replicate")
    smooth: Tensor = torch.nn.functional.conv1d(padded, kernel.view(1, 1, -1))
    return smooth[:, 0].mT.reshape(values.shape)


def _spacing(times: Float[Tensor, " frame"]) -> tuple[Tensor, Tensor, Tensor]:
    """Of every three successive frames: the seconds between the first two and the last two, and if there is a break."""
    distance = times.diff()
    if len(distance) < 2:
        return distance[:0], distance[:0], distance[:0] > 0
    apart = distance > BREAK * distance.quantile(0.5)
    return distance[:-1], distance[1:], apart[:-1] | apart[1:]


def _uneven_differences(values: Tensor, times: Float[Tensor, " frame"]) -> Tensor:
    before, after, apart = _spacing(times)
    first = (after / (before + after)).to(values)[:, None, None]  # the weights of a straight line's ends
    line = first * values[:-2] + (1 - first) * values[2:]
    change: Tensor = (2 * (line - values[1:-1])).masked_fill(apart[:, None, None].to(values.device), torch.nan)
    return change


def _uneven_deviation(times: Float[Tensor, " frame"], seconds: float) -> Float[Tensor, " three"]:
    """The standard deviation of `_uneven_differences` of noise, over that of the noise."""
    before, after, _ = _spacing(times)
    first, last = after / (before + after), before / (before + after)
    near, far = ((-part / seconds).exp() if seconds > 0 else torch.zeros_like(part) for part in (before, after))
    return 2 * (1 + first**2 + last**2 - 2 * first * near - 2 * last * far + 2 * first * last * near * far).sqrt()


def _smoothed_unevenly(values: Tensor, times: Float[Tensor, " frame"], fps: float, sigma: float) -> Tensor:
    """By the same Gaussian of time: at each frame the line that fits its neighbours best, so that steady motion stays.

    A frame without a neighbour within reach stays as it is.
    """
    reach = math.ceil(3 * sigma * fps)
    index = torch.arange(len(times))[:, None] + torch.arange(-reach, reach + 1)
    inside = (index >= 0) & (index < len(times))
    index = index.clamp(0, len(times) - 1)
    away = times[index] - times[:, None]
    weight = (-(away / sigma).square() / 2).exp() * inside
    moments = [(weight * away**power).sum(1, keepdim=True) for power in range(3)]
    spread = moments[0] * moments[2] - moments[1].square()
    lone = spread <= LEAST * sigma**2
    weight = weight * (moments[2] - moments[1] * away) / torch.where(lone, 1, spread)
    weight = torch.where(lone, (away == 0) & inside, weight).to(values)
    index = index.to(values.device)
    smooth = torch.zeros_like(values)
    for at, part in zip(index.unbind(1), weight.unbind(1), strict=True):
        smooth += part[:, None, None] * values[at]
    return smooth
