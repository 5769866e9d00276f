"""Smoothing over time by Gaussians, of sequences that lie back to back.

Where frames are evenly spaced, blocks of frames with what is around them are multiplied by a banded matrix: a large
product for all sequences of a rate takes a fraction of the time of a convolution for each.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK = 32  # frames that a row of a product gives
LEAST = 1e-12


def gaussian(sigma: float) -> Float[Tensor, " tap"]:
    """Of a standard deviation in frames; 0 leaves all as it is."""
    if sigma == 0:
        return torch.ones(1)
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2))
    return kernel / kernel.sum()


def band_between(finer: float, coarser: float) -> Float[Tensor, " tap"]:
    """The kernel of the difference between smoothings by two Gaussians, in frames."""
    band, narrow = -gaussian(coarser), gaussian(finer)
    beside = (len(band) - len(narrow)) // 2
    band[beside : beside + len(narrow)] += narrow
    return band


class Blocks:
    """Sequences of evenly spaced frames, in blocks to be convolved; beyond its ends, a sequence stands still."""

    def __init__(self, lengths: Sequence[int], fps: Sequence[float], reach: int, device: torch.device) -> None:
        """No kernel reaches further than `reach` frames."""
        self.reach = reach
        around, begins = torch.arange(-reach, BLOCK + reach), [0]
        for length in lengths:
            begins.append(begins[-1] + length)
        places, at = [], torch.empty(begins[-1], dtype=torch.long)
        self._rates, self._ends = sorted(set(fps)), [0]
        count = 0
        for rate in self._rates:  # so that blocks of a rate are together
            for (begin, end), own in zip(pairwise(begins), fps, strict=True):
                if own == rate and end > begin:
                    first = torch.arange(begin, end, BLOCK)
                    places.append((first[:, None] + around).clamp(begin, end - 1))
                    at[begin:end] = torch.arange(end - begin) + BLOCK * count
                    count += len(first)
            self._ends.append(count)
        self._places = torch.cat(places).flatten().to(device)
        self.at = at.to(device)  # where each frame is in what `convolved` and `middles` give

    def windows(self, columns: Float[Tensor, "column frame"]) -> Float[Tensor, "column block around"]:
        """The frames of each block, and those around them."""
        return columns.index_select(1, self._places).view(len(columns), -1, BLOCK + 2 * self.reach)

    def middles(self, windows: Float[Tensor, "column block around"]) -> Float[Tensor, "column place"]:
        """The frames of each block, as they are."""
        return windows[..., self.reach : self.reach + BLOCK].flatten(1)

    def convolved(
        self, windows: Float[Tensor, "column block around"], kernels: Mapping[float, Float[Tensor, " _"]]
    ) -> Float[Tensor, "column place"]:
        """Every block convolved with the symmetric kernel of its rate."""
        parts = []
        for rate, (first, last) in zip(self._rates, pairwise(self._ends), strict=True):
            kernel = kernels[rate].to(windows)
            beside = self.reach - len(kernel) // 2
            within = windows[:, first:last, beside : beside + BLOCK + len(kernel) - 1]
            parts.append(within.flatten(0, 1) @ _banded(kernel))
        count = len(windows)
        return torch.cat([part.view(count, -1) for part in parts], 1) if len(parts) > 1 else parts[0].view(count, -1)


def smoothed_evenly(
    columns: Float[Tensor, "column frame"], lengths: Sequence[int], fps: Sequence[float], seconds: float
) -> Float[Tensor, "column frame"]:
    """Sequences smoothed by a Gaussian with a standard deviation in seconds."""
    kernels = {rate: gaussian(seconds * rate) for rate in fps}
    blocks = Blocks(lengths, fps, max(len(kernel) // 2 for kernel in kernels.values()), columns.device)
    return blocks.convolved(blocks.windows(columns), kernels).index_select(1, blocks.at)


def smoothed_unevenly(
    columns: Float[Tensor, "column frame"], times: Float[Tensor, " frame"], fps: float, sigma: float
) -> Float[Tensor, "column frame"]:
    """One sequence by the same Gaussian of time: at each frame the line that fits its neighbours best.

    So steady motion stays. A frame without a neighbour within reach stays as it is.
    """
    number = torch.arange(len(times))
    most = int((torch.searchsorted(times, times + 3 * sigma, right=True) - number).max())  # that are so near, and one
    reach = min(math.ceil(3 * sigma * fps), 2 * most)  # of frames that come in bursts, the rate says nothing
    index = number[:, None] + torch.arange(-reach, reach + 1)
    inside = (index >= 0) & (index < len(times))
    index = index.clamp(0, len(times) - 1)
    away = times[index] - times[:, None]
    weight = (-(away / sigma).square() / 2).exp() * inside
    moments = [(weight * away**power).sum(1, keepdim=True) for power in range(3)]
    spread = moments[0] * moments[2] - moments[1].square()
    lone = spread <= LEAST * sigma**2
    weight = weight * (moments[2] - moments[1] * away) / torch.where(lone, 1, spread)
    weight = torch.where(lone, (away == 0) & inside, weight).to(columns)
    index = index.to(columns.device)
    smooth = torch.zeros_like(columns)
    for at, part in zip(index.unbind(1), weight.unbind(1), strict=True):
        smooth += part * columns[:, at]
    return smooth


def _banded(kernel: Float[Tensor, " tap"]) -> Float[Tensor, "around frame"]:
    matrix = kernel.new_zeros(BLOCK, BLOCK + len(kernel))
    matrix[:, : len(kernel)] = kernel  # each row a frame later than the one before, once they are one piece less long
    return matrix.flatten()[: BLOCK * (BLOCK + len(kernel) - 1)].view(BLOCK, -1).mT
