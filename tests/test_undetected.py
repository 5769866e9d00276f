"""Frames in which nobody was detected, and joints that were not: no stage fails, and no output has a number missing."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from lib.models import checkpoints
from lib.pose.skeleton import H36M
from lib.runtime.console import Console
from lib.runtime.paths import Paths
from lib.sources import catalog
from lib.sources.base import SourceData, SourceParams
from stages import evaluate, finetune, preprocess, pretrain, visualize
from tests.data.files import Array, h36m_takes, write_h36m
from tests.settings import PARAMS

NOBODY = (np.nan, 0.0, 321.5)  # what files hold in place of keypoints: nothing, the corner, any one point
STAGES = (preprocess, pretrain, finetune, evaluate, visualize)


@pytest.fixture
def params() -> dict[str, Any]:
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    params["data"] |= {"source": "h36m", "split": {"train": ["S1"], "validation": ["S8"], "test": ["S9"]}}
    params["training"] |= {"debug": True, "device": "cpu", "threads": 1}
    params["visualize"] |= {"gif_frames": 2, "count": 1}
    return params


def with_gaps(
    subjects: dict[str, dict[str, Any]], first: int, frames: int, value: float, joints: Any = ..., views: Any = ...
) -> None:
    """Put a value in place of some frames of every take, in some cameras."""
    for takes in subjects.values():
        for cameras in takes.values():
            for camera in range(4) if views is ... else views:
                cameras[camera][first : first + frames, joints] = value


def numbers(path: Path) -> dict[str, Array]:
    """Every array of numbers in an HDF5 file."""
    found: dict[str, Array] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            found[name] = item[:]

    with h5py.File(path) as file:
        file.visititems(add)
    return found


def assert_nothing_is_missing(paths: Paths, known: bool = True) -> None:
    """But what nobody saw, in the examples of reconstruction, and positions that are not `known`."""
    unknown = ("whole",) if known else ("whole", "positions")
    for path in (paths.poses, paths.predictions):
        for name, values in numbers(path).items():
            if not name.endswith(unknown):
                assert np.isfinite(values).all(), f"{path.name}: {name}"
    for path in [paths.stats, *(paths.root / "metrics").glob("*.json")]:
        json.loads(path.read_text(), parse_constant=pytest.fail)
    for path in (paths.root / "plots").glob("*.csv"):
        table = pd.read_csv(path)
        if path.name not in ("training.csv", "finetuning.csv"):  # terms that some epochs do not have
            assert not table.isna().to_numpy().any(), path.name
    for path in (paths.pretrained, paths.finetuned):
        assert all(value.isfinite().all() for value in checkpoints.load(path).weights.values())


def run(params: dict[str, Any], root: Path, keypoints: dict[str, dict[str, Any]], known: bool = True) -> Paths:
    """All stages on the made-up takes with these keypoints; no output of theirs has a number missing."""
    paths = Paths(root)
    write_h36m(paths.raw("h36m"), h36m_takes()[0], keypoints)
    for stage in STAGES:
        stage.run(params, paths)
    assert_nothing_is_missing(paths, known)
    return paths


def counts(paths: Paths, stage: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(paths.metrics(stage).read_text())
    return content


@pytest.mark.parametrize("frames", [1, 10])
def test_frames_in_which_nobody_was_detected(frames: int, params: dict[str, Any], tmp_path: Path) -> None:
    _, keypoints = h36m_takes()
    for camera, value in enumerate(NOBODY):
        with_gaps(keypoints, 12, frames, value, views=[camera])
    with_gaps(keypoints, 0, frames, np.nan, views=[3])  # at the beginning, and at the end
    with_gaps(keypoints, 30 - frames, frames, np.nan, views=[3])
    paths = run(params, tmp_path, keypoints)
    expected = np.zeros((2, 4, 30), bool)  # takes, cameras, frames
    expected[:, :3, 12 : 12 + frames] = expected[:, 3, :frames] = expected[:, 3, 30 - frames :] = True
    for split in ("train", "validation", "test"):
        confidence = numbers(paths.poses)[f"{split}/confidence"].reshape(2, 4, 30, 17)
        assert ((confidence == 0) == expected[..., None]).all()
        assert counts(paths, "preprocess")[f"{split}_undetected_frames"] == 2 * 5 * frames
    measured = counts(paths, "evaluate")
    assert (measured["frames"], measured["undetected_frames"]) == (240, 2 * 5 * frames)


@pytest.mark.parametrize("objective", ["mask_2d", "mask_3d", "supervised"])
def test_every_objective_bears_gaps(objective: str, params: dict[str, Any], tmp_path: Path) -> None:
    params["training"]["objective"] = objective
    _, keypoints = h36m_takes()
    with_gaps(keypoints, 12, 7, 0.0)
    run(params, tmp_path, keypoints)


def test_joints_that_were_not_detected(params: dict[str, Any], tmp_path: Path) -> None:
    """For some frames, among them the root: the take stays, and they are hidden."""
    _, keypoints = h36m_takes()
    hidden = ([0], [0, 1], [0, 1, 4], [13, 16])
    for camera, joints in enumerate(hidden):
        with_gaps(keypoints, 5, 9, np.nan, joints, [camera])
        with_gaps(keypoints, 20, 4, 0.0, joints, [camera])
    paths = run(params, tmp_path, keypoints)
    assert (counts(paths, "preprocess")["dropped_sequences"], counts(paths, "evaluate")["undetected_frames"]) == (0, 0)
    expected = np.zeros((2, 4, 30, 17), bool)
    for camera, joints in enumerate(hidden):
        for joint in joints:
            expected[:, camera, 5:14, joint] = expected[:, camera, 20:24, joint] = True
    assert ((numbers(paths.poses)["test/confidence"].reshape(expected.shape) == 0) == expected).all()


def test_a_joint_that_nobody_ever_saw(params: dict[str, Any], tmp_path: Path) -> None:
    params["training"]["objective"] = "mask_2d"
    _, keypoints = h36m_takes()
    with_gaps(keypoints, 0, 30, np.nan, [H36M.index("head")])
    joints = set(pd.read_csv(run(params, tmp_path, keypoints).plot("reconstruction.csv"))["joint"])
    assert joints == set(H36M.names) - {"head", "pelvis"}


def test_a_take_in_which_nobody_was_detected_is_dropped(params: dict[str, Any], tmp_path: Path) -> None:
    positions, keypoints = h36m_takes()
    keypoints["S1"]["Walking"][2][:] = 0.0
    paths = Paths(tmp_path)
    write_h36m(paths.raw("h36m"), positions, keypoints)
    preprocess.run(params, paths)
    assert (counts(paths, "preprocess")["dropped_no_2d"], counts(paths, "preprocess")["train_sequences"]) == (1, 7)


@pytest.mark.parametrize("objective", ["lift", "mask_3d"])
def test_takes_without_3d_among_others(
    objective: str, params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage runs, and what needs labels has those of the other takes."""
    params["training"]["objective"] = objective
    params["finetune"] |= {"enabled": objective == "lift", "label_fraction": 1.0}
    read = catalog.SOURCES["h36m"]

    def without(raw: Path, data: SourceParams) -> SourceData:
        source = read(raw, data)
        return source._replace(
            recorded=[replace(s, positions=None) if s.action == "Walking" else s for s in source.sequences]
        )

    monkeypatch.setitem(catalog.SOURCES, "h36m", without)
    lines = []
    monkeypatch.setattr(Console, "header", lambda self, title, values: lines.append((title, dict(values))))
    paths = run(params, tmp_path, h36m_takes()[1], known=False)
    assert counts(paths, "preprocess")["train_unlabelled_sequences"] == 4
    if objective == "lift":
        assert counts(paths, "finetune")["labelled_frames"] == 4 * 30
        assert (counts(paths, "evaluate")["frames"], counts(paths, "evaluate")["labelled_frames"]) == (240, 120)
        assert set(pd.read_csv(paths.plot("per_action.csv"))["action"]) == {"Eating"}
        assert dict(lines)["fine-tuning"]["beside labels"] == "lift on all 2D"
        assert {path.name for path in paths.figures.iterdir()} >= {"examples.png", "sequences.png"}
    else:
        assert counts(paths, "evaluate")["windows"] == 120
