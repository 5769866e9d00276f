"""How sure differences of models are: a paired bootstrap over the sequences that all of them were measured on.

Every metric is a ratio of two sums over sequences, as of errors and of frames; a mean over frames, so, weighs a
sequence by its frames. A resample draws as many sequences as there are, with replacement, the same for all models; the
interval of a difference lies between percentiles of what it is in resamples. That says how much of it is owed to which
sequences were filmed. It says nothing of other seeds of training; and sequences of one take before several cameras are
less independent than it takes them for.

Source: B. Efron and R. Tibshirani, An introduction to the bootstrap, 1993, section 13.3.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

RESAMPLES = 2000
LEVEL = 0.95  # of intervals


class Sums(NamedTuple):
    """Parts of metrics by sequence, float64: a metric is `total` over `weight`, each summed over sequences."""

    total: Float[Tensor, "model sequence metric"]
    weight: Float[Tensor, "model sequence metric"]  # 0 where a sequence has nothing to say

    @property
    def values(self) -> Float[Tensor, "model metric"]:
        """The metrics over all sequences; not a number where none says anything."""
        return self.total.sum(1) / self.weight.sum(1)

    def resampled(self, counts: Float[Tensor, "resample sequence"]) -> Float[Tensor, "resample model metric"]:
        """The metrics of resamples, in which each sequence is so many times."""
        sums = (torch.einsum("rs,msk->rmk", counts, part) for part in self)
        return next(sums) / next(sums)


class Differences(NamedTuple):
    """How much higher metrics are than the first model's, and the interval that this lies in."""

    value: Float[Tensor, "model metric"]
    low: Float[Tensor, "model metric"]  # not a number where one sequence alone says anything, and nothing of others
    high: Float[Tensor, "model metric"]


def draw_counts(sequences: int, seed: int, resamples: int = RESAMPLES) -> Float[Tensor, "resample sequence"]:
    """How many times each sequence is in each resample."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(sequences, (resamples, sequences), generator=generator)
    counts = torch.zeros(resamples, sequences, dtype=torch.float64)
    return counts.scatter_add_(1, drawn, torch.ones_like(counts))


def differences(sums: Sums, counts: Float[Tensor, "resample sequence"]) -> Differences:
    """Differences from the first model with percentile intervals; sequences that are always drawn together count once.

    Where only one of them says anything, there is no interval.
    """
    return _intervals(sums.values, sums.resampled(counts), sums.weight, counts)


def mean_differences(groups: list[Sums], counts: Float[Tensor, "resample sequence"]) -> Differences:
    """The same for means of metrics over groups, as actions; a group that is not in a resample does not count in it."""
    values = torch.stack([group.values for group in groups]).nanmean(0)
    resampled = torch.stack([group.resampled(counts) for group in groups]).nanmean(0)
    return _intervals(values, resampled, torch.stack([group.weight for group in groups]).sum(0), counts)


def _intervals(values: Tensor, resampled: Tensor, weight: Tensor, counts: Tensor) -> Differences:
    off = resampled - resampled[:, :1]
    tail = (1 - LEVEL) / 2
    low, high = torch.nanquantile(off, torch.tensor([tail, 1 - tail], dtype=off.dtype), dim=0)
    _, together = counts.unique(dim=1, return_inverse=True)
    says = torch.zeros(len(counts[0]), weight.shape[2], dtype=weight.dtype).index_add_(0, together, weight[0])
    several = (says > 0).sum(0) > 1
    return Differences(values - values[:1], *(torch.where(several, part, torch.nan) for part in (low, high)))
