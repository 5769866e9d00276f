"""What inputs hold, and what is said of them in a command's words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.detection.blazepose import BlazePose
from lib.pose.layouts import LAYOUTS
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.sources.inputs import Given, Read, as_options, check_given, read_input
from tests.detection.seeing import Seeing, people
from tests.detection.test_video import write, write_pictures
from tests.sources.detector_files import coco_results, moved, prior_keypoints, write_json, write_openpose


def not_called() -> BlazePose:
    raise AssertionError


def reads(path: Path, detector: BlazePose | None = None, **given: Any) -> list[Read]:
    get = not_called if detector is None else lambda: detector
    return [*read_input(path, Given(**given), get, Console(quiet=True))]


def said(read: Read) -> str:
    return "\n".join((*read.notes, *read.left_out))


def test_a_folder_of_openpose_is_a_video_whose_doubts_are_said(tmp_path: Path) -> None:
    write_openpose(tmp_path / "walk", [[pose] for pose in prior_keypoints("body_25", 12)])
    (read,) = reads(tmp_path / "walk")
    assert read.layout == LAYOUTS["body_25"]
    assert [(one.group, len(one.keypoints)) for one in read.sequences] == [("walk", 12)]
    assert "say --size WIDTH HEIGHT if you know better" in said(read)
    assert "(--camera FILE)" in said(read)
    assert "data." not in said(read)
    assert read.left_out == () and read.video is None


def test_what_is_known_is_not_said(tmp_path: Path) -> None:
    write_openpose(tmp_path / "walk", [[pose] for pose in prior_keypoints("body_25", 12)])
    (tmp_path / "camera.yaml").write_text("size: [1920, 1080]\nfocal: 1500\n")
    (read,) = reads(tmp_path / "walk", camera=tmp_path / "camera.yaml", fps_given=True)
    assert said(read) == ""
    (read,) = reads(tmp_path / "walk", camera=tmp_path / "camera.yaml")
    assert said(read) == "where files do not say it, there are 30 frames a second: say --fps if not"
    assert {one.camera.focal for one in read.sequences} == {(1500, 1500)}


def test_layouts_of_a_folder_are_read_apart(tmp_path: Path) -> None:
    write_openpose(tmp_path / "a", [[pose] for pose in prior_keypoints("body_25", 12)])
    write_json(tmp_path / "b.json", coco_results(prior_keypoints("coco", 6)))
    assert [(read.layout.name, len(read.sequences)) for read in reads(tmp_path)] == [("body_25", 1), ("coco", 1)]


def test_a_bad_file_of_a_folder_is_left_out_and_said(tmp_path: Path) -> None:
    write_json(tmp_path / "good.json", coco_results(prior_keypoints("coco", 6)))
    (tmp_path / "bad.json").write_text("{")
    (read,) = reads(tmp_path)
    (line,) = read.left_out
    assert line.startswith("left out: ") and "bad.json: no JSON, or cut off" in line
    assert len(read.sequences) == 1


def test_a_person_is_chosen_by_number_or_by_length(tmp_path: Path) -> None:
    poses = prior_keypoints("coco", 12)
    frames = [[pose, moved(pose, 500)] if number < 8 else [pose] for number, pose in enumerate(poses)]
    write_openpose(tmp_path / "pair", [[pose for pose in people] for people in frames])
    assert len(reads(tmp_path / "pair", person="all")[0].sequences) == 2
    (read,) = reads(tmp_path / "pair", person="longest")
    assert [len(one.keypoints) for one in read.sequences] == [12]
    (read,) = reads(tmp_path / "pair", person=1)
    assert [one.person for one in read.sequences] == [1]
    with pytest.raises(UserError, match=r"nobody is person 7 \(--person\)"):
        reads(tmp_path / "pair", person=7)


def test_people_of_a_video_are_chosen_too(tmp_path: Path) -> None:
    video, detector = write(tmp_path / "pair.avi", 6), Seeing(people(4), [None, *people(6, 1)[1:]])
    chosen = {person: reads(video, detector, person=person)[0].sequences for person in (None, "all", "longest", 1)}
    assert {person: [one.person for one in found] for person, found in chosen.items()} == {
        None: [0],
        "all": [0, 1],
        "longest": [1],
        1: [1],
    }
    with pytest.raises(UserError, match=r"pair\.avi has no person 3: choose of 0, 1 \(--person\)"):
        reads(video, detector, person=3)


def test_who_is_in_a_video_for_a_moment_alone_is_not_lifted_unless_asked_for(tmp_path: Path) -> None:
    seen = people(14)
    video, detector = write(tmp_path / "walk.avi", 46), Seeing([*seen[:12], *[None] * 32, *seen[12:]])
    (read,) = reads(video, detector)
    assert [len(one.keypoints) for one in read.sequences] == [12]
    assert "walk: person 0 is there for 0.08 seconds and is not lifted: say --person all" in said(read)
    assert [len(one.keypoints) for one in reads(video, detector, person=0)[0].sequences] == [12, 2]


def test_a_video_says_what_its_keypoints_were_detected_in(tmp_path: Path) -> None:
    video = write(tmp_path / "walk.avi", 4)
    (read,) = reads(video, Seeing(people(4)))
    assert (read.video, read.layout.name) == (video, "mediapipe_33")
    assert "a focal length of 55 pixels is assumed" in said(read)
    (tmp_path / "camera.yaml").write_text("size: [64, 48]\nfocal: 70\n")
    (read,) = reads(video, Seeing(people(4)), camera=tmp_path / "camera.yaml")
    assert said(read) == "" and read.sequences[0].camera.focal == (70, 70)


def test_the_rate_of_pictures_is_said_unless_it_is_given(tmp_path: Path) -> None:
    write_pictures(tmp_path / "shots", "1.png", "2.png", "3.png")
    write(tmp_path / "film.avi", 3)
    (read,) = reads(tmp_path / "shots", Seeing(people(3)))
    assert "pictures are taken to be 30 a second: say --fps if not" in said(read) and read.sequences[0].fps == 30
    (read,) = reads(tmp_path / "shots", Seeing(people(3)), fps=12.0, fps_given=True)
    assert "a second" not in said(read) and read.sequences[0].fps == 12
    (read,) = reads(tmp_path / "film.avi", Seeing(people(3)))  # which says it itself
    assert "a second" not in said(read)


def test_a_video_that_cannot_be_used_does_not_stop_the_others(tmp_path: Path) -> None:
    write(tmp_path / "a.avi", 4)
    (tmp_path / "b.mp4").write_bytes(b"\x00no video\xff")
    write(tmp_path / "c.avi", 4)
    read = reads(tmp_path, Seeing(people(4)))
    assert [bool(one.sequences) for one in read] == [True, False, True]
    assert read[1].left_out[0].startswith("left out: ") and "b.mp4 is no video" in read[1].left_out[0]
    with pytest.raises(UserError, match=r"b\.mp4 is no video"):
        reads(tmp_path / "b.mp4")  # for which no detector is asked
    for name in ("a.avi", "c.avi"):
        (tmp_path / name).write_bytes(b"")
    assert [len(one.left_out) for one in reads(tmp_path)] == [1, 1, 1]


def test_without_a_detector_no_video_is_said_to_be_bad(tmp_path: Path) -> None:
    def missing() -> BlazePose:
        raise UserError("install it")

    for name in ("a.avi", "b.avi"):
        write(tmp_path / name, 2)
    with pytest.raises(UserError, match="install it"):
        [*read_input(tmp_path, Given(), missing, Console(quiet=True))]


@pytest.mark.parametrize(
    ("turns", "what"), [(0, None), (1, "on their sides"), (2, "upside down"), (3, "on their sides")]
)
def test_a_video_that_was_filmed_sideways_is_said_to_be(turns: int, what: str | None, tmp_path: Path) -> None:
    seen = people(4)
    for _ in range(turns):
        seen = [one._replace(keypoints=one.keypoints[:, ::-1] * [1, -1]) for one in seen]
    (read,) = reads(write(tmp_path / "walk.avi", 4), Seeing(seen))
    assert ("turn it upright" in said(read)) is (what is not None)
    assert what is None or f"walk.avi: people are {what}, all the time" in said(read)


def test_keypoints_beside_pictures_are_not_left_aside_in_silence(tmp_path: Path) -> None:
    write_pictures(tmp_path, "1.png", "2.png")
    write_openpose(tmp_path, [[pose] for pose in prior_keypoints("body_25", 2)])
    first, second = reads(tmp_path, Seeing(people(2)))
    assert "and not the files of keypoints (2): name these" in said(first) and not first.sequences
    assert len(second.sequences) == 1


def inputs(folder: Path) -> Iterator[tuple[Path, dict[str, Any], str]]:
    (folder / "empty").mkdir()
    (folder / "notes.md").write_text("notes")
    (folder / "bad.json").write_text("{")
    write_json(folder / "walk.json", coco_results(prior_keypoints("coco", 6)))
    write(folder / "walk.avi", 2)
    (folder / "camera.yaml").write_text("size: [640, 480]\nfocal: 500\n")
    yield folder / "nothing", {}, r"nothing is missing: name a video, or a file or folder of keypoints"
    yield folder / "empty", {}, r"empty holds neither videos nor pictures nor files of keypoints \(\.mp4"
    yield folder / "notes.md", {}, r"notes\.md is neither a video nor a file of keypoints"
    yield folder / "bad.json", {}, r"bad\.json: no JSON, or cut off"
    yield folder / "walk.json", {"keypoints": "openpose"}, r"walk\.json: no list of people"
    yield folder / "walk.json", {"layout": "unheard"}, r"unheard is missing: name one of h36m, coco"
    yield folder / "walk.json", {"layout": "body_25"}, r"17 keypoints, but body_25 has 25"
    yield (
        folder / "walk.json",
        {"camera": folder / "camera.yaml", "size": (1920, 1080)},
        r"^--size 1920 1080, but .*camera\.yaml describes .* 640 x 480: leave --size out",
    )
    yield folder / "walk.avi", {"rotate": 90}, "--rotate turns keypoints of files"


def test_what_cannot_be_used_is_one_line_in_the_commands_words(tmp_path: Path) -> None:
    for path, given, message in inputs(tmp_path):
        with pytest.raises(UserError, match=message) as error:
            reads(path, **given)
        assert "\n" not in str(error.value)
        assert "data." not in str(error.value).replace(str(tmp_path), "")


def test_options_that_cannot_be_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no format of keypoints is named 'pose': choose of auto, openpose"):
        check_given(Given(keypoints="pose"))
    with pytest.raises(UserError, match=r"camera\.yaml is missing: name a YAML file of cameras"):
        check_given(Given(camera=tmp_path / "camera.yaml"))


@pytest.mark.parametrize(
    ("params", "options"),
    [
        ("say data.size=[WIDTH,HEIGHT] if", "say --size WIDTH HEIGHT if"),
        ("say data.rotate=90, 180 or 270", "say --rotate 90, 180 or 270"),
        ("say which (data.layout)", "say which (--layout)"),
        ("csv, and data.keypoints says coco", "csv, and --keypoints says coco"),
        ("how many there are a second (data.fps)", "how many there are a second (--fps)"),
        ("left out: 3 more; data/processed/stats.json counts them", "left out: 3 more"),
        ("/home/ann/data.sizes/walk.json: no JSON", "/home/ann/data.sizes/walk.json: no JSON"),
    ],
)
def test_params_are_called_by_their_options(params: str, options: str) -> None:
    assert as_options(params) == options


def test_keypoints_turned_are_those_of_a_camera_on_its_side(tmp_path: Path) -> None:
    poses = prior_keypoints("coco", 12)
    on_side = poses[..., [1, 0, 2]] * [1, -1, 1] + [0, 1920, 0]
    write_json(tmp_path / "walk.json", coco_results(on_side))
    (read,) = reads(tmp_path / "walk.json", rotate=90, size=(1080, 1920))
    torch.testing.assert_close(read.sequences[0].keypoints, torch.from_numpy(poses[..., :2]).float(), atol=0.01, rtol=0)
    assert read.sequences[0].camera.size == (1920, 1080)


def test_who_is_there_for_a_moment_is_left_out_unless_all_are_wanted(tmp_path: Path) -> None:
    walk, other = prior_keypoints("body_25", 40), moved(prior_keypoints("body_25", 6, seed=1), 700)
    write_openpose(tmp_path / "walk", [[pose, *other[n : n + 1]] if n < 6 else [pose] for n, pose in enumerate(walk)])
    (read,) = reads(tmp_path / "walk", fps_given=True)
    assert [len(one.keypoints) for one in read.sequences] == [40]
    assert "is there for 0.20 seconds and is not lifted: say --person all" in said(read)
    (read,) = reads(tmp_path / "walk", person="all")
    assert sorted(len(one.keypoints) for one in read.sequences) == [6, 40]
    write_openpose(tmp_path / "short", [[pose] for pose in walk[:3]])
    (read,) = reads(tmp_path / "short")
    assert len(read.sequences[0].keypoints) == 3
