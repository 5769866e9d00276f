"""Keypoints of any folder or file, as what predicts reads them: nothing but the videos themselves matters."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.detection.blazepose import BlazePose
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.sources.base import AutoSplit, SourceData
from lib.sources.inputs import Given, read_input
from lib.sources.keypoints.read import read_folder_or_file
from tests.data.files import source_params
from tests.sources.detector_files import coco_results, flat, moved, prior_keypoints, write_json, write_openpose


def read(path: Path, **changes: Any) -> list[SourceData]:
    known = {"keypoints": "auto", "split": AutoSplit(), "min_frames": 1, "size": (1920, 1080)}
    return read_folder_or_file(path, source_params("keypoints", **{**known, **changes}))


def test_a_file_and_a_folder_of_frames_are_each_a_video(tmp_path: Path) -> None:
    poses = prior_keypoints("body_25", 20)
    write_json(tmp_path / "walk.json", coco_results(prior_keypoints("coco")))
    write_openpose(tmp_path / "my take", [[pose] for pose in poses])
    for path, length, layout in (("walk.json", 40, "coco"), ("my take", 20, "body_25")):
        (data,) = read(tmp_path / path)
        (sequence,) = data.sequences
        assert (len(sequence.keypoints), data.layout.name) == (length, layout)
        assert sequence.group == Path(path).stem.replace(" ", "_")
    frame = next(iter(sorted((tmp_path / "my take").iterdir())))
    (data,) = read(frame)
    assert np.allclose(data.sequences[0].keypoints.numpy(), poses[:1, :, :2], atol=1e-3)


def test_each_layout_of_a_folder_is_told_apart_and_nothing_is_lost(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "walk.json", coco_results(prior_keypoints("coco")))
    write_json(tmp_path / "a.json", coco_results(prior_keypoints("coco", seed=1)))
    write_openpose(tmp_path / "b" / "walk", [[pose] for pose in prior_keypoints("body_25", 20)])
    write_json(tmp_path / "bad.json", [])
    first, second = read(tmp_path)
    assert {s.group for s in first.sequences} == {"a", "a/walk"} and first.layout.name == "coco"
    assert [s.group for s in second.sequences] == ["b/walk"] and second.layout.name == "body_25"
    assert [d.subject for d in first.dropped] == ["bad"] and not second.dropped
    assert sum("left out" in note for note in first.notes) == 1


def test_who_and_when_is_told(tmp_path: Path) -> None:
    """Person 3 from the first frame, person 7 from frame 5 to 14 and again two seconds later."""
    poses = prior_keypoints("coco", 100)
    entries = [{"image_id": 10 + f, "keypoints": flat(poses[f]), "track_id": 3} for f in range(100)]
    entries += [
        {"image_id": 10 + f, "keypoints": flat(moved(poses, 500)[f]), "track_id": 7}
        for f in (*range(5, 15), *range(80, 90))
    ]
    write_json(tmp_path / "two.json", entries)
    (data,) = read(tmp_path / "two.json")
    found = {(s.person, s.first_frame, len(s.keypoints)) for s in data.sequences}
    assert found == {(3, 0, 100), (7, 5, 10), (7, 80, 10)} and {s.group for s in data.sequences} == {"two"}
    (data,) = read(tmp_path / "two.json", people=7)
    assert {s.person for s in data.sequences} == {7}


def test_what_holds_no_keypoints_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.md").write_text("no keypoints")
    (tmp_path / "bad.json").write_text("{")
    for path, message in (
        ("nowhere", "nowhere is missing: name a file of keypoints"),
        ("nowhere.json", "is missing"),
        ("empty", "empty has no keypoints: name a file"),
        ("notes.md", r"has no keypoints: name a file of them \(\.json, "),
        ("bad.json", r"/bad\.json: no JSON, or cut off"),
    ):
        with pytest.raises(UserError, match=message) as error:
            read(tmp_path / path)
        assert "\n" not in str(error.value)


def test_where_no_video_can_be_used_files_are_named_once(tmp_path: Path) -> None:
    entries = [{"image_id": f"{video}/{n}.jpg", "keypoints": ["x"] * 51} for video in "ab" for n in range(5)]
    write_json(tmp_path / "all.json", entries)
    write_json(tmp_path / "ann" / "one.json", entries[:5])
    why = "keypoints that are no numbers"
    for name, line in {
        "ann/one.json": f": {why}",
        "all.json": f": none of 2 videos can be used: a: {why}; b: {why}",
        "": f": none of 3 videos can be used: all.json: a: {why}; all.json: b: {why}; ann/one.json: {why}",
    }.items():
        with pytest.raises(UserError) as error:
            read(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}{line}"


def no_video() -> BlazePose:
    raise AssertionError


def test_a_described_camera_says_the_size_of_what_is_predicted(tmp_path: Path) -> None:
    write_json(tmp_path / "walk.json", coco_results(prior_keypoints("coco")))
    (tmp_path / "phone.yaml").write_text("size: [2000, 1500]\nfocal: 1500\n")
    (given,) = read_input(tmp_path / "walk.json", Given(camera=tmp_path / "phone.yaml"), no_video, Console())
    camera = given.sequences[0].camera
    assert (camera.size, camera.focal, camera.assumed) == ((2000, 1500), (1500, 1500), False)
    assert not any("is taken" in note for note in given.notes)
