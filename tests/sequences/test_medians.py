"""Medians of many frames: the same numbers as torch's, and as those of each sequence by itself."""

import pytest
import torch

from lib.pose.skeleton import H36M
from lib.sequences.bone_lengths import sequence_lengths, typical_lengths
from lib.sequences.medians import SAMPLED, medians, weighted_medians
from tests.settings import synthetic_split


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("frames", [1, 2, 7, SAMPLED, 3 * SAMPLED + 1])
def test_medians_are_torchs(frames: int) -> None:
    values = random(5, frames)
    values[1] = values[1].exp() ** 4  # far from symmetric
    values[2, ::2] = torch.nan
    values[3] = torch.nan
    values[4] = values[4].sort().values.round()  # in order, and many of a kind
    assert torch.equal(medians(values).nan_to_num(9), values.nanmedian(1).values.nan_to_num(9))


def test_no_frames_have_no_median() -> None:
    assert medians(torch.zeros(3, 0)).isnan().all()


def test_most_of_the_weight_decides() -> None:
    values, weights = torch.tensor([[5.0, 1, 3, 8, 2, 8]]), torch.tensor([[1.0, 1, 1, 4, 1, 1]])
    assert weighted_medians(values, weights, [4, 2]).tolist() == [[8], [2]]
    assert weighted_medians(values, torch.ones(1, 6), [3, 3]).tolist() == [[3], [8]]


def test_sequences_have_the_bones_that_each_has_by_itself() -> None:
    lengths = [200, 1, 99]
    positions = synthetic_split(*lengths).positions
    assert positions is not None
    pose = positions + 0.05 * random(300, 17, 3)
    seen = random(300) > -1
    together = sequence_lengths(pose, H36M, seen, lengths)
    parts = zip(pose.split(lengths), seen.split(lengths), strict=True)
    apart = torch.stack([typical_lengths(part, H36M, shown)[0] for part, shown in parts])
    torch.testing.assert_close(together, apart)
