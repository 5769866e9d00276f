"""A split that is measured in parts gives what it gives as a whole."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.data import store
from lib.data.split import Split
from lib.evaluation.lifting import Evaluation, evaluate
from lib.evaluation.parts import Evaluated, merged
from lib.inference.lifter import LiftedSplit
from tests.synthetic import BODY_SIZE, lifted_points, lifted_truth, write_store


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return store.read_split(write_store(tmp_path / "poses.h5"), "test", "if any")


def noisy(split: Split) -> LiftedSplit:
    """Poses that are off by noise, and say so more or less."""
    assert split.positions is not None
    generator = torch.Generator().manual_seed(0)
    truth = lifted_truth(split.positions)
    poses = truth + 0.01 * torch.randn(truth.shape, generator=generator)
    stated = 0.005 + 0.01 * torch.rand(truth.shape[:2], generator=generator)
    return lifted_points(poses, poses, stated, stated)


def evaluated(split: Split, poses: LiftedSplit, frames: int) -> Evaluated:
    def parts() -> Iterator[tuple[Split, Evaluation]]:
        begin = 0
        for part in split.parts(frames):
            some = LiftedSplit(*(values[begin : begin + len(part.keypoints)] for values in poses))
            yield part, evaluate(part, some, "root_depth", BODY_SIZE)
            begin += len(part.keypoints)

    return merged(parts())


@pytest.mark.parametrize("labels", ["all", "some", "none"])
def test_parts_give_the_metrics_of_the_whole(split: Split, labels: str) -> None:
    poses = noisy(split)
    assert split.positions is not None
    if labels == "some":  # none in a part
        positions = split.positions.clone()
        positions[30:50] = torch.nan
        split = replace(split, positions=positions)
    if labels == "none":
        split = replace(split, positions=None)
    whole, parts = (evaluated(split, poses, frames) for frames in (60, 32))
    assert list(parts.metrics) == list(whole.metrics)
    for name, value in whole.metrics.items():
        assert parts.metrics[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5)), name
    for one, other in ((whole.per_joint, parts.per_joint), (whole.per_action, parts.per_action)):
        assert one.columns.tolist() == other.columns.tolist() and len(one) == len(other)
        assert one.iloc[:, 0].tolist() == other.iloc[:, 0].tolist()
        np.testing.assert_allclose(one.iloc[:, 1:].astype(float), other.iloc[:, 1:].astype(float), rtol=1e-5)
    assert whole.reliability["points"].sum() == parts.reliability["points"].sum()
    assert parts.reliability["stated_mm"].is_monotonic_increasing


def test_parts_are_whole_sequences(split: Split) -> None:
    """Of 30, 20 and 10 frames."""
    for frames, lengths in ((60, [60]), (59, [50, 10]), (30, [30, 30]), (1, [30, 20, 10])):
        parts = list(split.parts(frames))
        assert [len(part.keypoints) for part in parts] == lengths
        assert torch.equal(torch.cat([part.rays for part in parts]), split.rays)
        assert [name for part in parts for name in part.table["action"]] == split.table["action"].tolist()
        assert all(part.table["start"].iloc[0] == 0 for part in parts)
