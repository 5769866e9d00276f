"""What nobody writes on purpose: each is one line or is read, in little time, and what is beside it is read."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import preprocess
from tests.data.mocap_files import write_bvh
from tests.data.test_preprocess import params
from tests.sources.detector_files import coco_results, flat, prior_keypoints, write_json
from tests.sources.test_keypoint_source import auto, read_folder

POSES = prior_keypoints("coco")
GOOD = coco_results(POSES)


def numbered(number: Any) -> str:
    return json.dumps([*GOOD[:-1], GOOD[-1] | {"image_id": number}])


def nested(before: str, after: str, depth: int = 1000) -> str:
    return before * depth + "[]" + after * depth


def table(**more: Any) -> str:
    header = ",".join([*more, *(f"{axis}{number}" for number in range(17) for axis in "xyc")])
    rows = [",".join(map(str, [*(value for value in more.values()), *pose.ravel()])) for pose in POSES]
    return "\n".join([header, *rows])


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", numbered(2**53 - 1), "frame number 9007199254740991"),
        ("a.json", numbered(-5), "image_id -5 is no frame's"),
        ("a.json", numbered([1]), r"image_id \[1\] is no whole number"),
        ("a.json", "[" * 100_000, "no JSON, or cut off"),
        ("a.json", nested('{"instance_info":', "}"), "instance_info that is no list"),
        ("a.json", nested('{"1.jpg":', "}"), "in no known format"),
        ("a.json", nested('{"1.jpg":{"bodies":', "}}", 400), "no list of people"),
        ("a.json", json.dumps({"images": None, "annotations": [{"image_id": 1}]}), "not as coco writes it"),
        ("a.json", json.dumps({"images": [{"id": {}, "video_id": [1]}], "annotations": []}), "not as coco writes it"),
        ("a.json", json.dumps([{"image_id": n, "keypoints": [None] * 51} for n in range(9)]), "nobody was detected"),
        ("a.csv", table(frame="1e300"), "a frame's number beyond 2\\^53"),
        ("a.csv", table(frame="inf"), "a frame without a number"),
        ("a.csv", table(person="-1e300"), "a person's number beyond 2\\^53"),
        ("a.csv", '"' * 100_001, "no table"),
        ("a.csv", table(frame="1e9994753537774086"), "the number ...1e9994753537774086 is too large"),
        ("a.csv", "x,y\n1,2\n", "no columns such as nose_x and nose_y"),
        ("a.csv", "keypoint,x,y\nnose,1,2\n", "rows of keypoints without their frame"),
        ("a.json", "[" * 1024 + "]" * 1024, "no JSON, or cut off|in no known format"),
        ("a.json", json.dumps([{"image_id": 1, "keypoints": "abc"}]), "."),
        ("a.json", json.dumps([{"image_id": 1, "keypoints": {"a": 1}}]), "."),
        ("a.json", json.dumps([{"image_id": 1, "keypoints": [1e400] * 51}]), "."),
        ("a.json", json.dumps({"people": [{"pose_keypoints_2d": 5}]}), "."),
        ("a.json", json.dumps({"frames": [[[[1, 2]]]]}), "a person without 33 landmarks|not as mediapipe"),
        ("a.json", json.dumps({"instance_info": [{"instances": 5}]}), "no list of detections|not as mmpose"),
        ("a.json", json.dumps([{"keypoints": {"x": [1], "y": []}}]), "as many x as y"),
        ("a.json", json.dumps([{"keypoints": {"x": 5, "y": 6}}]), "as many x as y"),
        ("a.txt", "1e400 nan inf " * 20, "values a line, which are no known keypoints|nobody was detected"),
        ("a.txt", "0 .5 .5 .5 .5 " + "0.5 " * 51 + "1e300", "whose size nobody says"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_odd_content_is_one_line(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    write_json(tmp_path / "good.json", GOOD)
    assert any(s.subject == "good" for s in read_folder(tmp_path).sequences)
    (tmp_path / "good.json").unlink()
    with pytest.raises(UserError, match=message) as error:
        read_folder(tmp_path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000


ODD_FILES: dict[str, Callable[[Path], None]] = {
    "a pipe": lambda raw: os.mkfifo(raw / "a.json"),
    "a device": lambda raw: os.symlink("/dev/zero", raw / "a.csv"),
    "a pipe of arrays": lambda raw: os.mkfifo(raw / "a.npz"),
    "a link to itself": lambda raw: os.symlink(raw / "a.json", raw / "a.json"),
    "a folder in itself": lambda raw: os.symlink(raw, raw / "again"),
    "empty folders": lambda raw: (raw / "a" / "b").mkdir(parents=True),
}


@pytest.mark.hostile
@pytest.mark.parametrize("what", ODD_FILES)
def test_odd_files_stop_nothing(what: str, tmp_path: Path) -> None:
    ODD_FILES[what](tmp_path)
    write_json(tmp_path / "good.json", GOOD)
    data = read_folder(tmp_path)
    assert [s.subject for s in data.sequences] == ["good"]
    assert len(data.dropped) == ("folder" not in what)


def test_odd_names_are_stored_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of files, which may be any bytes, and of the images that a file names."""
    paths = Paths(tmp_path)
    for number, name in enumerate(("\udcff\n,.json", "\x01.json", "v.json")):
        entries = [e | {"image_id": f"v\0{number}/{k % 2}\n/{e['image_id']}.jpg"} for e in GOOD for k in range(2)]
        write_json(paths.raw("keypoints") / name, entries)
    (paths.raw("keypoints") / "\udcfe\n.json").write_text("{")
    preprocess.run(auto(), paths)
    assert "\\udcfe .json: no JSON" in capsys.readouterr().out
    for name in ("\udcff\n,", "b", "c"):
        write_bvh(paths.raw("bvh") / name / "walk\x07.bvh", frames=20)
    (paths.raw("bvh") / "\udcfe\n.bvh").write_text("no motion")
    preprocess.run(params(source="bvh", split="auto"), paths)
    assert "\\udcfe .bvh: no HIERARCHY" in capsys.readouterr().out


def test_thousands_of_videos_in_one_file_take_seconds(tmp_path: Path) -> None:
    entries = [{"image_id": f"v{n // 2}/{n % 2}.jpg", "keypoints": flat(POSES[n % 2])} for n in range(2000)]
    write_json(tmp_path / "all.json", entries)
    assert len(read_folder(tmp_path, min_frames=1).sequences) == 1000


def test_people_who_cross_stay_who_they_are(tmp_path: Path) -> None:
    other = prior_keypoints("coco", seed=3)[0]
    one = np.stack([POSES[0] + [20 * frame - 400, 0, 0] for frame in range(40)])
    two = np.stack([other + [400 - 20 * frame, 0, 0] for frame in range(40)])
    people = [{"image_id": f, "keypoints": flat(pose)} for f in range(40) for pose in (one[f], two[f])]
    write_json(tmp_path / "cross.json", people)
    data = read_folder(tmp_path)
    found = [np.sign(np.diff(s.keypoints[:, 0, 0].numpy())) for s in data.sequences]
    assert len(found) == 2 and (found[0] == 1).all() and (found[1] == -1).all()
