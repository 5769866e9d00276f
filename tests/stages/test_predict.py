"""The command from inputs to files, mostly without a process of its own."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lib.data.store import write as write_store
from lib.models.checkpoints import save
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from lib.sources.base import PoseSequence
from stages import predict
from tests import contract
from tests.detection.seeing import Seeing, people
from tests.detection.test_video import write, write_pictures
from tests.inference.test_prediction import of_video
from tests.security.refusal import written_in
from tests.settings import synthetic_split, tiny_checkpoint
from tests.sources.detector_files import (
    SIZE,
    coco_results,
    moved,
    prior_keypoints,
    write_json,
    write_openpose,
)
from tests.viewer.pages import data_of

MODEL = contract.ROOT / "data" / "starts" / "generalist.pt.gz"


def run(tmp_path: Path, *words: object) -> None:
    predict.run(predict._arguments(["--checkpoint", str(MODEL), *map(str, words)]), Paths(tmp_path))


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """A folder of OpenPose's, a file a frame."""
    write_openpose(tmp_path / "walk", [[pose] for pose in prior_keypoints("body_25", 12)])
    return tmp_path / "walk"


def test_openpose_to_files_and_a_page(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, walk, "--format", "json,csv,bvh", "--viewer", "--world", "--height", 1.8)
    folder = tmp_path / "data" / "predictions" / "walk"
    assert names(folder) == {"walk.json", "walk.csv", "walk.bvh", "viewer.html"}
    content = json.loads((folder / "walk.json").read_text())
    assert np.array(content["joints"]).shape == (12, len(H36M), 3)
    assert "1.8 m" in json.dumps(content) and "world" in json.dumps(content)
    with (folder / "walk.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 12 and float(rows[0]["pelvis_y"]) == pytest.approx(content["joints"][0][0][1], abs=1e-3)
    assert (folder / "walk.bvh").read_text().startswith("HIERARCHY")
    (scene,) = data_of(folder / "viewer.html")["scenes"]
    assert scene["title"] == "walk" and len(scene["motions"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert f"lifted 12 frames of 1 motion; wrote 3 files to {folder}" in said
    assert said[-1] == f"open {folder / 'viewer.html'}"
    assert not any("data." in line.replace(str(tmp_path), "").replace("data/", "") for line in said)


def test_files_are_named_after_videos_and_people(tmp_path: Path) -> None:
    poses = prior_keypoints("coco", 6)
    write_openpose(tmp_path / "in" / "a pair", [[pose, moved(pose, 500)] for pose in poses])
    for folder in ("one", "two"):
        write_json(tmp_path / folder / "walk.json", coco_results(poses))
    run(
        tmp_path,
        tmp_path / "in",
        tmp_path / "one/walk.json",
        tmp_path / "two/walk.json",
        "--output",
        tmp_path / "out",
        "--viewer",
    )
    assert names(tmp_path / "out") == {
        *("a_pair_person0.json", "a_pair_person1.json", "walk.json", "walk_2.json", "viewer.html")
    }
    scenes = data_of(tmp_path / "out" / "viewer.html")["scenes"]
    assert [len(scene["motions"]) for scene in scenes] == [2, 1, 1]  # videos of one name are two


@pytest.mark.parametrize("apart", [False, True])
def test_what_is_bad_is_named_and_the_rest_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], apart: bool
) -> None:
    """Among several inputs, and within a folder."""
    for name in ("a", "c"):
        write_json(tmp_path / "in" / f"{name}.json", coco_results(prior_keypoints("coco", 6)))
    (tmp_path / "in" / "b.json").write_text("{")
    inputs = [tmp_path / "in" / f"{name}.json" for name in "abc"] if apart else [tmp_path / "in"]
    with pytest.raises(UserError, match="not everything could be used: what was left out is named above"):
        run(tmp_path, *inputs, "--output", tmp_path / "out")
    assert names(tmp_path / "out") == {"a.json", "c.json"}
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: "))
    assert "b.json: no JSON, or cut off" in line


def test_what_is_said_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        write_json(tmp_path / f"{name}.json", coco_results(prior_keypoints("coco", 6)))
    run(tmp_path, tmp_path / "a.json", tmp_path / "b.json", "--size", *SIZE)
    assert capsys.readouterr().out.count("a focal length of") == 1


def test_what_cannot_be_used_is_one_line_and_nothing_is_written(walk: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "notes.md").write_text("notes")
    save(tiny_checkpoint(5, task="reconstruction_2d"), tmp_path / "masked.pt")
    own = tmp_path / "own" / "run.json"
    write_json(own, coco_results(prior_keypoints("coco", 6)))
    before = written_in(tmp_path)
    for words, message in {
        (tmp_path / "nothing.mp4",): "nothing.mp4 is missing: name a video",
        (tmp_path / "notes.md",): "neither a video nor a file of keypoints",
        (tmp_path / "bad.json",): r"bad.json: no JSON.*: write it again",
        (walk, "--size", "1", "1"): r"--size 1 1: must be auto, or a list of 2 numbers of pixels",
        (walk, "--fps", "1e9"): r"--fps 1000000000\.0: must be a number above 0 and at most",
        (walk, "--layout", ""): "--layout '': must be auto, a layout's name or a YAML file",
        (walk, "--layout", "coco"): r"25 keypoints, but coco has 17: name another layout \(--layout\)",
        (walk, "--output", tmp_path / "notes.md"): "notes.md is a file, where a folder belongs: move it elsewhere, or",
        (own, "--output", own.parent): r"own/run\.json is an input, or lies in one, and would be overwritten: name",
        (own.parent, "--output", own.parent): r"own/run\.json is an input, or lies in one, and would be overwritten",
        (own, "--checkpoint", tmp_path / "masked.pt"): r"masked\.pt is for reconstruction_2d and does not lift: nam",
        ("--stream", own): r"--stream takes a camera or a video, and .*run\.json is a file of keypoints: leave --str",
        (tmp_path / "bad.json", tmp_path / "notes.md"): "nothing could be lifted: why is said above",
        (walk, "--person", "7"): r"nobody is person 7 \(--person\)",
        (walk, "--camera", tmp_path / "none.yaml"): "none.yaml is missing: name a YAML file of cameras",
        (walk, "--keypoints", "pose"): "no format of keypoints is named 'pose'",
        (walk, "--checkpoint", tmp_path / "none.pt"): r"none.pt is missing: name a checkpoint .*\(--checkpoint\)",
        (walk, "--device", "cuda:77"): "cuda:77",
        ("--test-data",): "poses.h5 is missing: run `dvc repro preprocess` first",
        ("--stream",): "say --size WIDTH HEIGHT",
    }.items():
        with pytest.raises(UserError, match=message) as error:
            run(tmp_path, *words)
        assert "\n" not in str(error.value)
    assert written_in(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name an INPUT, or say --test-data"),
        (["a.mp4", "--test-data"], "name an INPUT, or say --test-data"),
        (["", "--format", "csv"], "the name is empty: name a file or a folder"),
        (
            ["a.mp4", "--formt", "csv"],
            "unrecognized arguments: --formt csv: did you mean --format? (`python -m stages.",
        ),
        (["--test-data", "--person", "1"], "--test-data goes without --person"),
        (["a.mp4", "--format", "json,xyz"], "'xyz' is no format: choose of json, csv"),
        (["a.mp4", "--person", "ann"], "'ann' is neither a number nor all nor longest"),
        (["a.mp4", "--height", "-1"], "'-1' is not a number above 0"),
        (["a.mp4", "--height", "175"], "175 is no height in metres from 0.4 to 2.6"),
        (["camera:0"], "camera:0 never ends: say --stream"),
        (["--stream", "a.mp4", "b.mp4"], "--stream takes one INPUT, or standard input"),
        (["--stream", "--world"], "--stream goes without --world"),
        (["--stream", "--person", "1"], "--stream goes without --person"),
        (["--stream", "--rotate", "90"], "--stream goes without --rotate"),
        (["--stream", "--test-data"], "--stream goes without --test-data"),
    ],
)
def test_words_that_do_not_fit_are_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        predict._arguments(words)
    assert error.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line


