"""Streams of one person's keypoints, frame by frame: lines of JSON, or what a detector sees in a camera or a video."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lib.detection.blazepose import BlazePose
from lib.detection.networks import Array
from lib.pose.camera_files import read_cameras
from lib.pose.cameras import UNNAMED, Camera, assumed_camera
from lib.pose.layouts import LAYOUTS, Layout
from lib.sources.inputs import Given
from lib.sources.keypoints.detections import BadFile, Detections, detections
from lib.sources.keypoints.formats import of_json
from lib.sources.keypoints.layout import body_part, find_layout


class Moment(NamedTuple):
    """A frame of a stream; without keypoints, if nobody was detected."""

    points: Float[Tensor, "keypoint 3"]  # x and y in pixels, confidence
    seconds: float
    bad: str = ""  # what is wrong with a line that could not be read


NOBODY = torch.zeros(0, 3)


def of_lines(lines: Iterable[str | bytes], given: Given) -> Iterator[Moment]:
    """A frame a line: what a detector writes of one frame in JSON, or {"keypoints": [[x, y, confidence], ...]}.

    `time` in a line is its time in seconds; else frames are as far apart as `given.fps` says. Of several people, the
    largest counts.
    """
    for number, line in enumerate(lines):
        seconds = number / given.fps
        try:
            content = orjson.loads(line)
            if isinstance(content, Mapping) and isinstance(content.get("time"), int | float):
                seconds = float(content["time"])
            yield Moment(_largest(_read(content, given)), seconds)
        except (orjson.JSONDecodeError, BadFile) as error:
            yield Moment(NOBODY, seconds, f"line {number + 1}: {error}")


def _read(content: Any, given: Given) -> Detections:
    keypoints = content.get("keypoints") if isinstance(content, Mapping) else None
    if isinstance(keypoints, list) and keypoints and isinstance(keypoints[0], list) and given.keypoints == "auto":
        return detections([keypoints], [0])
    return of_json(content, given.keypoints)


def _largest(found: Detections) -> Float[Tensor, "keypoint 3"]:
    """The person of the largest extent."""
    if not len(found.points):
        return NOBODY
    extent = np.nanmax(found.points[..., :2], 1) - np.nanmin(found.points[..., :2], 1)
    return torch.from_numpy(body_part(found.points)[int(np.nanargmax(extent.prod(-1)))].astype(np.float32))


def of_pictures(
    pictures: Iterable[UInt8[Array, "height width 3"]], detector: BlazePose, fps: float | None
) -> Iterator[Moment]:
    """What BlazePose sees in each picture; of a camera (no `fps`), at the time at which the picture came."""
    began = time.monotonic()
    for number, ((person,), seconds) in enumerate(_timed(pictures, detector, began)):
        when = seconds if fps is None else number / fps
        if person is None:
            yield Moment(NOBODY, when)
        else:
            points = np.concatenate([person.keypoints, person.confidence[:, None]], 1)
            yield Moment(torch.from_numpy(points.astype(np.float32)), when)


def _timed(pictures: Iterable[Any], detector: BlazePose, began: float) -> Iterator[tuple[Any, float]]:
    times: list[float] = []

    def taken() -> Iterator[Any]:
        for picture in pictures:
            times.append(time.monotonic() - began)
            yield picture

    for places in detector.track(taken(), 1):
        yield places, times.pop()


def camera_of(given: Given, size: tuple[int, int]) -> Camera:
    """The camera of a stream: that of the user's file, or an assumed one."""
    if given.camera is None:
        return assumed_camera(size, UNNAMED)
    return read_cameras(given.camera).of("stream", "stream", UNNAMED, size)


DETECTED = LAYOUTS["mediapipe_33"]


def layout_of(moment: Moment, said: Layout | None) -> Layout:
    """In what order the keypoints of a stream are, as its first ones tell; raises BadFile where they do not."""
    return find_layout(moment.points.numpy()[None], said)
