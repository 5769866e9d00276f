"""Noise of coordinates that lasts for some frames, as detectors' does: made, measured and taken away, without labels.

It is a first-order autoregression whose correlation falls to 1/e within `seconds`. Sequences lie back to back, as in
the store.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SMOOTHING_SECONDS = 0.04  # standard deviation of the Gaussian that smooths
LEAST = 1e-12
MAD_TO_STD = 1.4826  # from the median absolute deviation of a normal distribution to its standard deviation


class Timing(NamedTuple):
    """Sequences that lie back to back."""

    lengths: Sequence[int]  # frames
    fps: Sequence[float]

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
    """Second differences over time, a part a sequence; none of a sequence under three frames."""
    return [part.diff(n=2, dim=0) for part in timing.split(values)]


def noise_std(
    values: Float[Tensor, "frame joint coord"], timing: Timing, seconds: float
) -> Float[Tensor, "joint coord"]:
    """The standard deviation of each coordinate's noise; 0 where no three successive frames are known.

    What is not a number is not known.

    The median second difference over time of a still body is that of its noise, and bodies accelerate little in a
    frame. That noise lasts says how much of it second differences hide.
    """
    parts = []
    for change, fps in zip(second_differences(values, timing), timing.fps, strict=True):
        frame = correlation(seconds, 1 / fps)
        parts.append(change / math.sqrt(2 * (1 - frame) * (3 - frame)))  # of such noise, over its deviation
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
    """Values with as much of their quick changes taken away as noise explains: all that a Gaussian smooths, or less.

    A coordinate's share is that of the noise in the variance of what smoothing takes away, as in Wiener's filter, so
    that motion without noise stays as it is. What is found about the noise is found in frames that are `known`.
    """
    known = torch.ones_like(values[:, 0, 0], dtype=torch.bool) if known is None or not known.any() else known
    quick, kept = [], 0.0
    for part, fps in zip(timing.split(values), timing.fps, strict=True):
        kernel = _gaussian(SMOOTHING_SECONDS * fps).to(values)
        quick.append(part - _smoothed(part, kernel))
        taken = -kernel
        taken[len(taken) // 2] += 1
        lasting = _correlations(len(kernel), correlation(seconds, 1 / fps)).to(values)
        kept += len(part) / len(values) * float(taken @ lasting @ taken)  # of the noise's variance
    change = torch.cat(quick)
    measured = values.masked_fill(~known[:, None, None], torch.nan)
    noise = noise_std(measured, timing, seconds).square() * kept
    return values - (noise / change[known].square().mean(0).clamp_min(LEAST)).clamp_max(1) * change


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
