"""The speed table on a small store: what each figure and its bound measure, not how fast this machine is."""

import argparse
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from lib.data.store import read_split
from lib.evaluation import metrics
from lib.experiments.speed import Measured, _p_mpjpe, alignment, seconds_to
from lib.models import checkpoints
from lib.runtime.paths import Paths
from lib.training.pretraining import PretrainParams
from stages import speed
from tests.settings import PARAMS, tiny_checkpoint
from tests.synthetic import write_store


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Of a project with a store whose validation split is its test split."""
    paths = Paths(tmp_path)
    with h5py.File(write_store(paths.poses), "a") as file:
        file.copy("test", "validation")
    return paths


def test_every_figure_is_measured(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints.save(tiny_checkpoint(frames=3), paths.finetuned)
    arguments = argparse.Namespace(checkpoint=None, seconds=0.02, rounds=1, poses=100, to=None)
    speed.run(arguments, PARAMS, paths)
    table = capsys.readouterr().out
    for name in ("training loop", "arithmetic", "with flips", "with everything", "one frame", "P-MPJPE"):
        assert name in table
    assert not paths.pretrained.exists()


def test_numpys_bound_is_the_same_error() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, target = torch.randn(2, 50, 17, 3, generator=generator)
    expected = float(metrics.p_mpjpe(predicted, target).mean())
    assert _p_mpjpe(predicted.numpy(), target.numpy()) == pytest.approx(expected, rel=1e-4)
    assert isinstance(alignment(10, 1)[0], Measured)


def test_training_ends_at_the_error(paths: Paths) -> None:
    params = PretrainParams.read(PARAMS | {"training": PARAMS["training"] | {"debug": True}})
    split = read_split(paths.poses, "validation", "needed")
    took, error = seconds_to(1e6, params, paths, split)
    assert 0 < took < math.inf and np.isfinite(error)
    assert seconds_to(0.0, params, paths, split)[0] == math.inf
