"""A folder of detector output: what a video's subject is, what is left out and why, and what is refused at once."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lib.pose.layouts import layout_named
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from lib.sources.base import AutoSplit, SourceData
from lib.sources.keypoints.read import read
from stages import preprocess
from tests.data.files import source_params
from tests.data.test_preprocess import load, params
from tests.sources.detector_files import Array, coco_results, moved, prior_keypoints, write_json, write_openpose
from tests.sources.test_keypoint_formats import CASES


def read_folder(raw: Path, **changes: Any) -> SourceData:
    return read(raw, source_params("keypoints", **{"keypoints": "auto", "split": AutoSplit(), **changes}))


def write(path: Path, poses: Array | None = None, seed: int = 0) -> None:
    write_json(path, coco_results(prior_keypoints("coco", seed=seed) if poses is None else poses))


def test_folders_name_subjects(tmp_path: Path) -> None:
    write(tmp_path / "ann" / "walk.json")
    write(tmp_path / "ann" / "day 2" / "run.json")
    write_openpose(tmp_path / "ben" / "jump", [[pose] for pose in prior_keypoints("coco_18")])
    write(tmp_path / "video,1.json")
    data = read_folder(tmp_path, layout="coco")
    names = [(s.subject, s.action) for s in data.sequences]
    assert sorted(names) == [("ann", "day_2_run"), ("ann", "walk"), ("video_1", "video_1")]
    assert set(data.subjects) == {"ann", "ben", "video_1"}
    assert [(d.subject, d.action, d.reason) for d in data.dropped] == [("ben", "jump", "unknown_layout")]


def test_videos_of_a_folder_of_frames_are_told_by_their_names(tmp_path: Path) -> None:
    for number, name in enumerate(("ann_", "ben_")):
        write_openpose(tmp_path / "all", [[pose] for pose in prior_keypoints("coco_18", 20 + number)], name)
    data = read_folder(tmp_path)
    assert {(s.subject, s.action): len(s.keypoints) for s in data.sequences} == {("all", "ann"): 20, ("all", "ben"): 21}


def test_numbered_files_of_whole_videos_are_videos(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"video_{number}.json", seed=number)
    assert [s.subject for s in read_folder(tmp_path).sequences] == ["video_0", "video_1", "video_2"]


BAD: dict[str, tuple[str, str, str]] = {
    "cut.json": (json.dumps(coco_results(prior_keypoints("coco")))[:-50], "unreadable", "no JSON, or cut off"),
    "empty.json": ("", "unreadable", "no JSON, or cut off"),
    "other.json": ('{"a": 1}', "unreadable", "in no known format: openpose, coco"),
    "text.csv": ("no keypoints here\n", "unreadable", "no columns such as nose_x"),
    "binary.npz": ("\0\1\2", "unreadable", "damaged, or no npz"),
    "count.json": (json.dumps(coco_results(prior_keypoints("coco")[:, :16])), "unknown_layout", "16 keypoints: "),
    "values.json": (
        json.dumps([{"image_id": 1, "keypoints": [1.0] * 50, "score": 1}]), "unknown_layout", "50 values a pose"
    ),
    "mixed.json": (
        json.dumps([{"image_id": n, "keypoints": [1.0] * n, "score": 1} for n in (48, 51)]),
        "unreadable",
        "poses of different numbers of values: 48, 51",
    ),
    "words.json": (json.dumps([{"image_id": 1, "keypoints": ["a"] * 51, "score": 1}]), "unreadable", "no numbers"),
    "nobody.json": (json.dumps([{"image_id": 1, "keypoints": [0] * 51, "score": 1}]), "no_2d", "nobody was detected"),
    "huge.json": (
        json.dumps(coco_results(prior_keypoints("coco") * [1e30, 1e30, 1])),
        "not_pixels",
        "coordinates up to .* are no pixels",
    ),
    "shares.json": (
        json.dumps(coco_results(prior_keypoints("coco") / [1920, 1080, 1])), "not_pixels", "from 0 to 1 are no pixels"
    ),
    "centred.json": (
        json.dumps(coco_results(prior_keypoints("coco") / [960, 960, 1] - [1, 0.56, 0])), "not_pixels", "from -1 to 1"
    ),
    "swapped.json": (
        json.dumps(coco_results(prior_keypoints("coco")[..., [1, 0, 2]])), "sideways", "are x and y exchanged"
    ),
    "upwards.json": (
        json.dumps(coco_results(prior_keypoints("coco") * [1, -1, 1] + [0, 1080, 0])), "sideways", "is y upwards"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_and_left_out(name: str, tmp_path: Path) -> None:
    content, reason, message = BAD[name]
    write(tmp_path / "good.json")
    (tmp_path / name).write_text(content)
    data = read_folder(tmp_path)
    assert [s.subject for s in data.sequences] == ["good"]
    assert [(d.subject, d.reason) for d in data.dropped] == [(Path(name).stem, reason)]
    (note,) = [note for note in data.notes if note.startswith("left out")]
    assert Path(name).stem in note and "\n" not in note
    (tmp_path / "good.json").unlink()
    with pytest.raises(UserError, match=rf"none of 1 videos can be used: .*{Path(name).stem}.*{message}") as error:
        read_folder(tmp_path)
    assert "\n" not in str(error.value)


def test_a_bad_frame_is_left_out_of_its_video(tmp_path: Path) -> None:
    write_openpose(tmp_path / "ann", [[pose] for pose in prior_keypoints("body_25")])
    (tmp_path / "ann" / "000000000007_keypoints.json").write_text('{"people": [')
    (sequence,) = read_folder(tmp_path).sequences
    assert len(sequence.keypoints) == 40 and sequence.keypoints[7].isnan().all() and (sequence.confidence[7] == 0).all()
    assert [d.frames for d in read_folder(tmp_path).dropped] == [1]


def test_a_single_point_that_is_far_off_is_hidden(tmp_path: Path) -> None:
    poses = prior_keypoints("coco")
    poses[3, 4, 0], poses[5, 6, :2] = 1e9, np.nan
    entries = coco_results(poses)
    write_json(tmp_path / "walk.json", entries)
    (sequence,) = read_folder(tmp_path).sequences
    hidden = torch.zeros(40, 17, dtype=torch.bool)
    hidden[3, 4] = hidden[5, 6] = True
    assert torch.equal(sequence.confidence == 0, hidden) and torch.equal(sequence.keypoints.isnan().all(-1), hidden)


def test_many_bad_files_are_counted_and_few_are_said(tmp_path: Path) -> None:
    write(tmp_path / "good.json")
    for number in range(9):
        (tmp_path / f"bad{number}.json").write_text("{")
    data = read_folder(tmp_path)
    lines = [note for note in data.notes if note.startswith("left out")]
    assert len(data.dropped) == 9 and len(lines) == 6 and "4 more" in lines[-1]


def test_no_files(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"has no files of keypoints \(\.json, \.txt, \.npz, \.csv\)"):
            read_folder(folder)


def test_cameras_that_are_mounted_sideways(tmp_path: Path) -> None:
    """Are found, and turned where the user says so: clockwise, as a picture is turned."""
    upright = prior_keypoints("coco")
    x, y = upright[..., 0], upright[..., 1]
    for degrees, turned in ((90, (y, 1920 - x)), (270, (1080 - y, x))):
        poses = upright.copy()
        poses[..., 0], poses[..., 1] = turned
        write(tmp_path / "walk.json", poses)
        with pytest.raises(UserError, match=r"on their sides .* data\.rotate=90, 180 or 270"):
            read_folder(tmp_path)
        (sequence,) = read_folder(tmp_path, rotate=degrees, size=(1080, 1920)).sequences
        assert sequence.camera.size == (1920, 1080)
        assert np.abs(sequence.keypoints.numpy() - upright[..., :2]).max() < 0.01
        assert len(read_folder(tmp_path, rotate=0).sequences) == 1  # somebody who lies


def test_shares_need_the_size(tmp_path: Path) -> None:
    landmarks = prior_keypoints("mediapipe_33") / [1920, 1080, 1]
    frames = [[dict(zip(("x", "y", "visibility"), map(float, p), strict=True)) for p in pose] for pose in landmarks]
    write_json(tmp_path / "walk.json", frames)
    with pytest.raises(UserError, match=r"walk: shares of the picture.*say data\.size=\[WIDTH,HEIGHT\]"):
        read_folder(tmp_path)
    (sequence,) = read_folder(tmp_path, size=(1920, 1080)).sequences
    assert sequence.keypoints[..., 0].mean() > 500


@pytest.mark.parametrize(
    ("scale", "x", "y"),
    [
        (7, 0.5, 0.3),
        (2, 0.5, -0.1),
        (2, 0.02, 0.4),
    ],  # feet far below the picture, the head above it, half beyond its left
)
def test_mediapipes_guesses_beyond_the_picture_are_shares_of_it(
    scale: float, x: float, y: float, tmp_path: Path
) -> None:
    landmarks = prior_keypoints("mediapipe_33") / [1920, 1080, 1]
    nose = landmarks[:, :1, :2].copy()
    landmarks[..., :2] = (landmarks[..., :2] - nose) * scale + [x, y]
    frames = [[dict(zip(("x", "y", "visibility"), map(float, p), strict=True)) for p in pose] for pose in landmarks]
    write_json(tmp_path / "walk.json", frames)
    (sequence,) = read_folder(tmp_path, size=(1920, 1080)).sequences
    expected = torch.tensor(landmarks[..., :2] * [1920, 1080]).float()
    torch.testing.assert_close(sequence.keypoints, expected, atol=0.1, rtol=0)


def test_metres_around_the_hips_are_no_shares(tmp_path: Path) -> None:
    landmarks = prior_keypoints("mediapipe_33") / [1920, 1080, 1]
    hips = landmarks[:, 23:25, :2].mean(1, keepdims=True)
    frames = [[dict(zip("xy", map(float, p), strict=True)) for p in pose] for pose in landmarks[..., :2] - hips]
    write_json(tmp_path / "walk.json", frames)
    with pytest.raises(UserError, match="coordinates from -1 to 1 are no pixels"):
        read_folder(tmp_path, size=(1920, 1080))


@pytest.mark.parametrize("long", [False, True])
def test_shares_of_mediapipe_in_a_table(long: bool, tmp_path: Path) -> None:
    poses, names = prior_keypoints("mediapipe_33"), layout_named("mediapipe_33").keypoints
    shares = poses / [1920, 1080, 1]
    if long:
        rows = [
            (frame, name, *point) for frame, pose in enumerate(shares) for name, point in zip(names, pose, strict=True)
        ]
        table = pd.DataFrame(rows, columns=["frame", "landmark", "x", "y", "visibility"])
    else:
        columns = [f"{name}_{axis}" for name in names for axis in ("x", "y", "visibility")]
        table = pd.DataFrame(shares.reshape(len(shares), -1), columns=columns)
    table.to_csv(tmp_path / "walk.csv", index=False)
    (sequence,) = read_folder(tmp_path, size=(1920, 1080)).sequences
    torch.testing.assert_close(sequence.keypoints, torch.tensor(poses[..., :2]).float(), atol=0.1, rtol=0)


@pytest.mark.parametrize("before", [1, 2])
def test_frames_that_show_nobody_before_mediapipes_first_body_count(before: int, tmp_path: Path) -> None:
    landmarks = prior_keypoints("mediapipe_33")
    frames = [[dict(zip("xy", map(float, p[:2]), strict=True)) for p in pose] for pose in landmarks]
    write_json(tmp_path / "walk.json", [None] * before + frames)
    assert [each.first_frame for each in read_folder(tmp_path).sequences] == [before]
    numbered = [{"frame": n, "landmarks": body} for n, body in enumerate([[]] * before + frames)]
    write_json(tmp_path / "walk.json", {"frames": numbered})
    assert [each.first_frame for each in read_folder(tmp_path).sequences] == [before]


def auto(**changes: Any) -> dict[str, Any]:
    return params(**{"source": "keypoints", "keypoints": "auto", "split": "auto", **changes})


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ([f"s{n}/walk.json" for n in range(10)], "10 subjects are divided (train 7, validation 1, test 2)"),
        ([f"ann/walk{chr(97 + n)}.json" for n in range(3)], "3 videos are divided (train 1, validation 1, test 1)"),
        (["walk.json"], "fewer than 3 videos"),
    ],
)
def test_what_there_is_is_divided(
    files: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = Paths(tmp_path)
    for number, file in enumerate(files):
        write(paths.raw("keypoints") / file, seed=number % 3)
    preprocess.run(auto(), paths)
    assert what in capsys.readouterr().out
    metrics, stats = load(paths.metrics("preprocess")), load(paths.stats)
    parts = [metrics[f"{name}_frames"] for name in ("train", "validation", "test")]
    assert sum(parts) == 40 * len(files) and min(parts) >= 10
    if len(files) == 10:
        subjects = [set(split["subjects"]) for split in stats["splits"].values()]
        assert len(set.union(*subjects)) == sum(map(len, subjects)) == 10
    before = paths.poses.read_bytes()
    preprocess.run(auto(), paths)
    assert paths.poses.read_bytes() == before


def test_what_came_in_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = Paths(tmp_path)
    for number in range(3):
        poses = prior_keypoints("coco", seed=number)
        poses[:, 4] = 0.0  # never seen
        people = [[pose, moved(pose, 600)] for pose in poses]
        entries = [coco_results(np.array([p]))[0] | {"image_id": f} for f, pair in enumerate(people) for p in pair]
        write_json(paths.raw("keypoints") / f"v{number}.json", entries)
    (paths.raw("keypoints") / "bad.json").write_text("{")
    preprocess.run(auto(), paths)
    metrics, stats = load(paths.metrics("preprocess")), load(paths.stats)
    found = {key: metrics[f"input_{key}"] for key in ("files", "videos", "people", "video_frames", "videos_coco")}
    assert found == {"files": 4, "videos": 3, "people": 6, "video_frames": 120, "videos_coco": 3}
    assert stats["inputs"]["people"] == 6 and stats["layout"] == "coco"
    assert metrics["hidden_share"] == pytest.approx(1 / 17, abs=1e-3)
    assert metrics["mean_confidence"] == pytest.approx(0.9) and metrics["assumed_cameras"] == 6
    assert stats["splits"]["train"]["hidden_by_joint"]["right_ear"] == 1
    assert stats["splits"]["train"]["hidden_by_joint"]["nose"] == 0
    assert stats["dropped"]["unreadable"]["which"] == ["bad bad camera"]
    said = capsys.readouterr().out
    assert "left out: " in said and "is assumed" in said and "the size of the pictures is not in the files" in said


def test_cameras_of_a_file_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = Paths(tmp_path)
    write(paths.raw("keypoints") / "walk.json")
    (paths.raw("keypoints") / "phone.yaml").write_text("size: [1920, 1080]\nfocal: 1500\n")
    with pytest.raises(
        UserError,
        match=r"data\.size = \[1200, 999\], but .*phone\.yaml .* walk for pictures of 1920 x 1080: say",
    ):
        preprocess.run(auto(cameras="phone.yaml", size=[1200, 999]), paths)
    for size in ([1920, 1080], "auto"):
        preprocess.run(auto(cameras="phone.yaml", size=size), paths)
        assert load(paths.stats)["cameras"]["camera"]["focal"] == [1500.0]
    assert load(paths.metrics("preprocess"))["assumed_cameras"] == 0 and "assumed" not in capsys.readouterr().out


def test_the_size_of_pictures_that_a_file_of_cameras_says_is_taken(tmp_path: Path) -> None:
    """Also for shares of pictures, and for pictures that are turned before the camera sees them."""
    upright = prior_keypoints("coco")
    write(tmp_path / "ann" / "walk.json", upright)
    turned = upright.copy()
    turned[..., 0], turned[..., 1] = upright[..., 1], 1920 - upright[..., 0]
    (tmp_path / "phone.yaml").write_text("size: [1920, 1080]\nfocal: 1500\n")
    (tmp_path / "two.yaml").write_text(
        "cameras:\n  ann/*/*: {size: [1920, 1080], focal: 1500}\n  '*': {size: [2000, 1500], focal: 1500}\n"
    )
    data = read_folder(tmp_path, cameras="phone.yaml")
    assert data.sequences[0].camera.size == (1920, 1080) and not any("is taken" in note for note in data.notes)
    write(tmp_path / "ben" / "walk.json", upright)
    sizes = {s.subject: s.camera.size for s in read_folder(tmp_path, cameras="two.yaml").sequences}
    assert sizes == {"ann": (1920, 1080), "ben": (2000, 1500)}
    (tmp_path / "ben" / "walk.json").unlink()
    write(tmp_path / "ann" / "walk.json", turned)
    (sequence,) = read_folder(tmp_path, cameras="phone.yaml", rotate=90).sequences
    assert np.abs(sequence.keypoints.numpy() - upright[..., :2]).max() < 0.01 and sequence.camera.size == (1920, 1080)
    landmarks = prior_keypoints("mediapipe_33") / [1920, 1080, 1]
    frames = [[dict(zip(("x", "y", "visibility"), map(float, p), strict=True)) for p in pose] for pose in landmarks]
    write_json(tmp_path / "ann" / "walk.json", frames)
    assert read_folder(tmp_path, cameras="phone.yaml").sequences[0].keypoints[..., 0].mean() > 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": "blazepose"}, r"data\.keypoints = 'blazepose': must be auto or a format: openpose, coco, "),
        ({"split": {"train": ["S1"], "validation": ["S8"], "test": ["S9"]}}, r"it has walk; data\.split=auto divides"),
        ({"people": 7}, r"none of 1 videos can be used: nobody is person 7"),
        ({"split": "automatic"}, r"data\.split = 'automatic': must be auto, or a mapping with train, validation, test"),
        (
            {"min_frames": 30},
            r"for validation \(what there is is too short to be divided; data\.min_frames = 30\)",
        ),
        ({"layout": "body_25"}, r"17 keypoints, but body_25 has 25"),
    ],
)
def test_errors_write_nothing(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write(paths.raw("keypoints") / "walk.json")
    with pytest.raises(UserError, match=message):
        preprocess.run(auto(**changes), paths)
    assert not paths.poses.exists() and not paths.stats.exists()


def test_a_subject_without_sequences_is_refused(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    for number, subject in enumerate(("ann", "ben", "cleo")):
        write(paths.raw("keypoints") / subject / "walk.json", seed=number)
    write(paths.raw("keypoints") / "dan" / "walk.json", np.zeros((20, 17, 3)))
    split = {"train": ["ann", "dan"], "validation": ["ben"], "test": ["cleo"]}
    with pytest.raises(UserError, match=r"data\.split\.train = dan leaves no sequence \(1 no_2d; "):
        preprocess.run(auto(split=split), paths)
    preprocess.run(auto(split=split | {"train": ["ann"]}), paths)
    assert load(paths.metrics("preprocess"))["dropped_no_2d"] == 1


@pytest.mark.parametrize("seed", range(60))
def test_a_file_that_is_damaged_anywhere_is_one_line(seed: int, tmp_path: Path) -> None:
    """Whatever stands in place of a value, and whatever bytes are wrong or missing."""
    write_case, layout, *_ = CASES[seed % len(CASES)]
    write_case(tmp_path, prior_keypoints(layout, 12))
    random = Random(seed)
    path = random.choice([path for path in sorted(tmp_path.rglob("*")) if path.is_file()])
    for _ in range(4):
        content = bytearray(path.read_bytes())
        for _ in range(random.randint(1, 20)):
            place = random.randrange(len(content))
            content[place : place + random.choice((1, 1, 30))] = random.choice(
                (b"null", b"1e300", b"x", b"[", b"-1", b"")
            )
        path.write_bytes(content)
        try:
            read_folder(tmp_path, size=(1920, 1080))
        except UserError as error:
            assert "\n" not in str(error)


def test_what_is_doubtful_is_said(tmp_path: Path) -> None:
    write(tmp_path / "walk.json")
    for changes, said in (
        ({"size": (1920, 540)}, r"walk/walk: \d+ % of the keypoints are outside its pictures of 1920 x 540"),
        ({"rotate": 90}, r"walk/walk: people are on their sides after data\.rotate=90, which turns all videos"),
        ({"rotate": 180}, r"walk/walk: people are upside down after data\.rotate=180"),
    ):
        data = read_folder(tmp_path, **changes)
        assert data.sequences and any(re.search(said, note) for note in data.notes)
    write(tmp_path / "off" / "walk.json", moved(prior_keypoints("coco"), -5000.0))
    data = read_folder(tmp_path)
    assert any("off/walk: all keypoints are outside" in note for note in data.notes)
    assert [dropped.reason for dropped in data.dropped] == ["not_pixels"]
    (tmp_path / "off" / "walk.json").unlink()
    assert not any("people are" in note or "outside" in note for note in read_folder(tmp_path, rotate=0).notes)


def test_videos_that_are_called_alike_are_told_apart(tmp_path: Path) -> None:
    for seed, name in enumerate(("a b.json", "a_b.json", "a  b.json")):
        write(tmp_path / "ann" / name, seed=seed)
    assert sorted(s.action for s in read_folder(tmp_path).sequences) == ["a_b", "a_b_2", "a_b_3"]


def test_files_that_cannot_be_opened_are_frames_that_are_left_out(tmp_path: Path) -> None:
    write_openpose(tmp_path / "ann" / "walk", [[pose] for pose in prior_keypoints("body_25")])
    frames = sorted((tmp_path / "ann" / "walk").iterdir())
    frames[7].unlink()
    frames[7].symlink_to(tmp_path / "nowhere")
    (tmp_path / "ann" / "walk" / "x.json").mkdir()
    data = read_folder(tmp_path)
    assert len(data.sequences[0].keypoints) == 40 and len(data.dropped) == 1
    assert any(f"left out: {frames[7]}: No such file" in note for note in data.notes)


def test_frames_that_are_numbered_far_apart(tmp_path: Path) -> None:
    for step, message in ((33, "numbered 33 apart.* say how many"), (10**20, "frame number 3900000000000000000000")):
        folder = tmp_path / str(step) / "walk"
        folder.mkdir(parents=True)
        write_openpose(tmp_path / "once", [[pose] for pose in prior_keypoints("body_25")])
        for number, path in enumerate(sorted((tmp_path / "once").iterdir())):
            path.rename(folder / f"frame_{number * step}.json")
        with pytest.raises(UserError, match=message):
            read_folder(tmp_path / str(step))
