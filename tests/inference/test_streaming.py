"""Streams to lines, with what is bad in them."""

from typing import Any

import pytest
import torch

from lib.inference.live import Live
from lib.inference.streaming import speed, stream
from lib.pose.cameras import assumed_camera
from lib.pose.layout import Layout
from lib.pose.layouts import FURTHER_LAYOUTS, LAYOUTS
from lib.sources.inputs import Given
from lib.sources.streams import NOBODY, Moment, Stream, of_lines
from tests.inference.test_prediction import generalist
from tests.sources.detector_files import SIZE, prior_keypoints

CAMERA = assumed_camera(SIZE)


def moment(number: int, layout: str = "coco", bad: str = "") -> Moment:
    points = torch.from_numpy(prior_keypoints(layout, 12)).float()[number]
    return Moment(NOBODY if bad else points, number / 30, 0.0, bad)


def lines(*moments: Moment, layout: Layout | None = None, smooth: bool = True) -> list[dict[str, Any]]:
    found = list[dict[str, Any]]()
    stream(generalist(), Stream(moments, CAMERA, layout), found.append, smooth=smooth)
    return found


def test_the_first_line_is_about_all_and_then_a_line_a_frame() -> None:
    about, *frames = lines(*map(moment, range(5)))
    assert about["about"]["layout"] == "coco" and about["about"]["units"] == "metres"
    assert about["about"]["picture_size"] == [*SIZE] and about["about"]["focal_assumed"] is True
    assert len(about["about"]["keypoint_names"]) == len(frames[0]["keypoints"]) == 17
    assert len(about["about"]["joint_names"]) == len(about["about"]["joint_parents"]) == len(frames[0]["joints"])
    assert [line["frame"] for line in frames] == [*range(5)]
    assert [line["time"] for line in frames] == [round(number / 30, 6) for number in range(5)]
    live = Live(generalist(), LAYOUTS["coco"], CAMERA)
    for number, line in enumerate(frames):
        points = moment(number).points
        pose = live.add(points[:, :2], points[:, 2], number / 30)
        assert pose is not None
        for name, values in pose._asdict().items():
            torch.testing.assert_close(torch.tensor(line[name]), values, atol=6e-5, rtol=0)


def test_a_line_that_cannot_be_read_is_said_and_the_stream_goes_on() -> None:
    _, *frames = lines(moment(0), moment(1, bad="line 2: no JSON"), moment(2))
    assert frames[1] == {"frame": 1, "time": pytest.approx(1 / 30, abs=1e-6), "bad": "line 2: no JSON"}
    assert len(frames[2]["joints"]) == 17


def test_other_keypoints_than_before_are_said() -> None:
    _, *frames = lines(moment(0), moment(1, "body_25"), moment(2))
    assert frames[1]["bad"] == "a frame of 25 keypoints, where those before have 17"
    assert "joints" not in frames[1] and "joints" in frames[2]


def test_nobody_gives_a_line_without_a_pose() -> None:
    found = lines(Moment(NOBODY, 0.0, 0.0), moment(1), Moment(NOBODY, 0.1, 0.0))
    assert ["about" in line for line in found] == [False, True, False, False]
    assert found[0] == {"frame": 0, "time": 0.0} and set(found[3]) == {"frame", "time"}


def test_keypoints_that_no_layout_has_are_said_until_there_are_others() -> None:
    few = Moment(moment(0).points[:7], 0.0, 0.0)
    bad, about, good = lines(few, moment(1))
    assert bad["bad"].startswith("7 keypoints: layouts have") and "(--layout)" in bad["bad"]
    assert "about" in about and "joints" in good


def test_what_is_said_of_the_layout_counts() -> None:
    (bad,) = lines(moment(0), layout=LAYOUTS["body_25"])
    assert bad["bad"] == "17 keypoints, but body_25 has 25: name another layout (--layout)"


@pytest.mark.parametrize("layout", sorted(FURTHER_LAYOUTS))
def test_of_a_layout_that_the_model_does_not_know_the_keypoints_of_one_that_it_knows_are_lifted(layout: str) -> None:
    about, good = lines(moment(0, layout))
    assert about["about"]["layout"] in LAYOUTS and set(good) > {"joints", "keypoints"}
    whole, _ = generalist().known(FURTHER_LAYOUTS[layout])
    assert len(good["keypoints"]) == len(about["about"]["keypoint_names"]) == len(whole) < len(moment(0, layout).points)


@pytest.mark.parametrize("error", [BrokenPipeError, KeyboardInterrupt])
def test_a_stream_ends_when_nobody_reads_it_or_at_ctrl_c(error: type[BaseException]) -> None:
    written = list[Any]()

    def write(line: dict[str, Any]) -> None:
        if len(written) == 3:
            raise error
        written.append(line)

    assert len(stream(generalist(), Stream(map(moment, range(9)), CAMERA), write)) == 3  # one line was about all


def test_latency_counts_from_when_the_frame_came() -> None:
    source = of_lines(['{"keypoints": []}'] * 3, Given())
    taken = stream(generalist(), Stream(source, CAMERA), lambda line: None)
    assert len(taken) == 3 and all(0 < each < 1000 for each in taken)
    late = stream(generalist(), Stream([Moment(NOBODY, 0.0, -10.0)], CAMERA), lambda line: None)
    assert late[0] > 10_000


def test_speed_is_one_line() -> None:
    assert speed([]) == "the stream ended without a frame"
    assert speed([10.0]) == "1 frame: 10.0 ms each, 95 % within 10.0 ms, 100 a second"
    assert speed([1.0] * 95 + [40.0] * 5) == "100 frames: 1.0 ms each, 95 % within 1.0 ms, 339 a second"
