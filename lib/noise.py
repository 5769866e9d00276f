"""Noise of coordinates that lasts for some frames, as detectors' does: made, measured and taken away, without labels.

It is a first-order autoregression that forgets itself to 1/e within `seconds`. Sequences lie back to back, as in the
store; `lengths` are their numbers of frames.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SIGMA = 2.0  # frames: of the Gaussian that smooths
LEAST = 1e-12


def correlation(seconds: float, fps: float) -> float:
    """Of noise from one frame to the next."""
    return math.exp(-1 / (seconds * fps)) if seconds > 0 else 0.0


def autoregression(frames: int, correlation: float) -> Float[Tensor, "frame frame"]:
    """What turns white noise over a window into noise of this correlation from frame to frame."""
    mixing: Tensor = torch.linalg.cholesky(_correlations(frames, correlation))
    return mixing


def second_differences(
    values: Float[Tensor, "frame joint coord"], lengths: Sequence[int]
) -> Float[Tensor, "some joint coord"]:
    """Second differences over time within sequences, back to back; none of a sequence under three frames."""
    return torch.cat([part.diff(n=2, dim=0) for part in values.split(list(lengths))])


def spread(
    values: Float[Tensor, "frame joint coord"], lengths: Sequence[int], seconds: float, fps: float
) -> Float[Tensor, "joint coord"]:
    """The standard deviation of each coordinate's noise; 0 where no three successive frames are known.

    What is not a number is not known.

    The median second difference over time of a still body is that of its noise, and bodies accelerate little in a
    frame. That noise lasts says how much of it second differences hide.
    """
    change = second_differences(values, lengths)
    if len(change) == 0:
        return torch.zeros_like(values[0])
    frame = correlation(seconds, fps)
    hidden = math.sqrt(2 * (1 - frame) * (3 - frame))  # a second difference of such noise, over its deviation
    found: Tensor = 1.4826 * change.abs().nanmedian(0).values / hidden
    return found.nan_to_num(0.0)


def without(
    values: Float[Tensor, "frame joint coord"],
    lengths: Sequence[int],
    seconds: float,
    fps: float,
    known: Bool[Tensor, " frame"] | None = None,
) -> Float[Tensor, "frame joint coord"]:
    """Values with as much of their quick changes taken away as noise explains: all that a Gaussian smooths, or less.

    A coordinate's share is that of the noise in the variance of what smoothing takes away, as in Wiener's filter, so
    that motion without noise stays as it is. What is found about the noise is found in frames that are `known`.
    """
    known = torch.ones_like(values[:, 0, 0], dtype=torch.bool) if known is None or not known.any() else known
    kernel = _gaussian().to(values)
    quick = torch.cat([part - _smoothed(part, kernel) for part in values.split(list(lengths))])
    taken = -kernel
    taken[len(taken) // 2] += 1
    lasting = _correlations(len(kernel), correlation(seconds, fps)).to(values)
    measured = values.masked_fill(~known[:, None, None], torch.nan)
    noise = spread(measured, lengths, seconds, fps).square() * (taken @ lasting @ taken)
    return values - (noise / quick[known].square().mean(0).clamp_min(LEAST)).clamp_max(1) * quick


def _correlations(frames: int, correlation: float) -> Float[Tensor, "frame frame"]:
    frame = torch.arange(frames)
    return torch.tensor(correlation, dtype=torch.float64) ** (frame - frame[:, None]).abs()


def _gaussian() -> Float[Tensor, " tap"]:
    reach = math.ceil(3 * SIGMA)
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * SIGMA**2))
    return kernel / kernel.sum()


def _smoothed(values: Float[Tensor, "frame joint coord"], kernel: Float[Tensor, " tap"]) -> Tensor:
    """Over time; beyond its ends, a sequence stands still."""
    reach = len(kernel) // 2
    columns = values.flatten(1).mT[:, None]
    padded = torch.nn.functional.pad(columns, (reach, reach), mode="replicate")
    smooth: Tensor = torch.nn.functional.conv1d(padded, kernel.view(1, 1, -1))
    return smooth[:, 0].mT.reshape(values.shape)
