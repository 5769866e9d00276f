"""Sequences of a store and their predictions, as the page shows them."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.data.split import Split
from lib.data.store import read_cameras, read_split
from lib.inference.motion import Motion
from lib.inference.predictions import Predictions
from lib.pose.cameras import Camera
from lib.pose.geometry import project, root_centred
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.viewer.sequences import root_from_2d, scenes
from tests.synthetic import CAMERA, motion, write_store


@given(st.integers(0, 1000))
def test_a_pose_is_where_it_is_seen(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pose = 0.5 * torch.randn(4, 17, 3, generator=generator)
    root = torch.tensor([0.5, -0.3, 5.0]) + 0.5 * torch.randn(4, 3, generator=generator)
    seen = torch.rand(4, 17, generator=generator) < 0.7
    seen[:, :2] = True
    rays = torch.where(seen[..., None], project(pose + root[:, None]), 7.0)
    torch.testing.assert_close(root_from_2d(pose, rays, seen), root, rtol=1e-3, atol=1e-3)


def test_of_one_joint_nobody_knows_how_far_it_is() -> None:
    seen = torch.zeros(2, 17, dtype=torch.bool)
    seen[1, 3] = True
    assert root_from_2d(torch.rand(2, 17, 3), torch.rand(2, 17, 2), seen).isnan().all()


def _read(path: Path, labels: bool = True) -> tuple[Split, list[Camera], Predictions]:
    """A store, its cameras, and predictions that are true but for the scale."""
    store = write_store(path / "poses.h5", labels)
    split = read_split(store, "test", "if any")
    true = torch.cat([motion(length, seed) for seed, length in enumerate(split.table["length"])])
    pose, stated = root_centred(true, H36M), torch.full(true.shape[:2], 0.03)
    return split, read_cameras(store, "test"), Predictions(split.table, pose, pose, stated, stated)


def _motions(split: Split, cameras: list[Camera], predictions: Predictions) -> list[Motion]:
    return [motion for scene in scenes(split, predictions, cameras, split.table) for motion in scene.motions]


@pytest.mark.parametrize("labels", [True, False])
def test_predictions_are_where_the_true_pose_is_or_where_they_are_seen(tmp_path: Path, labels: bool) -> None:
    split, cameras, predictions = _read(tmp_path, labels)
    shown = _motions(split, cameras, predictions)
    assert [one.name for one in shown] == ["S9/Eating 1/camera1", "S9/Walking/camera1", "S11/Eating 2/camera1"]
    for seed, one in enumerate(shown):
        true = motion(len(one), seed)
        assert one.frame == "camera" and (one.target is not None) == labels
        torch.testing.assert_close(one.keypoints, true, rtol=0, atol=1e-3)
        torch.testing.assert_close(one.joints, true, rtol=0, atol=1e-3)
        assert one.times.tolist() == pytest.approx([frame / 50 for frame in range(len(one))])


def test_what_nobody_saw_lies_between_what_was_seen(tmp_path: Path) -> None:
    split, cameras, predictions = _read(tmp_path, labels=False)
    confidence = split.confidence.clone()
    confidence[10:15] = 0
    (one, *_) = _motions(replace(split, confidence=confidence), cameras, predictions)
    assert one.pixels[10:15].isnan().all() and one.keypoints.isfinite().all()
    torch.testing.assert_close(one.joints[10:15, 0], motion(30)[10:15, 0], rtol=0, atol=0.01)


def test_where_the_cameras_tilt_is_known_people_stand_upright_on_the_floor(tmp_path: Path) -> None:
    split, _, predictions = _read(tmp_path)
    assert split.positions is not None
    tilt = math.radians(20)  # the camera looks down
    about = torch.tensor([[1, 0, 0], [0, math.cos(tilt), -math.sin(tilt)], [0, math.sin(tilt), math.cos(tilt)]])
    half = (math.radians(-90) - tilt) / 2  # from a camera that looks up to one that looks ahead and down
    camera = replace(CAMERA, orientation=(math.cos(half), math.sin(half), 0.0, 0.0))
    seen = replace(split, positions=split.positions @ about.mT)
    turned = replace(predictions, predicted=predictions.predicted @ about.mT, joints=predictions.joints @ about.mT)
    for one in _motions(seen, [camera] * 3, turned):
        assert one.frame == "world" and one.target is not None
        torch.testing.assert_close(one.keypoints, one.target, rtol=0, atol=1e-4)
        level = root_centred(motion(len(one)), H36M)[:, :, 1]
        torch.testing.assert_close((one.joints - one.joints[:, :1])[..., 1], -level, rtol=0, atol=1e-4)
        ankles = [H36M.index(name) for name in ("left_ankle", "right_ankle")]
        assert float(one.joints[:, ankles, 1].amin()) == pytest.approx(0.08, abs=0.01)
        assert one.joints[0, 0, [0, 2]].tolist() == pytest.approx([0, 0], abs=1e-6)


def test_predictions_of_other_sequences_are_an_error(tmp_path: Path) -> None:
    split, cameras, predictions = _read(tmp_path)
    other = replace(predictions, table=split.table.assign(subject="S5"))
    with pytest.raises(UserError, match="the predictions belong to other sequences than the store"):
        scenes(split, other, cameras, split.table)
