"""The file of predictions, and the scale that gives them metres."""

from pathlib import Path

import h5py
import pandas as pd
import pytest
import torch
from torch import Tensor

from lib.data import store
from lib.data.split import Split
from lib.inference.predictions import body_scale, read_predictions, root_distance, write_predictions
from lib.pose.geometry import bone_lengths, root_centred
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from tests.settings import SMALL, synthetic_split
from tests.synthetic import lifted_points, lifted_truth, write_store


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return store.read_split(write_store(tmp_path / "poses.h5"), "test", "needed")


def _positions(split: Split) -> Tensor:
    assert split.positions is not None
    return split.positions


def test_scales_by_hand(split: Split) -> None:
    truth = lifted_truth(_positions(split))
    distance = root_distance(_positions(split), H36M)
    torch.testing.assert_close(truth * distance[:, None, None], root_centred(_positions(split), H36M))
    by_size = truth * body_scale(truth, 2.5)[:, None, None]
    torch.testing.assert_close(bone_lengths(by_size, H36M).sum(-1), torch.full((60,), 2.5))
    torch.testing.assert_close(body_scale(7 * truth, 2.5), body_scale(truth, 2.5) / 7)


def test_without_a_root_that_is_a_pelvis_the_hips_are_the_root() -> None:
    """COCO's skeleton hangs on its nose, and poses are centred on the hips all the same."""
    layout = LAYOUTS["coco"]
    positions = torch.zeros(1, len(layout), 3)
    positions[0, layout.keypoints.index("left_hip")] = torch.tensor([2.0, 0.0, 3.0])
    positions[0, layout.keypoints.index("right_hip")] = torch.tensor([4.0, 0.0, 5.0])
    assert root_distance(positions, layout.skeleton).tolist() == [5.0]  # of (3, 0, 4)


def test_predictions_survive_their_file(split: Split, tmp_path: Path) -> None:
    joints = root_centred(_positions(split), H36M)
    predicted = lifted_points(joints, 2 * joints, joints[..., 0], joints[..., 1])
    path = tmp_path / "predictions" / "test.h5"
    write_predictions(path, split, predicted)
    read = read_predictions(path)
    assert torch.equal(read.predicted, predicted.keypoints)
    assert torch.equal(read.joints, predicted.joints)
    assert torch.equal(read.error, predicted.keypoint_error)
    assert torch.equal(read.joint_error, predicted.joint_error)
    pd.testing.assert_frame_equal(read.table, split.table)
    with h5py.File(path) as file:
        assert (file["h36m_error"][:] == predicted.joint_error.numpy()).all()
        assert (file["predicted_error"][:] == predicted.keypoint_error.numpy()).all()
        assert store.read_layout(file) == split.layout
        assert list(file.attrs["joints"]) == list(file.attrs["h36m_joints"]) == list(H36M.names)
        assert list(file.attrs["h36m_parents"]) == list(H36M.parents)


def test_a_file_names_the_keypoints_of_its_layout(tmp_path: Path) -> None:
    split = synthetic_split(3, layout=SMALL)
    joints, keypoints = torch.randn(3, 17, 3), torch.randn(3, len(SMALL), 3)
    write_predictions(tmp_path / "test.h5", split, lifted_points(joints, keypoints, joints[..., 0], keypoints[..., 0]))
    read = read_predictions(tmp_path / "test.h5")
    assert torch.equal(read.predicted, keypoints) and torch.equal(read.joints, joints)
    with h5py.File(tmp_path / "test.h5") as file:
        assert list(file.attrs["joints"]) == list(SMALL.landmarks)
        assert store.read_layout(file) == SMALL


def test_missing_predictions_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="test.h5 is missing: run `dvc repro evaluate` first"):
        read_predictions(tmp_path / "test.h5")
