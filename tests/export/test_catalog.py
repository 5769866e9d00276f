"""What is written, under which names, and what is refused in one line."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lib.export import catalog
from lib.export.catalog import FORMATS, Format, write_motion, write_motions
from lib.inference.motion import Motion
from lib.runtime.errors import UserError
from tests.inference.motions import walking

ALL = [name for name in FORMATS if name != "c3d"]  # which a machine may have no library for


def test_a_file_a_format(tmp_path: Path) -> None:
    assert list(FORMATS) == ["json", "csv", "npz", "h5", "bvh", "trc", "c3d", "glb"]
    paths = write_motion(walking(3), tmp_path / "new" / "folder", "S9.walk 1", [*ALL, "csv"])
    assert paths == [tmp_path / "new" / "folder" / f"S9.walk 1.{name}" for name in ALL]
    assert sorted(paths) == sorted((tmp_path / "new" / "folder").iterdir())
    assert all(path.stat().st_size for path in paths)


def test_files_are_the_same_each_time(tmp_path: Path) -> None:
    first = write_motion(walking(3), tmp_path / "a", "walk", ALL)
    second = write_motion(walking(3), tmp_path / "b", "walk", ALL)
    same = [one.name for one, other in zip(first, second, strict=True) if one.read_bytes() == other.read_bytes()]
    assert same == [path.name for path in first]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", ".hidden", "a\0b", "a\nb", "a ", "x" * 201, "a:b", "../a"]
)
def test_bad_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^.* cannot name a file: take 1 to 200 letters") as error:
        write_motion(walking(2), tmp_path, name, ["csv"])
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_format_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^no format is named 'fbx': choose of json, csv, npz, h5, bvh, trc, c3d, glb$"
    ):
        write_motion(walking(2), tmp_path, "walk", ["csv", "fbx"])
    assert not list(tmp_path.iterdir())


def broken(what: str, frame: int = 3) -> Motion:
    motion = walking(6, numbers=torch.arange(6) + 100)
    getattr(motion, what)[frame, ..., 1] = torch.nan
    return motion


@pytest.mark.parametrize(
    ("motion", "message"),
    [
        (walking(0), "walk: there are no frames, and so nothing to write: leave it out"),
        (broken("joints"), "walk: joints are not numbers in 1 of 6 frames, first in frame 103: look at the model"),
        (walking(2, keypoints=torch.full((2, 17, 3), torch.inf)), "walk: keypoints are not numbers in 2 of 2 frames"),
        (walking(2, times=torch.zeros(2, dtype=torch.float64)), "walk: the frames' times do not increase"),
        (
            walking(2, times=torch.tensor([0, torch.nan]).double()),
            "walk: the frames' times do not increase",
        ),
        (replace(walking(2), fps=0.0), "walk: the frames' times do not increase, or 0 is no frame rate"),
    ],
)
@pytest.mark.parametrize("name", ALL)
def test_bad_motions(motion: Motion, message: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        write_motion(motion, tmp_path, "walk", [name])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["bvh", "trc"])
def test_times_too_far_apart_for_a_frame_rate(name: str, tmp_path: Path) -> None:
    motion = walking(2, times=torch.tensor([0.0, 1e7], dtype=torch.float64))
    with pytest.raises(UserError, match="walk: 2 frames are 10000000 seconds apart, over a million at 25 frames"):
        write_motion(motion, tmp_path, "walk", ["json", name])
    assert not list(tmp_path.iterdir())
    write_motion(motion, tmp_path, "walk", ["json", "csv", "npz", "h5", "glb"])


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(motion: Motion, path: Path) -> None:
        path.write_text("half")
        raise OSError("no space")

    (tmp_path / "walk.bad").write_text("old")
    monkeypatch.setattr(catalog, "FORMATS", {**FORMATS, "bad": Format(".bad", "", fail)})
    with pytest.raises(OSError, match="no space"):
        write_motion(walking(2), tmp_path, "walk", ["bad"])
    assert [path.name for path in tmp_path.iterdir()] == ["walk.bad"]
    assert (tmp_path / "walk.bad").read_text() == "old"


def test_of_several_motions_one_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    good = walking(5)
    bad = replace(good, name="bad", joints=good.joints * torch.nan)
    said = list[str]()
    written = write_motions([[good, replace(good, person="1")], [bad]], tmp_path, ["json", "csv"], said.append)
    assert [path.name for path in written] == [
        *("walk_person0.json", "walk_person0.csv", "walk_person1.json", "walk_person1.csv")
    ]
    assert sorted(written) == sorted(tmp_path.iterdir())
    assert len(said) == 1 and said[0].startswith("left out: bad: joints are not numbers")
    with pytest.raises(UserError, match="bad: joints are not numbers"):
        write_motions([[bad]], tmp_path, ["json"], said.append)
    with pytest.raises(UserError, match="nothing could be written"):
        write_motions([[bad], [bad]], tmp_path, ["json"], said.append)
