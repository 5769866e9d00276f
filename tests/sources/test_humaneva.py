"""HumanEva's files: what is read, the lenses that are found, and what is left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lib.pose.layouts import LAYOUTS
from lib.runtime.errors import UserError
from lib.sources import humaneva
from lib.sources.base import SourceData, SplitParams
from tests.data.dataset_files import EVA_LENS, FRAMES, eva_takes, write_eva
from tests.data.files import source_params

SPLIT = SplitParams(train=("Train/S1",), validation=("Train/S2",), test=("Validate/S1", "Validate/S2"))


def read(folder: Path, **changes: Any) -> SourceData:
    return humaneva.read(folder, source_params("humaneva", split=SPLIT, **changes))


def test_reads_every_take_in_every_camera(tmp_path: Path) -> None:
    write_eva(tmp_path, *eva_takes())
    data = read(tmp_path)
    assert data.subjects == ("Train/S1", "Train/S2", "Validate/S1", "Validate/S2")
    assert data.layout == LAYOUTS["humaneva_15"] and data.dropped == [] and len(data.sequences) == 12
    for sequence in data.sequences:
        assert sequence.fps == 60 and sequence.keypoints.shape == (FRAMES, 15, 2)
        assert sequence.camera.focal == pytest.approx(EVA_LENS["focal"], rel=1e-2)
        assert sequence.positions is not None
        assert ((sequence.positions[..., 2] > 1) & (sequence.positions[..., 2] < 7)).all()
        # To less than a pixel: people who hardly move show little of a lens.
        assert (sequence.camera.project(sequence.positions) - sequence.keypoints).abs().max() < 0.5
        places = dict(zip(LAYOUTS["humaneva_15"].keypoints, sequence.keypoints[0].tolist(), strict=True))
        assert places["head"][1] < places["thorax"][1] < places["pelvis"][1] < places["right_ankle"][1]


def test_faults_are_counted_by_reason(tmp_path: Path) -> None:
    positions, keypoints = eva_takes()
    take = "Walking 1 chunk0"
    keypoints["Train/S1"][take][1] = None
    keypoints["Train/S1"]["Jog 1"] = keypoints["Train/S1"][take]
    positions["Train/S2"][take][3, 4] = np.nan
    keypoints["Validate/S1"][take][2] = keypoints["Validate/S1"][take][2][:, :14]
    write_eva(tmp_path, positions, keypoints)
    data = read(tmp_path)
    assert [(d.subject, d.action, d.camera, d.reason) for d in data.dropped] == [
        ("Train/S1", take, "C2", "no_2d"),
        *(("Train/S1", "Jog 1", camera, "no_3d") for camera in humaneva.CAMERAS),
        *(("Train/S2", take, camera, "not_finite") for camera in humaneva.CAMERAS),
        ("Validate/S1", take, "C3", "unreadable"),
    ]
    assert data.dropped[-1].why.endswith("C3: 2D must be (frames, 15, 2), but is (30, 14, 2)")
    assert len(data.sequences) == 7


def test_confidence_is_a_third_column(tmp_path: Path) -> None:
    positions, keypoints = eva_takes()
    for takes in keypoints.values():
        for views in takes.values():
            views[:] = [np.concatenate([view, np.full((FRAMES, 15, 1), 0.5, np.float32)], -1) for view in views]
    write_eva(tmp_path, positions, keypoints, "detectron")
    sequence = read(tmp_path, keypoints="detectron").sequences[0]
    assert torch.equal(sequence.confidence, torch.full((FRAMES, 15), 0.5))


def test_missing_and_other_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks data_3d_humaneva15\.npz and data_2d_humaneva15_gt\.npz: .*HumanEva"):
        read(tmp_path)
    write_eva(tmp_path, *eva_takes())
    with pytest.raises(UserError, match=r"lacks data_2d_humaneva15_x\.npz: .* present: data_2d_humaneva15_gt\.npz$"):
        read(tmp_path, keypoints="x")
    write_eva(tmp_path, [1], {})
    with pytest.raises(UserError, match=r"data_3d_humaneva15\.npz is not in VideoPose3D's layout"):
        read(tmp_path)
    positions, keypoints = eva_takes()
    write_eva(tmp_path, {s: {a: p[:, :3] for a, p in takes.items()} for s, takes in positions.items()}, keypoints)
    with pytest.raises(UserError, match=r"^none of 12 takes below .* the first: HumanEva Train/S1 .* \(30, 3, 3\)$"):
        read(tmp_path)
