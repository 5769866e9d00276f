"""JSON, CSV, npz and HDF5, read back by others: all numbers of the motion, and what they mean."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from lib.export.catalog import write_motion
from lib.inference.motion import Motion
from lib.pose.layout import make_layout
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from tests.inference.motions import walking

PARTS = {
    "frame_numbers": "numbers",
    "times": "times",
    "pixels": "pixels",
    "confidence": "confidence",
    "keypoints": "keypoints",
    "keypoint_error": "keypoint_error",
    "joints": "joints",
    "joint_error": "joint_error",
    "target": "target",
}
ATOL = {"pixels": 0.0051, "times": 1e-6}
COCO = LAYOUTS["coco"]


def hidden(**changes: Any) -> Motion:
    """A walk in COCO's keypoints, in which a wrist is not detected in the third frame."""
    motion = walking(layout=COCO, numbers=torch.arange(50) * 2 + 7, name="ann/walk", **changes)
    motion.pixels[2, COCO.keypoints.index("left_wrist")] = torch.nan
    motion.confidence[2, COCO.keypoints.index("left_wrist")] = 0
    return motion


def from_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def from_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return {**file, "about": json.loads(str(file["about"]))}


def from_h5(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        attributes = {name: value for name, value in file.attrs.items()}
        attributes |= {name: json.loads(attributes[name]) for name in ("units", "layout")}
        return {**{name: file[name][:] for name in file}, **attributes, "about": attributes}


READERS: dict[str, Callable[[Path], dict[str, Any]]] = {"json": from_json, "npz": from_npz, "h5": from_h5}


@pytest.mark.parametrize("kind", READERS)
def test_everything_comes_back(kind: str, tmp_path: Path) -> None:
    motion = hidden(frame="camera", model="a", person="3", video=Path("/folder/walk.mp4"))
    (path,) = write_motion(motion, tmp_path, "walk", [kind])
    content = READERS[kind](path)
    for name, own in PARTS.items():
        expected = getattr(motion, own)
        if expected is not None:
            found = np.array(content[name], dtype=np.float64)
            np.testing.assert_allclose(found, expected.double().numpy(), atol=ATOL.get(name, 5.1e-5), rtol=0)
    assert "target" not in content
    assert list(content["joint_names"]) == list(H36M.names)
    assert list(content["joint_parents"]) == list(H36M.parents)
    assert list(content["keypoint_names"]) == list(COCO.keypoints)
    assert list(content["keypoint_parents"]) == list(COCO.skeleton.parents)
    about = content["about"]
    plain = ("name", "person", "model", "video", "frame_of_reference", "scale", "fps")
    assert [about[name] for name in plain] == ["ann/walk", "3", "a", "walk.mp4", "camera", motion.scale, 25.0]
    assert list(about["picture_size"]) == [1280, 720]
    assert about["axes"].startswith("x right, y down, z forward")
    assert about["units"]["3d"] == "metres"
    assert about["layout"] == COCO.dump()


@pytest.mark.parametrize("kind", READERS)
def test_the_truth_is_there_where_it_is_known(kind: str, tmp_path: Path) -> None:
    motion = walking()
    motion = walking(target=motion.keypoints + 0.1)
    (path,) = write_motion(motion, tmp_path, "walk", [kind])
    assert motion.target is not None
    np.testing.assert_allclose(np.array(READERS[kind](path)["target"]), motion.target.numpy(), atol=5.1e-5)


def test_json_has_null_for_what_was_not_detected_and_few_digits(tmp_path: Path) -> None:
    (path,) = write_motion(hidden(), tmp_path, "walk", ["json"])
    wrist = COCO.keypoints.index("left_wrist")
    assert json.loads(path.read_text())["pixels"][2][wrist] == [None, None]
    assert path.stat().st_size < 50 * (17 * 7 + 17 * 4 + 2) * 8 + 4000  # a byte for the comma, seven for a number


def column(table: pd.DataFrame, point: str, *parts: str) -> npt.NDArray[np.float64]:
    return table[[f"{point}_{part}" for part in parts]].to_numpy(np.float64)


def test_csv_of_another_layout_has_joints_and_keypoints(tmp_path: Path) -> None:
    motion = hidden()
    (path,) = write_motion(motion, tmp_path, "walk", ["csv"])
    table = pd.read_csv(path)
    assert list(table.columns[:3]) == ["frame", "time", "pelvis_x"]
    assert len(table.columns) == 2 + 17 * 4 + 17 * 7
    assert (table["frame"] == motion.numbers.numpy()).all()
    np.testing.assert_allclose(table["time"], motion.times, atol=1e-6)
    for joint, name in enumerate(H36M.names):
        np.testing.assert_allclose(column(table, name, *"xyz"), motion.joints[:, joint], atol=5.1e-5)
        np.testing.assert_allclose(column(table, name, "error")[:, 0], motion.joint_error[:, joint], atol=5.1e-5)
    for key, name in enumerate(COCO.keypoints):
        own = f"keypoint_{name}"
        np.testing.assert_allclose(column(table, own, *"xyz"), motion.keypoints[:, key], atol=5.1e-5)
        np.testing.assert_allclose(column(table, own, "error")[:, 0], motion.keypoint_error[:, key], atol=5.1e-5)
        np.testing.assert_allclose(column(table, own, *"uv"), motion.pixels[:, key], atol=0.0051)
        np.testing.assert_allclose(column(table, own, "confidence")[:, 0], motion.confidence[:, key], atol=5.1e-5)
    assert table.isna().sum().sum() == 2
    assert "nan" not in path.read_text()  # which spreadsheets take for a word


def test_csv_of_human36m_has_each_point_once(tmp_path: Path) -> None:
    motion = walking()
    (path,) = write_motion(motion, tmp_path, "walk", ["csv"])
    table = pd.read_csv(path)
    assert len(table.columns) == 2 + 17 * 7
    assert not any(name.startswith("keypoint_") for name in table.columns)
    wrist = H36M.index("right_wrist")
    np.testing.assert_allclose(column(table, "right_wrist", *"xyz"), motion.joints[:, wrist], atol=5.1e-5)
    np.testing.assert_allclose(column(table, "right_wrist", *"uv"), motion.pixels[:, wrist], atol=0.0051)


def test_csv_names_cannot_collide(tmp_path: Path) -> None:
    keypoints = {"a": "nose", "a_x": "left_wrist", "right": "right_wrist", 'b,"c': "pelvis", "pelvis": "head"}
    layout = make_layout("own", keypoints, {}, 0.01)
    (path,) = write_motion(walking(layout=layout), tmp_path, "walk", ["csv"])
    table = pd.read_csv(path)
    assert len(set(table.columns)) == 2 + 17 * 4 + 5 * 7
    assert 'keypoint_b,"c_x' in table.columns
    assert not any(name.endswith(".1") for name in table.columns)  # what pandas does with the second of a name
    assert all(kind.kind in "if" for kind in table.dtypes)
