"""How well hidden points are given back."""

from pathlib import Path

import pytest
import torch

from lib.data.masked_windows import Reconstruction, masked, root_centred_points
from lib.data.windows import Windows
from lib.evaluation.reconstruction import hidden_error, read_examples, write_examples
from lib.pose.skeleton import H36M
from tests.settings import SMALL, synthetic_split, window

WRIST = H36M.index("left_wrist")


def test_the_error_of_hidden_points_by_hand() -> None:
    whole = root_centred_points(Windows(synthetic_split(60), window(5))[torch.arange(10)], 3, H36M)
    hidden = torch.zeros(whole.shape[:-1], dtype=torch.bool)
    hidden[:, :, WRIST] = True
    given = masked(whole, hidden)
    off = given.whole + torch.tensor([3.0, 4.0, 0.0]) / given.scale[..., None, None]
    error = hidden_error(off, given, torch.full((10,), 1000.0), H36M)
    assert error[WRIST].item() == pytest.approx(5000, rel=1e-4)
    assert error.sum() == error[WRIST]


def test_examples_survive_their_file(tmp_path: Path) -> None:
    whole, hidden = torch.randn(6, 3, len(SMALL), 2), torch.rand(6, 3, len(SMALL)) < 0.5
    written = Reconstruction(SMALL, whole, hidden, whole + 1)
    write_examples(tmp_path / "test.h5", written)
    read = read_examples(tmp_path / "test.h5")
    assert read is not None and read.skeleton == SMALL
    for got, expected in zip(read[1:], written[1:], strict=True):
        assert torch.equal(got, expected)
