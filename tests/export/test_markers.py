"""TRC and C3D files, read back by others."""

import sys
import warnings
from pathlib import Path

import c3d
import numpy as np
import pandas as pd
import pytest
import torch

from lib.export.catalog import write_motion
from lib.inference.motion import Motion
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from tests.inference.motions import walking

COCO = LAYOUTS["coco"]
MARKERS = [*H36M.names, *(f"keypoint_{name}" for name in COCO.keypoints)]


def places(motion: Motion) -> torch.Tensor:
    return torch.cat([motion.joints, motion.keypoints], 1)


def test_trc(tmp_path: Path) -> None:
    motion = walking(layout=COCO, times=2 + torch.arange(50, dtype=torch.float64) / 25, name="ann/a walk")
    (path,) = write_motion(motion, tmp_path, "walk", ["trc"])
    lines = path.read_text().splitlines()
    assert lines[0].split("\t") == ["PathFileType", "4", "(X/Y/Z)", "ann/a_walk.trc"]
    head = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert (head["Units"], head["NumFrames"], head["NumMarkers"]) == ("m", "50", str(len(MARKERS)))
    assert float(head["DataRate"]) == float(head["CameraRate"]) == float(head["OrigDataRate"]) == 25
    assert lines[3].split("\t")[2::3] == MARKERS
    assert lines[5] == ""
    table = pd.read_csv(path, sep="\t", skiprows=6, header=None)
    assert len(lines[3].split("\t")) == len(lines[4].split("\t")) == table.shape[1]
    np.testing.assert_array_equal(table[0], np.arange(1, 51))
    np.testing.assert_allclose(table[1], motion.times, atol=1e-6)
    np.testing.assert_allclose(table.iloc[:, 2:], places(motion).flatten(1), atol=1e-5)


def test_trc_of_the_camera_frame_is_upright(tmp_path: Path) -> None:
    (path,) = write_motion(walking(frame="camera"), tmp_path, "walk", ["trc"])
    table = pd.read_csv(path, sep="\t", skiprows=6, header=None)
    expected = walking().joints * torch.tensor([1.0, -1.0, -1.0])
    np.testing.assert_allclose(table.iloc[:, 2:], expected.flatten(1), atol=1e-5)


def test_c3d(tmp_path: Path) -> None:
    pytest.importorskip("ezc3d", reason="no wheel of it for this machine")
    motion = walking(layout=COCO)
    (path,) = write_motion(motion, tmp_path, "walk", ["c3d"])
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No analog data")
        reader = c3d.Reader(file)
        frames = np.stack([points for _, points, _ in reader.read_frames()])
    assert [label.strip() for label in reader.point_labels] == MARKERS
    assert reader.point_rate == 25
    assert reader.get("POINT:UNITS").string_value.strip() == "mm"
    x, y, z = places(motion).mul(1000).unbind(-1)
    np.testing.assert_allclose(frames[..., :3], torch.stack([x, -z, y], -1), atol=1e-2)  # z up
    assert (frames[..., 3] == 0).all()  # -1 would be a point that is not there


def test_c3d_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    with pytest.raises(UserError, match=r"^C3D files need the package ezc3d: pip install ezc3d==[\d.]+$"):
        write_motion(walking(), tmp_path, "walk", ["json", "c3d"])
    assert not list(tmp_path.iterdir())


def test_c3d_cannot_hold_hours(tmp_path: Path) -> None:
    pytest.importorskip("ezc3d", reason="no wheel of it for this machine")
    with pytest.raises(UserError, match="walk: a C3D file holds 65535 frames, not 70001"):
        write_motion(walking(2, times=torch.tensor([0.0, 2800.0], dtype=torch.float64)), tmp_path, "walk", ["c3d"])
