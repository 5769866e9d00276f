"""The command that finds cameras, on a small store and with what was found set beforehand."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lib.data import store
from lib.data.split import Split
from lib.data.store import read_cameras
from lib.inference.camera_search import FoundCamera
from lib.inference.lifter import Lifter
from lib.models import checkpoints
from lib.pose.camera_files import read_cameras as read_file
from lib.pose.layouts import H36M_LAYOUT
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import find_camera
from tests.settings import PARAMS, tiny_checkpoint
from tests.synthetic import CAMERA, sequence

UP = (0.0, -1.0, 0.0)
FOUND = {"a": FoundCamera(1.2, 0.1, UP, 12.0, 2.0, -3.0, 2.0, 40.0), "b": FoundCamera(1.3, 0.3, UP, 5, 8, 0, 8, 40.0)}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A store of two cameras, one of which another action has with another focal length, and a checkpoint."""
    paths = Paths(tmp_path)
    paths.poses.parent.mkdir(parents=True)
    paths.finetuned.parent.mkdir(parents=True)
    checkpoints.save(tiny_checkpoint(3), paths.finetuned)
    one, other = (sequence("S9", "Walk", 40, number) for number in range(2))
    named = [replace(one, camera=replace(CAMERA, name="a")), replace(other, camera=replace(CAMERA, name="b"))]
    longer = replace(one, action="Sit", camera=replace(CAMERA, name="a", focal=(900.0, 900.0)))
    store.write(paths.poses, {"test": [*named, longer]}, H36M_LAYOUT)
    return paths


def arguments(**changed: Any) -> argparse.Namespace:
    defaults = {"checkpoint": None, "split": "test", "sequences": "S9/Walk/*", "write": None}
    return argparse.Namespace(**defaults | changed)


def test_prints_a_row_a_camera(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    find_camera.run(arguments(), PARAMS, paths)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("camera")
    assert [line.split()[0] for line in lines[1:]] == ["a", "b"]
    assert all("1150" in line and line.endswith("no: it stays") for line in lines[1:])  # of less than a second


def test_writes_what_was_found_and_leaves_the_rest(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Split] = []

    def find(split: Split, lifter: Lifter) -> dict[str, FoundCamera]:
        seen.append(split)
        return FOUND

    monkeypatch.setattr(find_camera, "find_cameras", find)
    file = paths.root / "cameras.yaml"
    find_camera.run(arguments(write=file), PARAMS, paths)
    assert seen[0].table["camera"].tolist() == ["a", "b"] and len(seen[0].rays) == 80
    written = read_file(file)
    assert written.of("S9", "Walk", "a").focal == pytest.approx((1380, 1380))
    assert written.of("S9", "Walk", "b") == replace(CAMERA, name="b")
    assert "motion does not tell it" in file.read_text() and "from 40 seconds" in file.read_text()


def test_cameras_of_one_name_must_be_the_same(paths: Paths) -> None:
    with pytest.raises(UserError, match="camera a is not the same in S9/Sit: choose by --sequences"):
        find_camera.run(arguments(sequences="*"), PARAMS, paths)


def test_a_pattern_must_fit_something(paths: Paths) -> None:
    with pytest.raises(UserError, match="--sequences S1/x fits no test sequence"):
        find_camera.run(arguments(sequences="S1/x"), PARAMS, paths)


def test_the_store_gives_its_cameras_back(paths: Paths) -> None:
    assert [(camera.name, camera.focal[0]) for camera in read_cameras(paths.poses, "test")] == [
        *(("a", 1150), ("b", 1150), ("a", 900)),
    ]
    with pytest.raises(UserError, match="no cameras of a train split"):
        read_cameras(paths.poses, "train")
