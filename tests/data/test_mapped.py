"""A split that is too large for memory: its arrays stay in the file, and everything that reads it finds the same."""

import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from lib.data import mapped, split, store
from lib.data.mapped import Mapped
from lib.data.split import Split
from lib.data.statistics import keypoint_statistics, position_statistics
from lib.data.tables import write_table
from lib.data.windows import LoaderParams, WindowBatch, WindowParams, Windows, training_loader
from lib.pose.layouts import H36M_LAYOUT
from lib.runtime.errors import UserError
from lib.sources.base import PoseSequence
from tests.settings import window
from tests.synthetic import sequence

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
ARRAYS = ("keypoints", "confidence", "rays", "positions", "times")


def detected(subject: str, frames: int, seed: int) -> PoseSequence:
    """A person of whom a detector is not always sure, and in some frames sees nothing."""
    made = sequence(subject, "Walking", frames, seed)
    generator = torch.Generator().manual_seed(seed)
    confidence = 0.2 + 0.8 * torch.rand(frames, 17, generator=generator)
    confidence[3:6] = 0
    keypoints = (
        made.keypoints + torch.randn(made.keypoints.shape, generator=generator) / confidence.clamp_min(0.2)[..., None]
    )
    return replace(made, keypoints=keypoints, confidence=confidence)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    sequences = [detected(f"S{number}", 40 + 30 * number, number) for number in range(5)]
    store.write(tmp_path / "poses.h5", {"train": sequences}, H36M_LAYOUT)
    return tmp_path / "poses.h5"


def in_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> Split:
    monkeypatch.setattr(mapped, "IN_MEMORY", 0)
    monkeypatch.setattr(mapped, "CHUNK", 64)
    read = store.read_split(path, "train", "if any")
    assert read.mapped is not None
    return read


def same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other or (one is not None and other is not None and torch.equal(one, other))


@pytest.mark.parametrize("timed", [False, True])
def test_arrays_in_the_file_are_those_in_memory(path: Path, timed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if timed:
        times = torch.arange(60, dtype=torch.float64) / 50
        store.write(path, {"train": [replace(detected("S1", 60, 1), times=times)]}, H36M_LAYOUT)
    memory = store.read_split(path, "train", "if any")
    file = in_file(path, monkeypatch)
    assert memory.mapped is None
    assert all(same(getattr(memory, name), getattr(file, name)) for name in ARRAYS)
    assert torch.equal(memory.detected, file.detected) and not file.detected.all()
    assert torch.equal(memory.labelled, file.labelled)


@pytest.mark.parametrize("fps", [50.0, 30.0])  # on frames, and between them
@pytest.mark.parametrize("workers", [0, 1])
def test_training_reads_the_same_clips(path: Path, fps: float, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def batches(read: Split) -> list[WindowBatch]:
        read.table["fps"] = fps
        clips = Windows(read, WindowParams(frames=9, interval_seconds=0.06).clip, detected_only=True)
        loader = training_loader(clips, 16, LoaderParams(workers=workers), torch.Generator().manual_seed(0))
        return [batch for batch, _ in zip(loader, range(30), strict=False)]

    memory = batches(store.read_split(path, "train"))
    file = batches(in_file(path, monkeypatch))
    assert len({float(batch.std.max()) for batch in memory}) > 1  # confidences say something
    for one, other in zip(memory, file, strict=True):
        assert torch.equal(one.rays, other.rays) and torch.equal(one.sequence, other.sequence)
        torch.testing.assert_close(one.std, other.std, rtol=1e-6, atol=0)


def test_statistics_by_parts_are_those_of_the_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = store.read_split(path, "train", "if any")
    expected = keypoint_statistics(whole), position_statistics(whole)
    monkeypatch.setattr("lib.data.statistics.PART", 100)
    parts = in_file(path, monkeypatch)
    found = keypoint_statistics(parts), position_statistics(parts)
    assert flat(found) == pytest.approx(flat(expected), abs=2e-6)


def flat(content: object, name: str = "") -> dict[str, float]:
    if isinstance(content, dict | list | tuple):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        return {key: value for part, inner in items for key, value in flat(inner, f"{name}.{part}").items()}
    return {name: float(content)} if isinstance(content, int | float) else {}


def test_the_noise_of_a_large_split_is_measured_by_a_part(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five sequences of 40 to 160 frames, 200 frames."""
    whole = store.read_split(path, "train")
    assert whole.sampled() is whole
    monkeypatch.setattr(split, "MEASURED", 200)
    some = whole.sampled()
    assert some.table["subject"].tolist() == ["S0", "S4"] and some.table["length"].tolist() == [40, 100]
    assert torch.equal(some.rays, torch.cat([whole.rays[:40], whole.rays[-160:-60]]))
    ratio = some.noise.base / whole.std.median(0).values
    assert 0.5 < ratio.median() < 1.5


def test_what_is_not_finite_is_found_in_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(path, "r+") as file:
        file["train/rays"][300, 3] = float("nan")
    with pytest.raises(UserError, match=r"rays of S3/Walking/camera1, 1 frames in all, are not finite"):
        in_file(path, monkeypatch)


def test_arrays_that_do_not_lie_in_one_piece_are_read(tmp_path: Path) -> None:
    values = np.arange(24, dtype="f4").reshape(12, 2)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("chunked", data=values, chunks=(4, 2))
        file.create_dataset("empty", data=values[:0])
    with h5py.File(tmp_path / "other.h5") as file:
        read = [Mapped(tmp_path / "other.h5").array(file[name]) for name in ("chunked", "empty")]
    assert read[0].tolist() == values.tolist() and read[1].shape == (0, 2)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux' own account of memory")
def test_training_keeps_little_of_a_file_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its 2D and confidences are 40 MB, which a pass over it reads."""
    frames, path = 100_000, tmp_path / "poses.h5"
    with h5py.File(path, "w") as file:
        store.write_layout(file, H36M_LAYOUT)
        group = file.create_group("train")
        made = [sequence("S1", "Walking", frames // 10, seed) for seed in range(2)]
        table = store.split_of(made * 5, H36M_LAYOUT).table
        write_table(group, table)
        for name, shape in (("keypoints", (frames, 17, 2)), ("confidence", (frames, 17)), ("rays", (frames, 17, 2))):
            group.create_dataset(name, data=torch.rand(shape, generator=torch.Generator().manual_seed(0)).numpy() + 0.1)
    monkeypatch.setattr(split, "MEASURED", 4000)
    before = resident()
    monkeypatch.setattr(mapped, "IN_MEMORY", 0)
    monkeypatch.setattr(mapped, "CHUNK", 4096)
    windows = Windows(store.read_split(path, "train"), window(9, 3), detected_only=True)
    loader = training_loader(windows, 512, LoaderParams(workers=0), torch.Generator().manual_seed(0))
    most, total = 0, 0.0
    for batch, _ in zip(loader, range(frames // 512), strict=False):
        most, total = max(most, resident() - before), total + float(batch.rays.sum())
    assert total > 0
    assert most < 20e6


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
