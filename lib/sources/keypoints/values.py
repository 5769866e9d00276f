"""What stands in detectors' files: JSON, lists of detections, and numbers that may be written in several ways."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from lib.sources.keypoints.detections import BadFile, expect

Json = Any


def load(path: Path) -> Json:
    """The content of a file of JSON; an empty file is damaged, too.

    Raises:
        BadFile: it is no JSON.
    """
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise BadFile(f"no JSON, or cut off: {str(error)[:80]}") from None


def entries_with(content: Json, *keys: str) -> list[Mapping[str, Json]]:
    """A list of detections.

    Raises:
        BadFile: it is none, or some lack a key.
    """
    expect(isinstance(content, list), "no list of detections")
    for entry in content:
        if not isinstance(entry, Mapping) or any(key not in entry for key in keys):
            raise BadFile(f"a detection without {' and '.join(keys)}")
    return list(content)


def number_of(value: Json) -> int | None:
    """A person's number, which AlphaPose writes as 1, '1', [0.0] or [[0.0], [0.0]]; None where there is none."""
    while isinstance(value, list):
        if not value:
            return None
        value = value[0]
    try:
        return None if value is None or isinstance(value, bool) else int(float(value))
    except (ValueError, TypeError, OverflowError):
        return None


def whole(value: Json, what: str) -> int:
    """The number of a frame.

    Raises:
        BadFile: it is none.
    """
    try:
        number = int(value)
    except (ValueError, TypeError, OverflowError):
        raise BadFile(f"{what} {value!r} is no whole number") from None
    if not 0 <= number < 1 << 53:
        raise BadFile(f"{what} {number} is no frame's")
    return number


def stated_size(size: tuple[Json, Json] | None) -> tuple[int, int] | None:
    """Width and height that a file says, where `data.size` could be so; else None, as if it said nothing."""
    if size is None or not all(isinstance(side, int | float) and 2 <= side <= 100_000 for side in size):
        return None
    return int(size[0]), int(size[1])


def stated_rate(fps: Json) -> float | None:
    """Frames a second that a file says, where anything is filmed so; else None, as if it said nothing."""
    known = isinstance(fps, int | float) and not isinstance(fps, bool) and 0.01 <= fps <= 10_000
    return float(fps) if known else None


def str_key(value: Json) -> tuple[float, str]:
    """Numbers before texts, each in their order."""
    return (float(value), "") if isinstance(value, int | float) else (np.inf, str(value))
