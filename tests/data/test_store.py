"""The store gives back what was written, as index ranges, and 3D only where it is asked for."""

from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch

from lib.data import store
from lib.data.tables import COLUMNS
from lib.pose.cameras import Camera
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.runtime.errors import UserError
from lib.sources.base import PoseSequence
from lib.sources.h36m_cameras import cameras
from tests.settings import SMALL


def sequence(frames: int, seed: int, camera: Camera, action: str = "Walking") -> PoseSequence:
    generator = torch.Generator().manual_seed(seed)
    positions = torch.randn(frames, 17, 3, generator=generator) * 0.3 + torch.tensor([0.0, 0.0, 5.0])
    confidence = torch.rand(frames, 17, generator=generator)
    return PoseSequence("S1", action, camera, 50.0, camera.project(positions), confidence, positions)


@pytest.fixture
def sequences() -> list[PoseSequence]:
    first, second, *_ = cameras("S1")
    return [sequence(7, 1, first), sequence(1, 2, second, "Eating 2"), sequence(12, 3, first, "Été")]


def test_ranges_of_the_table_give_back_every_sequence(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    store.write(tmp_path / "poses.h5", {"train": sequences, "test": []}, H36M_LAYOUT)
    split = store.read_split(tmp_path / "poses.h5", "train", "needed")
    assert split.positions is not None
    assert tuple(split.table.columns) == COLUMNS
    assert list(split.table["start"]) == [0, 7, 8] and list(split.table["length"]) == [7, 1, 12]
    for row, written in zip(split.table.to_dict("records"), sequences, strict=True):
        assert (row["subject"], row["action"], row["camera"]) == (written.subject, written.action, written.camera.name)
        assert (row["fps"], row["width"], row["height"]) == (50.0, *written.camera.size)
        frames = slice(row["start"], row["start"] + row["length"])
        assert torch.equal(split.keypoints[frames], written.keypoints)
        assert torch.equal(split.confidence[frames], written.confidence)
        assert written.positions is not None and torch.equal(split.positions[frames], written.positions)
        ideal = written.positions[..., :2] / written.positions[..., 2:]
        torch.testing.assert_close(split.rays[frames], ideal, atol=2e-5, rtol=0)


def test_the_store_keeps_the_layout(tmp_path: Path) -> None:
    """One that there is, and one of a user's own; other programs find the names and the tree."""
    camera = cameras("S1")[0]
    for layout in (LAYOUTS["halpe_26"], SMALL):
        place = torch.rand(6, len(layout), 2, generator=torch.Generator().manual_seed(0)) * 500 + 200
        confidence = torch.ones(6, len(layout))
        store.write(
            tmp_path / "poses.h5",
            {"train": [PoseSequence("S1", "Walking", camera, 50.0, place, confidence, None)]},
            layout,
        )
        split = store.read_split(tmp_path / "poses.h5", "train")
        assert split.layout == layout and split.skeleton == layout.skeleton
        assert torch.equal(split.keypoints, place)
        with store.opened(tmp_path / "poses.h5", "preprocess") as file:
            assert store.read_skeleton(file) == layout.skeleton
            assert list(file.attrs["joints"]) == list(layout.landmarks)


def test_positions_stay_unread_unless_asked_for(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    store.write(tmp_path / "poses.h5", {"train": sequences}, H36M_LAYOUT)
    assert store.read_split(tmp_path / "poses.h5", "train").positions is None


def test_without_3d_labels_are_an_error(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    store.write(tmp_path / "poses.h5", {"train": [replace(s, positions=None) for s in sequences]}, H36M_LAYOUT)
    assert len(store.read_split(tmp_path / "poses.h5", "train").keypoints) == 20
    with pytest.raises(UserError, match="no 3D for the train split"):
        store.read_split(tmp_path / "poses.h5", "train", "needed")


def test_a_sequence_without_3d_leaves_the_others_theirs(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    path, (first, second, third) = tmp_path / "poses.h5", sequences
    store.write(path, {"train": [first, replace(second, positions=None), third], "test": [first, third]}, H36M_LAYOUT)
    labelled, expected = (store.read_split(path, split, "needed") for split in ("train", "test"))
    assert labelled.table.equals(expected.table) and labelled.positions is not None
    for name in ("keypoints", "confidence", "rays", "positions"):
        assert torch.equal(getattr(labelled, name), getattr(expected, name)), name
    assert len(store.read_split(path, "train").table) == 3  # without labels, all
    whole = store.read_split(path, "train", "if any")
    assert len(whole.table) == 3 and (~whole.labelled).nonzero()[:, 0].tolist() == [7]  # one frame


def test_labels_are_read_if_there_are_any(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    path = tmp_path / "poses.h5"
    store.write(path, {"train": sequences, "test": [replace(s, positions=None) for s in sequences]}, H36M_LAYOUT)
    assert store.read_split(path, "train", "if any").positions is not None
    assert store.read_split(path, "test", "if any").positions is None
    assert (store.has_labels(path, "train"), store.has_labels(path, "test")) == (True, False)


@pytest.mark.parametrize("split", ["test", "validation"])
def test_an_empty_or_missing_split_is_an_error(tmp_path: Path, sequences: list[PoseSequence], split: str) -> None:
    store.write(tmp_path / "poses.h5", {"train": sequences, "test": []}, H36M_LAYOUT)
    with pytest.raises(UserError, match=rf"has no {split} sequences: name subjects .* data\.split\.{split}"):
        store.read_split(tmp_path / "poses.h5", split)


def test_a_missing_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="poses.h5 is missing: run `dvc repro preprocess` first"):
        store.read_split(tmp_path / "poses.h5", "train")


def test_a_failed_write_leaves_the_old_store(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    path = tmp_path / "poses.h5"
    store.write(path, {"train": sequences}, H36M_LAYOUT)
    first, *_ = sequences
    assert first.positions is not None
    broken = replace(first, keypoints=first.keypoints[:, :16], confidence=first.confidence[:, :16], positions=None)
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        store.write(path, {"train": [*sequences, broken]}, H36M_LAYOUT)
    assert len(store.read_split(path, "train").keypoints) == 20
    assert [p.name for p in tmp_path.iterdir()] == ["poses.h5"]


def test_arrays_are_contiguous_float32(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    store.write(tmp_path / "poses.h5", {"train": sequences}, H36M_LAYOUT)
    with h5py.File(tmp_path / "poses.h5") as file:
        for name in ("keypoints", "confidence", "rays", "positions"):
            assert file["train"][name].dtype == "float32" and file["train"][name].chunks is None


def test_a_damaged_store_says_so(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    path = tmp_path / "poses.h5"
    for damage in (b"", b"no HDF5 at all"):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"poses\.h5 is damaged \(.*\): delete it and run `dvc repro preprocess`"):
            store.read_split(path, "train")
    store.write(path, {"train": sequences}, H36M_LAYOUT)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="damaged"):
        store.read_split(path, "train")


def test_a_keypoint_beyond_the_lens_is_hidden(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    keypoints = sequences[0].keypoints.clone()
    keypoints[2, 5], keypoints[3, 6] = torch.tensor([1600.0, 1600.0]), torch.tensor([2500.0, 2500.0])
    store.write(tmp_path / "poses.h5", {"train": [replace(sequences[0], keypoints=keypoints)]}, H36M_LAYOUT)
    split = store.read_split(tmp_path / "poses.h5", "train")
    assert split.rays.isfinite().all()
    hidden = split.confidence == 0
    assert hidden.nonzero().tolist() == [[2, 5], [3, 6]]


@pytest.mark.parametrize("name", ["rays", "confidence"])
def test_2d_that_is_not_finite_is_refused_before_it_teaches(
    name: str, tmp_path: Path, sequences: list[PoseSequence]
) -> None:
    path = tmp_path / "poses.h5"
    store.write(path, {"train": sequences}, H36M_LAYOUT)
    with h5py.File(path, "r+") as file:
        file["train"][name][8, 3] = float("nan")
    with pytest.raises(UserError, match=rf"poses\.h5: {name} of S1/Été/\d+, 1 frames in all, are not finite: run"):
        store.read_split(path, "train")


def test_times_are_kept_since_the_first_frame(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    """Also to a tenth of a millisecond in seconds since 1970, beside sequences that have a rate alone."""
    path, (first, second, third) = tmp_path / "poses.h5", sequences
    times = 1.7e9 + torch.tensor([0.0, 0.02, 0.0401, 0.06, 0.2, 0.2201, 0.24], dtype=torch.float64)
    timed = replace(first, times=times, fps=11.0)
    store.write(path, {"train": [timed, replace(second, positions=None), third], "test": [second, third]}, H36M_LAYOUT)
    split = store.read_split(path, "train")
    assert split.times is not None and split.times.dtype == torch.float64
    expected = torch.cat([times - times[0], torch.zeros(1, dtype=torch.float64), torch.arange(12) / 50])
    torch.testing.assert_close(split.times, expected, atol=1e-5, rtol=0)
    assert split.table["fps"].tolist() == pytest.approx([1 / 0.02, 50, 50], rel=0.005)
    assert sum(split.timing.seconds) == pytest.approx(0.26 + 0.02 + 0.24, abs=1e-3)
    labelled = store.read_split(path, "train", "needed").times
    assert labelled is not None and torch.equal(labelled, split.times[[*range(7), *range(8, 20)]])
    assert store.read_split(path, "test").times is None


def test_a_store_without_times_holds_none(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    store.write(tmp_path / "poses.h5", {"train": sequences}, H36M_LAYOUT)
    with h5py.File(tmp_path / "poses.h5") as file:
        assert "times" not in file["train"]
    split = store.read_split(tmp_path / "poses.h5", "train")
    assert split.times is None and split.timing.seconds == [7 / 50, 1 / 50, 12 / 50]


def test_nobody_stands_between_frames_in_time(tmp_path: Path, sequences: list[PoseSequence]) -> None:
    """Stand-ins of frames without anybody lie where time says, not the number of the frame."""
    confidence = torch.ones(12, 17)
    confidence[5:7] = 0
    times = torch.arange(12, dtype=torch.float64) / 50
    times[6] += 0.015
    timed = replace(sequences[2], confidence=confidence, times=times)
    store.write(tmp_path / "poses.h5", {"train": [timed]}, H36M_LAYOUT)
    rays = store.read_split(tmp_path / "poses.h5", "train").rays
    torch.testing.assert_close(rays[6], torch.lerp(rays[4], rays[7], 2.75 / 3), atol=1e-6, rtol=1e-5)


def test_times_are_checked_when_a_sequence_is_made() -> None:
    with pytest.raises(UserError, match="do not increase at frame 3"):
        replace(sequence(4, 1, cameras("S1")[0]), times=torch.tensor([0.0, 0.02, 0.04, 0.04]))


BAD_TIMES = {
    "do not increase at frame 2": [0.0, 0.02, 0.02, 0.06],
    "do not increase at frame 3": [0.0, 0.02, 0.04, 0.03],
    "are not finite in 1 of 4 frames": [0.0, 0.02, float("nan"), 0.06],
    "are 3 for 4 frames": [0.0, 0.02, 0.04],
}


@pytest.mark.parametrize("problem", BAD_TIMES)
def test_bad_times_name_the_sequence(problem: str) -> None:
    camera, *_ = cameras("S1")
    message = rf"frame times of S1/Walking/{camera.name} {problem}: give each frame its time in seconds, later than"
    made = sequence(4, 1, camera)
    object.__setattr__(made, "times", torch.tensor(BAD_TIMES[problem]))  # past the tests' own check of shapes
    with pytest.raises(UserError, match=message):
        made.__post_init__()
