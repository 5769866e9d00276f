"""What every format is read as: the detections of one video, each a person's keypoints in one frame."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from lib.sources.base import Reason

Array = npt.NDArray[Any]
FAR = 1e5  # pixels: no picture is so wide
MOST_FAR = 0.05  # of the keypoints that are seen: fewer are outliers, which are hidden
_NOT_SEEN = np.array([np.nan, np.nan, 0.0])
_MOST_FRAME = 1 << 40
_LARGEST_NUMBER = 1 << 62  # in a file's name, which may be a time


class BadFile(Exception):
    """Why a file cannot be used."""

    def __init__(self, message: str, reason: Reason = "unreadable") -> None:
        super().__init__(message)
        self.reason = reason


class Detections(NamedTuple):
    """The detections of one video, in any order.

    A keypoint that was not detected has confidence 0 and is not a number.
    """

    points: Float[Array, "detection keypoint 3"]  # x, y, confidence; pixels, or shares of the picture
    frame: Int[Array, " detection"]
    person: Int[Array, " detection"] | None  # as the file numbers people; None: it does not
    length: int  # frames, those in which nobody was detected among them
    name: str = ""  # of the video within a file that holds several
    size: tuple[int, int] | None = None  # width and height of the pictures
    fps: float | None = None
    layout: str | None = None  # where the file itself says it
    shares: bool = False  # whether x and y may be shares of the picture's width and height, by the format


def detections(
    keypoints: Sequence[Any] | Array,
    frames: Sequence[int] | Array,
    people: Sequence[int | None] | None = None,
    length: int | None = None,
    **known: Any,
) -> Detections:
    """Put the keypoints of detections, flat or (keypoint, 2 or 3), into one form.

    Raises:
        BadFile: they are no numbers, or not equally many.
    """
    frame = np.asarray(frames, np.int64)
    points = _points(keypoints)
    if len(frame) and not 0 <= int(frame.min()) <= int(frame.max()) < _MOST_FRAME:
        raise BadFile(f"frame number {int(frame.min() if frame.min() < 0 else frame.max())}")
    person = None
    if people is not None and len(people) and all(number is not None for number in people):
        person = np.array(people, np.int64)
    last = int(frame.max()) + 1 if len(frame) else 0
    return Detections(points, frame, person, max(last, length or 0), **known)


def _points(keypoints: Sequence[Any] | Array) -> Array:
    if len(keypoints) == 0:
        return np.zeros((0, 0, 3), np.float32)
    try:
        values = np.asarray(keypoints, np.float64)
    except (ValueError, TypeError, OverflowError):
        counts = sorted({len(one) for one in keypoints if isinstance(one, list)})
        if len(counts) > 1:
            raise BadFile(f"poses of different numbers of values: {', '.join(map(str, counts[:5]))}") from None
        raise BadFile("keypoints that are no numbers") from None
    if values.ndim == 2:
        if values.shape[1] % 3:
            raise BadFile(f"{values.shape[1]} values a pose, which are no x, y, confidence", "unknown_layout")
        values = values.reshape(len(values), -1, 3)
    if values.ndim != 3 or values.shape[2] not in (2, 3):
        raise BadFile(f"keypoints of the shape {values.shape}")
    if values.shape[2] == 2:
        values = np.concatenate([values, np.ones_like(values[..., :1])], axis=2)
    return clean(values)


def clean(points: Array) -> Array:
    """Mark what was not detected: not a number, (0, 0), without confidence, or far beyond any picture.

    Raises:
        BadFile: much is far beyond any picture.
    """
    x, y, confidence = points[..., 0], points[..., 1], points[..., 2]
    if points.size and np.abs(points).max() <= FAR:  # nothing is beyond, or no number: as usual, and quick
        seen = (confidence > 0) & ((x != 0) | (y != 0))
        return np.where(seen[..., None], points, _NOT_SEEN).astype(np.float32)
    seen = np.isfinite(points).all(-1) & (confidence > 0) & (confidence <= FAR) & ((x != 0) | (y != 0))
    with np.errstate(invalid="ignore"):
        near = seen & (np.abs(x) <= FAR) & (np.abs(y) <= FAR)
    far = int(seen.sum()) - int(near.sum())
    if far > MOST_FAR * int(seen.sum()):
        largest = float(np.abs(points[..., :2][seen & ~near]).max())
        raise BadFile(f"coordinates up to {largest:.3g} are no pixels", "not_pixels")
    seen = near
    return np.where(seen[..., None], points, _NOT_SEEN).astype(np.float32)


def joined(frames: Sequence[Detections], numbers: Sequence[int]) -> Detections:
    """One video of files that hold one frame each, with these numbers.

    Raises:
        BadFile: files have different numbers of keypoints, or are numbered beyond all frames.
    """
    counts = {part.points.shape[1] for part in frames if len(part.points)}
    if len(counts) > 1:
        raise BadFile(f"frames of {' and '.join(map(str, sorted(counts)))} keypoints", "unknown_layout")
    if max(numbers, default=0) >= _LARGEST_NUMBER:
        raise BadFile(f"frame number {max(numbers)}")
    first = min(numbers, default=0)
    some = [part for part in frames if len(part.points)]
    length = max(numbers, default=-1) - first + 1
    if not some:
        return Detections(np.zeros((0, 0, 3), np.float32), np.zeros(0, np.int64), None, length)
    frame = np.repeat(np.asarray(numbers, np.int64) - first, [len(part.points) for part in frames])
    person = None
    if all(part.person is not None for part in some):
        person = np.concatenate([part.person for part in some if part.person is not None])
    points = np.concatenate([part.points for part in some])
    return some[0]._replace(points=points, frame=frame, person=person, length=length)


def expect(condition: bool, what: str) -> None:
    """Refuse a file that lacks something.

    Raises:
        BadFile: naming it.
    """
    if not condition:
        raise BadFile(what)
