"""Blocks of frames times banded matrices are convolutions, whatever the sequences' lengths and rates."""

import torch

from lib.sequences.smoothing import BLOCK, band_between, gaussian, smoothed_evenly


def convolved(columns: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """By torch's convolution; beyond its ends, a sequence stands still."""
    padded = torch.nn.functional.pad(columns[:, None], (len(kernel) // 2,) * 2, mode="replicate")
    return torch.nn.functional.conv1d(padded, kernel.view(1, 1, -1))[:, 0]


def test_every_sequence_is_convolved_by_itself_at_its_own_rate() -> None:
    lengths, fps = [3, BLOCK, 1, 2 * BLOCK + 5, 40], [50.0, 25.0, 25.0, 50.0, 120.0]
    columns = torch.randn(4, sum(lengths), generator=torch.Generator().manual_seed(0))
    parts = zip(columns.split(lengths, 1), fps, strict=True)
    expected = torch.cat([convolved(part, gaussian(0.08 * rate)) for part, rate in parts], 1)
    torch.testing.assert_close(smoothed_evenly(columns, lengths, fps, 0.08), expected)


def test_bands_add_up_to_what_smoothing_takes_away() -> None:
    bands = [band_between(finer, coarser) for finer, coarser in ((0.0, 1.0), (1.0, 2.5))]
    whole = band_between(0.0, 2.5)
    beside = (len(whole) - len(bands[0])) // 2
    torch.testing.assert_close(torch.nn.functional.pad(bands[0], (beside, beside)) + bands[1], whole)
    assert abs(float(whole.sum())) < 1e-6
