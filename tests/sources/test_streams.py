"""Lines and pictures to frames, one after the other."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lib.detection.blazepose import BlazePose
from lib.pose.layouts import LAYOUTS
from lib.runtime.errors import UserError
from lib.sources.inputs import Given
from lib.sources.streams import Moment, camera_number, layout_of, of_lines, of_pictures, open_stream
from tests.detection.seeing import Seeing, people
from tests.detection.test_video import write
from tests.sources.detector_files import flat, moved, prior_keypoints

POSES = prior_keypoints("coco", 6)


def moments(*lines: Any, **given: Any) -> list[Moment]:
    texts = (line if isinstance(line, str | bytes) else json.dumps(line) for line in lines)
    return [*of_lines(texts, Given(**given))]


def not_called() -> BlazePose:
    raise AssertionError


def test_a_line_is_a_frame_at_its_own_time_or_at_that_of_the_rate() -> None:
    found = moments(
        {"keypoints": POSES[0].tolist()}, {"keypoints": POSES[1].tolist(), "time": 7.5}, {"keypoints": []}, fps=25.0
    )
    assert [moment.seconds for moment in found] == [0.0, 7.5, 2 / 25]
    torch.testing.assert_close(found[1].points, torch.from_numpy(POSES[1]).float())
    assert len(found[2].points) == 0
    assert not any(moment.bad for moment in found)


def test_keypoints_without_a_confidence_are_sure() -> None:
    (moment,) = moments({"keypoints": POSES[0, :, :2].tolist()})
    assert moment.points[:, 2].eq(1).all()


@pytest.mark.parametrize(
    "line",
    [
        {"people": [{"pose_keypoints_2d": flat(POSES[0])}]},  # OpenPose
        [{"image_id": 3, "category_id": 1, "keypoints": flat(POSES[0]), "score": 0.9}],  # COCO
        [{"keypoints": POSES[0, :, :2].tolist(), "keypoint_scores": POSES[0, :, 2].tolist()}],  # MMPose
    ],
)
def test_a_line_may_be_what_a_detector_writes_of_a_frame(line: Any) -> None:
    (moment,) = moments(line)
    assert not moment.bad
    torch.testing.assert_close(moment.points, torch.from_numpy(POSES[0]).float(), atol=1e-3, rtol=0)


def test_shares_of_the_picture_are_lifted_in_its_pixels() -> None:
    pose = prior_keypoints("mediapipe_33", 6)[0]
    shares, coco = pose / [1920, 1080, 1], POSES[0] / [1920, 1080, 1]
    landmarks = [dict(zip(("x", "y", "visibility"), map(float, point), strict=True)) for point in shares]
    yolo = {name: coco[:, axis].tolist() for axis, name in enumerate(("x", "y", "visible"))}
    lines = ({"landmarks": landmarks}, {"keypoints": shares.tolist()}, [{"keypoints": yolo}])
    found = moments(*lines, size=(1920, 1080))
    for moment, expected in zip(found, (pose, pose, POSES[0]), strict=True):
        assert not moment.bad
        torch.testing.assert_close(moment.points, torch.from_numpy(expected).float(), atol=0.1, rtol=0)
    (bad,) = moments({"keypoints": coco.tolist()}, size=(1920, 1080))
    assert bad.bad.startswith("line 1: coordinates from 0 to 1 are no pixels")


def test_of_several_people_the_largest_counts() -> None:
    small = moved(POSES[0] * [0.5, 0.5, 1], 900)
    some = [{"pose_keypoints_2d": flat(pose)} for pose in (np.zeros((17, 3)), small, POSES[0])]
    (moment,) = moments({"people": some})
    torch.testing.assert_close(moment.points, torch.from_numpy(POSES[0]).float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "line",
    [
        *({"keypoints": []}, {"people": []}, []),
        {"keypoints": np.zeros((17, 3)).tolist()},
        {"keypoints": [[None, None, None]] * 17},
        {"people": [{"pose_keypoints_2d": [0.0] * 51}, {"pose_keypoints_2d": [0.0] * 51}]},
    ],
)
def test_nobody_is_no_mistake(line: Any) -> None:
    (moment,) = moments(line)
    assert (len(moment.points), moment.bad) == (0, "")


def test_keypoints_may_be_no_numbers() -> None:
    pose = POSES[0].copy()
    pose[4] = np.nan
    for line in (json.dumps({"keypoints": pose.tolist()}), json.dumps({"keypoints": pose.tolist()}).encode()):
        (moment,) = moments(line)
        assert not moment.bad
        assert (moment.points[:, 2] == 0).nonzero().tolist() == [[4]]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "line 2: no JSON, of which a line must be one value (unexpected end"),
        (b"\xff\xfe", "line 2: "),
        ('{"keypoints": NaN', "line 2: no JSON, of which a line must be one value (Expecting ',' delimiter: line 1"),
        ('{"keypoints": NaN}', "line 2: "),
        ('{"keypoints": [], "time": NaN}', "line 2: time nan is no number of seconds"),
        ("[" * 100_000 + "NaN", "line 2: no JSON"),
        ("3", "line 2: in no known format"),
        ('"x"', "line 2: in no known format"),
        ({"people": 3}, "line 2: no list of people"),
        ({"keypoints": "x"}, "line 2: "),
        ({"keypoints": [["a", 1, 1]]}, "line 2: keypoints that are no numbers"),
        ({"keypoints": [[1, 2, 1], [2]]}, "line 2: keypoints that are no numbers"),
        ({"keypoints": [[[1]]]}, "line 2: keypoints of the shape"),
        ({"keypoints": (POSES[0] * [1e7, 1e7, 1]).tolist()}, "line 2: coordinates up to"),
        ({"keypoints": POSES[0].tolist(), "time": "now"}, "line 2: time 'now' is no number of seconds"),
        ({"keypoints": POSES[0].tolist(), "time": True}, "line 2: time True is no number of seconds"),
        ({"keypoints": POSES[0].tolist(), "time": 1e300}, "line 2: time 1e+300 is no number of seconds"),
    ],
)
def test_a_bad_line_is_said_and_the_stream_goes_on(line: Any, what: str) -> None:
    before, bad, after = moments({"keypoints": POSES[0].tolist()}, line, {"keypoints": POSES[1].tolist()})
    assert bad.bad.startswith(what) and "\n" not in bad.bad
    assert len(bad.points) == 0
    assert not before.bad and not after.bad and len(after.points) == 17
    assert after.seconds == pytest.approx(2 / 30)


def test_empty_lines_are_none() -> None:
    found = moments("", "\n", {"keypoints": POSES[0].tolist()}, "  ", "{")
    assert [(moment.seconds, moment.bad[:7]) for moment in found] == [(0.0, ""), (pytest.approx(1 / 30), "line 5:")]


def test_a_frame_comes_before_the_next_line_is_read() -> None:
    asked = list[int]()

    def lines() -> Iterator[str]:
        for number in range(3):
            asked.append(number)
            yield json.dumps({"keypoints": POSES[number].tolist()})

    for number, _ in enumerate(of_lines(lines(), Given())):
        assert asked == [*range(number + 1)]


def test_pictures_of_a_video_come_at_its_rate_and_those_of_a_camera_as_they_come() -> None:
    seen = people(3)
    pictures = [np.zeros((4, 4, 3), np.uint8)] * 3
    found = [*of_pictures(pictures, Seeing([seen[0], None, seen[2]]), [0.0, 0.05, 0.1])]
    assert [moment.seconds for moment in found] == [0.0, 0.05, 0.1]
    assert [len(moment.points) for moment in found] == [33, 0, 33]
    torch.testing.assert_close(found[2].points[:, :2], torch.from_numpy(seen[2].keypoints))

    def slow() -> Iterator[Any]:
        for picture in pictures:
            time.sleep(0.02)
            yield picture

    times = [moment.seconds for moment in of_pictures(slow(), Seeing(seen), None)]
    assert all(after - before >= 0.02 for before, after in zip(times, times[1:], strict=False))


def test_a_stream_of_lines_needs_the_size_of_pictures(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"say --size WIDTH HEIGHT"):
        open_stream(None, Given(), not_called, [])
    stream = open_stream(None, Given(size=(640, 480), layout="coco"), not_called, [])
    assert (stream.camera.size, stream.camera.assumed, stream.layout) == ((640, 480), True, LAYOUTS["coco"])
    file = tmp_path / "camera.yaml"
    file.write_text("size: [800, 600]\nfocal: 700\n")
    described = open_stream(None, Given(camera=file), not_called, []).camera
    assert (described.size, described.focal, described.assumed) == ((800, 600), (700, 700), False)
    with pytest.raises(UserError, match=r"described for pictures of 800 x 600, but those of the data are 640 x 480"):
        open_stream(None, Given(camera=file, size=(640, 480)), not_called, [])


def test_a_stream_of_a_video_knows_its_size_and_layout(tmp_path: Path) -> None:
    video = write(tmp_path / "a.avi", 3)
    stream = open_stream(video, Given(), lambda: Seeing(people(3)), [])
    assert (stream.camera.size, stream.layout) == ((64, 48), LAYOUTS["mediapipe_33"])
    assert [moment.seconds for moment in stream.moments] == [0.0, 0.04, 0.08]
    with pytest.raises(UserError, match=r"b\.avi is missing"):
        open_stream(tmp_path / "b.avi", Given(), not_called, [])


def test_cameras_are_known_by_their_number() -> None:
    assert [camera_number(Path(name)) for name in ("camera:0", "camera:12", "camera:", "camera:x", "camera", "0")] == [
        *(0, 12, None, None, None, None)
    ]


def test_the_first_frame_tells_the_layout() -> None:
    for name in ("coco", "h36m", "body_25", "mediapipe_33"):
        (moment,) = moments({"keypoints": prior_keypoints(name, 3, seed=1)[0].tolist()})
        assert layout_of(moment, None).name == name
