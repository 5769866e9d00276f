"""The file of predictions, and the scale that gives them metres."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from lib.data import store
from lib.inference.predictions import read_predictions, scale_by_body_size, scale_by_root_depth, write_predictions
from lib.pose.geometry import bone_lengths, root_centred
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from tests.synthetic import lifted_truth, write_store


@pytest.fixture
def split(tmp_path: Path) -> store.Split:
    return store.read_split(write_store(tmp_path / "poses.h5"), "test", "needed")


def _positions(split: store.Split) -> Tensor:
    assert split.positions is not None
    return split.positions


def test_scales_by_hand(split: store.Split) -> None:
    lifted = lifted_truth(_positions(split))
    by_depth = scale_by_root_depth(lifted, _positions(split), H36M)
    torch.testing.assert_close(by_depth, root_centred(_positions(split), H36M))
    by_size = scale_by_body_size(7 * lifted, 2.5, H36M)
    torch.testing.assert_close(bone_lengths(by_size, H36M).sum(-1), torch.full((60,), 2.5))


def test_predictions_survive_their_file(split: store.Split, tmp_path: Path) -> None:
    predicted = root_centred(_positions(split), H36M)
    write_predictions(tmp_path / "predictions" / "test.h5", split, predicted)
    read = read_predictions(tmp_path / "predictions" / "test.h5")
    assert torch.equal(read.predicted, predicted)
    pd.testing.assert_frame_equal(read.table, split.table)


def test_missing_predictions_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="test.h5 is missing: run `dvc repro evaluate` first"):
        read_predictions(tmp_path / "test.h5")
