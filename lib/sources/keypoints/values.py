"""What stands in detectors' files: JSON, lists of detections, and numbers that may be written in several ways."""

import codecs
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from lib.runtime.bounds import check_text
from lib.sources.keypoints.detections import BadFile, expect

Json = Any
# The longer ones first: that of UTF-32 begins as that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def require_file(path: Path) -> None:
    """Refuse what is read without an end, such as a pipe or a device.

    Raises:
        BadFile: it is one.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadFile("no file, but a pipe, a device or a folder")


def utf8(path: Path) -> bytes:
    """The text of a file in UTF-8 without a mark, as which UTF-8 with one, UTF-16 and UTF-32 are read, too.

    Raises:
        BadFile: it begins with the mark of an encoding in which it is not.
    """
    require_file(path)
    try:
        check_text(path)
    except ValueError as error:
        raise BadFile(str(error)) from None
    content = path.read_bytes()
    name = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if name is None and b"\0" in content[:4]:  # no text begins so, but one of several bytes a character
        name = {b"0101": "utf-16-be", b"1010": "utf-16-le"}.get(bytes(48 + (byte > 0) for byte in content[:4]))
    if name is None:
        return content
    try:
        return content.decode(name).encode()
    except UnicodeError:
        raise BadFile(f"marked as {name}, which it is not: save it as UTF-8") from None


def load(path: Path) -> Json:
    """The content of a file of JSON; an empty file is damaged, too.

    Raises:
        BadFile: it is no JSON.
    """
    try:
        return parsed(utf8(path))
    except json.JSONDecodeError as error:
        raise BadFile(f"no JSON, or cut off ({str(error)[:80]}): write it again") from None


def parsed(content: str | bytes) -> Json:
    """What JSON says; also that of Python and others, which write NaN and Infinity, as orjson does not read them.

    Raises:
        json.JSONDecodeError: it is neither.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        words = ("NaN", "Infinity") if isinstance(content, str) else (b"NaN", b"Infinity")
        if not any(word in content for word in words):  # type: ignore[operator]  # both are text, or both are bytes
            raise
        try:
            return json.loads(content)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError):
            raise error from None


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
