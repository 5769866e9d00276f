"""Medians over many frames, on CPUs by NumPy: its selection and its sorting of integers are several times torch's."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

ENOUGH = 1 << 13  # frames, for a median: more make it slow and hardly any better
SAMPLED, SHARE = 1 << 11, 16  # numbers of which every 16th tells about where their median is


def some(values: Shaped[Tensor, " frame *rest"]) -> Shaped[Tensor, " some *rest"]:
    """All of them, or of too many about ENOUGH, evenly spaced."""
    return values[:: -(-len(values) // ENOUGH)] if len(values) > ENOUGH else values


def medians(values: Float[Tensor, "row frame"]) -> Float[Tensor, " row"]:
    """The median of each row, the lower one of two; what is not a number does not count. NaN where nothing does."""
    if values.shape[1] == 0:
        return values.new_full((len(values),), torch.nan)
    if values.device.type != "cpu" or values.shape[1] < SAMPLED:
        median: Tensor = values.nanmedian(1).values
        return median
    return values.new_tensor([_median(row) for row in values.numpy()])


def _median(values: np.ndarray) -> float:  # type: ignore[type-arg]
    unknown = np.isnan(values)
    values = values[~unknown] if unknown.any() else values
    middle = (len(values) - 1) // 2
    if len(values) < SAMPLED:
        return float(np.partition(values, middle)[middle]) if len(values) else math.nan
    # It almost surely lies between two numbers of a sample, and few others do.
    sample = np.sort(values[::SHARE])
    beside = 2 * math.isqrt(len(sample))
    low, high = sample[len(sample) // 2 - beside], sample[len(sample) // 2 + beside]
    among = values[(values >= low) & (values <= high)]
    place = middle - np.count_nonzero(values < low)
    if not 0 <= place < len(among):
        among, place = values, middle
    return float(np.partition(among, place)[place])


def weighted_medians(
    values: Float[Tensor, "row frame"], weights: Float[Tensor, "row frame"], lengths: Sequence[int]
) -> Float[Tensor, "sequence row"]:
    """The weighted medians of each row in each sequence of so many frames; values are finite and not negative."""
    # Bits of numbers that are not negative are integers in the same order; below them, which frame it is.
    bits = np.ascontiguousarray(values.cpu().float().numpy()).view(np.int32).astype(np.int64)
    keys = (bits << 32) | np.arange(bits.shape[1])
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64))
    begins = ends - lengths
    for begin, end in zip(begins, ends, strict=True):
        keys[:, begin:end].sort(axis=1)
    order = keys & 0xFFFFFFFF
    found = np.empty((len(lengths), len(keys)), np.int64)
    total = np.zeros(bits.shape[1] + 1)
    for row, (index, weight) in enumerate(zip(order, weights.cpu().double().numpy(), strict=True)):
        np.cumsum(weight[index], out=total[1:])
        middle = np.searchsorted(total, (total[begins] + total[ends]) / 2) - 1
        found[:, row] = index[np.clip(middle, begins, ends - 1)]
    return values.gather(1, torch.from_numpy(found.T.copy()).to(values.device)).mT