def test_the_finetuned_model_lifts_its_own_layout_and_else_the_generalist(walk: Path, tmp_path: Path) -> None:
    arguments = predict._arguments([str(walk), "--output", str(tmp_path / "out")])
    with pytest.raises(UserError, match=r"generalist\.pt\.gz is missing"):
        predict.run(arguments, Paths(tmp_path))
    paths = Paths(tmp_path)
    paths.start(predict.GENERALIST).parent.mkdir(parents=True)
    shutil.copy(MODEL, paths.start(predict.GENERALIST))
    predict.run(arguments, paths)
    by_generalist = (tmp_path / "out" / "walk.json").read_text()
    save(tiny_checkpoint(5), paths.finetuned)  # of Human3.6M's joints
    predict.run(arguments, paths)
    assert (tmp_path / "out" / "walk.json").read_text() == by_generalist
    save(replace(tiny_checkpoint(5), layout=LAYOUTS["body_25"]), paths.finetuned)
    predict.run(arguments, paths)
    assert (tmp_path / "out" / "walk.json").read_text() != by_generalist


def test_videos_and_pictures_are_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predict, "_detector", lambda paths: lambda: Seeing(people(6), people(6, seed=1)))
    write(tmp_path / "film.avi", 6, (640, 360))
    write_pictures(tmp_path / "shots", *(f"{number}.png" for number in range(6)))
    run(
        tmp_path, tmp_path / "film.avi", tmp_path / "shots", "--person", "all", "--output", tmp_path / "out", "--viewer"
    )
    assert names(tmp_path / "out") == {
        "viewer.html", *(f"{name}_person{number}.json" for name in ("film", "shots") for number in (0, 1)),
    }  # fmt: skip
    scenes = data_of(tmp_path / "out" / "viewer.html")["scenes"]
    assert [scene["video"]["numbers"] for scene in scenes] == [[0, 2, 4], [0, 2, 4]]
    assert f"detecting people in {tmp_path / 'film.avi'}" in capsys.readouterr().out.splitlines()


