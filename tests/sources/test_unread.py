"""Sequences that are read when somebody asks: some frames are those of the whole, and few are in memory at once."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from lib.data import store
from lib.data.preprocessing import preprocess
from lib.runtime import unpacked
from lib.sources import bvh, catalog, h36m, humaneva, mpi_inf_3dhp
from lib.sources.base import PoseSequence, SourceData, SourceParams, SplitParams
from lib.sources.unread import Unread
from tests.data.dataset_files import eva_takes, write_eva, write_mpi
from tests.data.files import h36m_takes, source_params, write_h36m
from tests.data.mocap_files import write_bvh

TAKES = 10  # of a subject


def of_h36m(folder: Path) -> SourceData:
    write_h36m(folder, *h36m_takes(("S1",)))
    return h36m.read(folder, source_params())


def of_humaneva(folder: Path) -> SourceData:
    write_eva(folder, *eva_takes(("S1",)))
    split = SplitParams(train=("Train/S1",), validation=(), test=())
    return humaneva.read(folder, source_params("humaneva", split=split))


def of_mpi(folder: Path) -> SourceData:
    write_mpi(folder)
    split = SplitParams(train=("S1",), validation=(), test=("TS1",))
    return mpi_inf_3dhp.read(folder, source_params("mpi_inf_3dhp", split=split))


def of_bvh(folder: Path, keypoints: str = "gt") -> SourceData:
    write_bvh(folder / "ann" / "walk.bvh")
    split = SplitParams(train=("ann",), validation=(), test=())
    return bvh.read(folder, source_params("bvh", split=split, keypoints=keypoints))


def of_noisy_bvh(folder: Path) -> SourceData:
    return of_bvh(folder, "noisy")


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
@pytest.mark.parametrize("make", [of_h36m, of_humaneva, of_mpi, of_bvh, of_noisy_bvh])
def test_some_frames_are_those_of_the_whole(
    make: Callable[[Path], SourceData], in_memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked, "IN_MEMORY", in_memory)
    data = make(tmp_path)
    for sequence in (data.recorded[0], data.recorded[-1]):
        whole = sequence.read()
        assert isinstance(sequence, Unread) and sequence.frames == len(whole.keypoints)
        assert sequence.labelled == (whole.positions is not None)
        odd = torch.arange(1, sequence.frames, 2)
        assert_same(sequence.read(odd), whole, odd)
        assert_same(sequence.read(slice(3, 9)), whole, torch.arange(3, 9))
        part = sequence.part(slice(4, None))
        assert part.frames == sequence.frames - 4
        assert_same(part.read(), whole, torch.arange(4, sequence.frames))
        assert_same(part.part(slice(1, 5)).read(torch.tensor([0, 2])), whole, torch.tensor([5, 7]))
        assert replace(sequence, camera=replace(sequence.camera, name="other")).read().camera.name == "other"


def assert_same(some: PoseSequence, whole: PoseSequence, frames: torch.Tensor) -> None:
    assert (some.subject, some.action, some.camera, some.fps) == (whole.subject, whole.action, whole.camera, whole.fps)
    torch.testing.assert_close(some.keypoints, whole.keypoints[frames])
    torch.testing.assert_close(some.confidence, whole.confidence[frames])
    assert some.positions is not None and whole.positions is not None
    torch.testing.assert_close(some.positions, whole.positions[frames], equal_nan=True)


def test_no_more_than_a_few_sequences_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 30 that are preprocessed; and what is stored is what is stored of all of them at once."""
    source = of_h36m(tmp_path / "raw")
    first = source.sequences[0]
    subjects, alive, most = ("S1", "S8", "S9"), 0, 0

    def load(subject: str, action: str, frames: slice | torch.Tensor) -> PoseSequence:
        nonlocal alive, most
        read = replace(first, subject=subject, action=action, keypoints=first.keypoints.clone()).read(frames)
        if len(read.keypoints) == first.frames:
            alive, most = alive + 1, max(most, alive + 1)
            weakref.finalize(read.keypoints, gone)
        return read

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def read(raw: Path, params: SourceParams) -> SourceData:
        takes = [(subject, f"Walk {number}") for subject in subjects for number in range(TAKES)]
        made = [Unread(*take, first.camera, first.fps, partial(load, *take), first.frames) for take in takes]
        return SourceData(made, [], subjects)

    def at_once(raw: Path, params: SourceParams) -> SourceData:
        return SourceData(read(raw, params).sequences, [], subjects)

    monkeypatch.setattr(store, "WRITTEN", 2 * first.frames)
    monkeypatch.setitem(catalog.SOURCES, "h36m", read)
    preprocess(source_params(), tmp_path, tmp_path / "unread.h5")
    assert alive == 0 and 1 <= most <= 4
    monkeypatch.setitem(catalog.SOURCES, "h36m", at_once)
    preprocess(source_params(), tmp_path, tmp_path / "read.h5")
    assert most >= 3 * TAKES  # which tells them from those
    assert (tmp_path / "unread.h5").read_bytes() == (tmp_path / "read.h5").read_bytes()
    assert len(store.read_split(tmp_path / "unread.h5", "train").table) == TAKES
