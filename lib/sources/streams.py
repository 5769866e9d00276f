"""Streams of one person's keypoints, frame by frame: lines of JSON, or what a detector sees in a camera or a video."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lib.detection.blazepose import BlazePose
from lib.detection.networks import Array
from lib.detection.video import Video, Webcam
from lib.pose.camera_files import read_cameras
from lib.pose.cameras import UNNAMED, Camera, assumed_camera
from lib.pose.layout import Layout
from lib.pose.layouts import LAYOUTS, layout_named
from lib.runtime.errors import UserError
from lib.sources.inputs import Given, as_options
from lib.sources.keypoints.detections import BadFile, Detections, detections, expect
from lib.sources.keypoints.formats import SUFFIXES, of_json
from lib.sources.keypoints.layout import body_part, find_layout
from lib.sources.keypoints.pictures import in_pixels
from lib.sources.keypoints.values import parsed

DETECTED = LAYOUTS["mediapipe_33"]  # by BlazePose
LATEST = 1e12  # seconds: thousands of years after any beginning


class Stream(NamedTuple):
    """Frames as they come."""

    moments: Iterable["Moment"]
    camera: Camera
    layout: Layout | None = None  # of the keypoints; None: as the first ones tell


class Moment(NamedTuple):
    """A frame of a stream; without keypoints, if nobody was detected."""

    points: Float[Tensor, "keypoint 3"]  # x and y in pixels, confidence
    seconds: float
    came: float  # when the frame came, by time.perf_counter
    bad: str = ""  # what is wrong with a line that could not be read


NOBODY = torch.zeros(0, 3)


def open_stream(
    path: Path | None, given: Given, detector: Callable[[], BlazePose], lines: Iterable[str | bytes]
) -> Stream:
    """The frames of camera:0, of a video, or without a path of lines.

    Raises:
        UserError: there is no such video or camera, or nobody says how large the pictures are that lines are of.
    """
    if path is None:
        layout = None if given.layout == "auto" else layout_named(given.layout, Path())
        described = None if given.camera is None else read_cameras(given.camera).find(*_NAMES)
        size = described.size if described is not None and given.size == "auto" else given.size
        if size == "auto":
            raise UserError("lines do not say how large the pictures are: say --size WIDTH HEIGHT")
        return Stream(of_lines(lines, given._replace(size=size)), _camera(given, size), layout)
    number = camera_number(path)
    if number is None and path.suffix.lower() in SUFFIXES:
        raise UserError(f"--stream takes a camera or a video, and {path} is a file of keypoints: leave --stream out")
    video: Video | Webcam = Video.open(path) if number is None else Webcam(number)
    camera, times = _camera(given, (video.width, video.height)), list[float]()
    pictures, seen = (video.timed(times), times) if isinstance(video, Video) else (video, None)
    return Stream(of_pictures(pictures, detector(), seen), camera, DETECTED)


_NAMES = ("stream", "stream", UNNAMED)  # of a stream's camera in a file of several


def _camera(given: Given, size: tuple[int, int]) -> Camera:
    """The camera of a stream: that of the user's file, or an assumed one."""
    return assumed_camera(size, UNNAMED) if given.camera is None else read_cameras(given.camera).of(*_NAMES, size)


def of_lines(lines: Iterable[str | bytes], given: Given) -> Iterator[Moment]:
    """A frame a line: what a detector writes of one frame in JSON, or {"keypoints": [[x, y, confidence], ...]}.

    `time` in a line is its time in seconds; else frames are as far apart as `given.fps` says. Of several people, the
    largest counts. Empty lines are none.
    """
    frames = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    for frame, (number, line) in enumerate(frames):
        seconds, came = frame / given.fps, time.perf_counter()
        try:
            content = parsed(line)
            own = content.get("time") if isinstance(content, Mapping) else None
            seconds = seconds if own is None else _seconds(own)
            yield Moment(_largest(_in_pixels(_read(content, given), given)), seconds, came)
        except json.JSONDecodeError as error:
            yield Moment(NOBODY, seconds, came, f"line {number}: no JSON, of which a line must be one value ({error})")
        except BadFile as error:
            yield Moment(NOBODY, seconds, came, f"line {number}: {as_options(str(error))}")


def _seconds(own: Any) -> float:
    expect(
        isinstance(own, int | float) and not isinstance(own, bool) and abs(own) < LATEST,
        f"time {own!r} is no number of seconds",
    )
    return float(own)


def _read(content: Any, given: Given) -> Detections:
    keypoints = content.get("keypoints") if isinstance(content, Mapping) else None
    if isinstance(keypoints, list) and given.keypoints == "auto" and (not keypoints or isinstance(keypoints[0], list)):
        return detections([keypoints] if keypoints else [], [0] if keypoints else [])
    return of_json(content, given.keypoints)


def _in_pixels(found: Detections, given: Given) -> Detections:
    """What MediaPipe or YOLO wrote as shares of the picture in its pixels."""
    seen = (found.points[..., 2] > 0).any()
    return in_pixels(found, None if given.size == "auto" else given.size) if seen else found


def _largest(found: Detections) -> Float[Tensor, "keypoint 3"]:
    """The person of the largest extent; a keypoint that was not detected is not a number, and has confidence 0."""
    points = body_part(found.points)[(found.points[..., 2] > 0).any(-1)]
    if not len(points):
        return NOBODY
    extent = np.nanmax(points[..., :2], 1) - np.nanmin(points[..., :2], 1)
    return torch.from_numpy(points[int(extent.prod(-1).argmax())].astype(np.float32))


def of_pictures(
    pictures: Iterable[UInt8[Array, "height width 3"]], detector: BlazePose, times: Sequence[float] | None
) -> Iterator[Moment]:
    """What BlazePose sees in each picture, at its one of the `times`, which are known when the picture is.

    Of a camera, for which there are none, it is the time at which the picture came.
    """
    began = time.perf_counter()
    for number, ((person,), came) in enumerate(_timed(pictures, detector)):
        seconds = came - began if times is None else times[number]
        if person is None:
            yield Moment(NOBODY, seconds, came)
        else:
            points = np.concatenate([person.keypoints, person.confidence[:, None]], 1)
            yield Moment(torch.from_numpy(points.astype(np.float32)), seconds, came)


def _timed(pictures: Iterable[Any], detector: BlazePose) -> Iterator[tuple[Any, float]]:
    """The places of people in each picture, and when it came."""
    times: list[float] = []

    def taken() -> Iterator[Any]:
        for picture in pictures:
            times.append(time.perf_counter())
            yield picture

    for places in detector.track(taken(), 1):
        yield places, times.pop()


CAMERA_PREFIX = "camera:"


def camera_number(path: Path) -> int | None:
    """Of an input such as camera:0; None: it is something else."""
    name = str(path)
    number = name.removeprefix(CAMERA_PREFIX)
    return int(number) if name.startswith(CAMERA_PREFIX) and number.isdecimal() else None


def layout_of(moment: Moment, said: Layout | None) -> Layout:
    """In what order the keypoints of a stream are, as its first ones tell; raises BadFile where they do not."""
    return find_layout(moment.points.numpy()[None], said)