def test_the_test_split_has_its_true_keypoints_beside(tmp_path: Path) -> None:
    split = synthetic_split(12)
    assert split.positions is not None
    sequence = of_video()
    camera = sequence.camera
    sequences = [
        PoseSequence("S9", action, camera, 50.0, split.keypoints, split.confidence, split.positions if known else None)
        for action, known in (("Walk", True), ("Sit", False))
    ]
    paths = Paths(tmp_path)
    write_store(paths.poses, {"test": sequences}, H36M_LAYOUT)
    run(tmp_path, "--test-data", "--viewer")
    folder = tmp_path / "data" / "predictions" / "test"
    assert names(folder) == {"S9_Walk_assumed.json", "S9_Sit_assumed.json", "viewer.html"}
    scenes = data_of(folder / "viewer.html")["scenes"]
    assert [("target" in motion) for scene in scenes for motion in scene["motions"]] == [True, False]
    write_store(paths.other_test, {"test": sequences[:1]}, H36M_LAYOUT)  # of another source, which is tested on then
    run(tmp_path, "--test-data", "--output", tmp_path / "other")
    assert names(tmp_path / "other") == {"S9_Walk_assumed.json"}


def command(folder: Path, *words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stages.predict", "--checkpoint", str(MODEL), *words],
        cwd=folder, env={"PYTHONPATH": str(contract.ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False, input=given,
    )  # fmt: skip


def test_as_a_command_it_reads_no_params_and_an_error_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("no: params\n")
    write_json(tmp_path / "walk.json", coco_results(prior_keypoints("coco", 6)))
    (tmp_path / "film.mp4").write_bytes(b"no video")  # for which no detector is fetched
    done = command(tmp_path, "walk.json", "film.mp4", "--format", "csv")
    assert (done.returncode, names(tmp_path / "data" / "predictions")) == (1, {"walk/walk.csv"})
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: not everything could be used")


def test_a_stream_writes_lines_alone_to_standard_output(tmp_path: Path) -> None:
    lines = [json.dumps({"keypoints": pose.tolist()}) for pose in prior_keypoints("coco", 4)]
    done = command(tmp_path, "--stream", "--size", "1920", "1080", given="\n".join([*lines[:2], "{", *lines[2:]]))
    assert done.returncode == 1
    about, *frames = map(json.loads, done.stdout.splitlines())
    assert about["about"]["layout"] == "coco"
    assert ["bad" in line for line in frames] == [False, False, True, False, False]
    said = done.stderr.splitlines()
    assert "(--camera FILE)" in said[0] and said[1].startswith("5 frames: ") and len(said) == 3
    assert said[1].endswith("; 1 could not be read") and "first line 3: no JSON" in said[2]
    assert names(tmp_path) == set()


def test_a_reader_that_goes_ends_the_stream_in_silence(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps({"keypoints": pose.tolist()}) for pose in prior_keypoints("coco", 200))
    (tmp_path / "lines.jsonl").write_text(lines)
    words = (
        f"{sys.executable} -m stages.predict --checkpoint {MODEL} --stream --size 1920 1080 < lines.jsonl | head -n 2"
    )
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", words], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(contract.ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2 and len(done.stderr.splitlines()) == 2
