"""MPI-INF-3DHP's files: what is read, the lenses that are found, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lib.data import store
from lib.data.preprocessing import preprocess
from lib.pose.layouts import LAYOUTS
from lib.runtime.errors import UserError
from lib.sources import mpi_inf_3dhp
from lib.sources.base import SourceData, SplitParams
from lib.sources.catalog import check_source, require_files
from tests.data.dataset_files import FRAMES, OUTDOORS, STUDIO, mpi_video, write_mpi
from tests.data.files import source_params

SPLIT = SplitParams(train=("S1",), validation=("S8",), test=("TS1", "TS5"))


def read(folder: Path, split: SplitParams = SPLIT) -> SourceData:
    return mpi_inf_3dhp.read(folder, source_params("mpi_inf_3dhp", split=split))


def test_reads_every_video(tmp_path: Path) -> None:
    write_mpi(tmp_path)
    data = read(tmp_path)
    assert data.subjects == ("S1", "S8", "TS1", "TS5") and data.layout == LAYOUTS["mpi_inf_3dhp"]
    assert data.dropped == []
    found = [(s.subject, s.action, s.camera.name, s.fps, s.camera.size) for s in data.sequences]
    assert found == [
        ("S1", "Seq1", "0", 25, (2048, 2048)),
        ("S1", "Seq1", "8", 25, (2048, 2048)),
        ("S1", "Seq2", "0", 50, (2048, 2048)),
        ("S1", "Seq2", "8", 50, (2048, 2048)),
        ("S8", "Seq1", "0", 25, (2048, 2048)),
        ("S8", "Seq1", "8", 25, (2048, 2048)),
        ("TS1", "TS1", "video", 25, (2048, 2048)),
        ("TS5", "TS5", "video", 25, (1920, 1080)),
    ]
    for sequence in data.sequences:
        lens = OUTDOORS if sequence.subject == "TS5" else STUDIO
        assert sequence.camera.focal == pytest.approx(lens.focal, rel=1e-4)
        assert sequence.camera.center == pytest.approx(lens.center, abs=0.1)
        assert sequence.positions is not None
        shown = sequence.positions.isfinite().flatten(1).all(1)
        assert shown.sum() == (FRAMES // 5 if sequence.subject == "TS1" else FRAMES)
        seen = sequence.camera.project(sequence.positions[shown])
        torch.testing.assert_close(seen, sequence.keypoints[shown], atol=0.01, rtol=0)
        assert 2 < sequence.positions[shown][..., 2].mean() < 5  # metres


def test_the_layout_is_the_files(tmp_path: Path) -> None:
    """Feet are below and the head is above, left is on a facing person's left."""
    write_mpi(tmp_path)
    pixels = dict(
        zip(LAYOUTS["mpi_inf_3dhp"].keypoints, read(tmp_path).sequences[0].keypoints[0].tolist(), strict=True)
    )
    assert pixels["head_top"][1] < pixels["neck"][1] < pixels["pelvis"][1] < pixels["left_ankle"][1]
    assert pixels["left_hip"][0] > pixels["right_hip"][0]  # who faces the camera


def test_frames_that_are_not_valid_are_predicted_and_not_measured(tmp_path: Path) -> None:
    write_mpi(tmp_path / "raw")
    params = source_params("mpi_inf_3dhp", split=SPLIT)
    result = preprocess(params, tmp_path / "raw", tmp_path / "poses.h5")
    assert result.stats["layout"] == "mpi_inf_3dhp" and result.metrics["test_frames"] == 2 * FRAMES
    whole = store.read_split(tmp_path / "poses.h5", "test", "if any")
    assert whole.labelled.tolist() == [i % 5 == 4 for i in range(FRAMES)] + [True] * FRAMES
    known = store.read_split(tmp_path / "poses.h5", "test", "needed")
    assert known.table["length"].tolist() == [FRAMES // 5, FRAMES]
    assert known.table["start"].tolist() == [0, FRAMES // 5]
    assert known.table["fps"].tolist() == pytest.approx([5, 25])
    assert known.times is not None
    np.testing.assert_allclose(known.times[: FRAMES // 5], np.arange(FRAMES // 5) / 5)
    assert torch.equal(known.keypoints, whole.keypoints[whole.labelled])


def test_only_the_file_that_the_split_needs_must_be_there(tmp_path: Path) -> None:
    write_mpi(tmp_path)
    (tmp_path / "data_train_3dhp.npz").unlink()
    split = SplitParams(train=(), validation=(), test=("TS1",))
    assert len(read(tmp_path, split).sequences) == 1
    params = source_params("mpi_inf_3dhp", split=SPLIT)
    with pytest.raises(UserError, match=r"lacks data_train_3dhp\.npz: put there .*P-STMO .* data set of vcai"):
        require_files(tmp_path, params)


def test_keypoints_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data.keypoints = 'cpn': mpi_inf_3dhp has gt"):
        check_source(source_params("mpi_inf_3dhp", keypoints="cpn"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"data_2d": np.zeros((FRAMES, 16, 2))}, r"data_2d must be \(frames, 17, 2\), but is \(30, 16, 2\)"),
        ({"data_3d": np.zeros((FRAMES, 17, 2))}, r"data_3d must be \(frames, 17, 3\)"),
        ({"data_3d": np.zeros((5, 17, 3))}, "5 frames of 3D and 30 of 2D"),
        ({"data_3d": "text"}, "data_3d is no array of numbers"),
        ({"data_2d": np.zeros((FRAMES, 34))}, "data_2d is no array of numbers of three dimensions"),
        ({"valid": np.ones(3)}, "3 frames are valid or not, and there are 30"),
    ],
)
def test_a_bad_video_is_named_and_left_out(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    bad = {**mpi_video(STUDIO, 0), **change}
    write_mpi(tmp_path, {"S1 Seq1": [{"0": bad, "8": mpi_video(STUDIO, 1)}]})
    data = read(tmp_path)
    (dropped,) = data.dropped
    assert (dropped.subject, dropped.action, dropped.camera, dropped.reason) == ("S1", "Seq1", "0", "unreadable")
    assert len(data.sequences) == 7
    with pytest.raises(UserError, match=f"^none of 1 sequences can be used; the first: .*TS1 TS1 video: {why}"):
        write_mpi(tmp_path, tests={"TS1": bad})
        read(tmp_path, SplitParams(train=(), validation=(), test=("TS1",)))


@pytest.mark.parametrize("changes", [{"S1": [{}]}, {"S1 Seq1": 3}, {"S1 Seq1": []}])
def test_another_layout_of_the_file_is_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_mpi(tmp_path, changes)
    with pytest.raises(UserError, match=r"data_train_3dhp\.npz is not in P-STMO's layout: .*with its cameras$"):
        read(tmp_path)
