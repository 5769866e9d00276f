"""CSV: a table with a row a frame and a column a coordinate, or with a row a keypoint."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.pose.layout import Layout
from lib.pose.layouts import FURTHER_LAYOUTS, LAYOUTS
from lib.runtime.bounds import check_exponents
from lib.sources.keypoints.detections import BadFile, Detections, detections, expect
from lib.sources.keypoints.values import utf8

_LOOKED_AT = 10_000  # bytes
_LARGEST = 1 << 53  # whole numbers above it are not told apart
_AXES = {
    **dict.fromkeys(("x", "y"), None),
    **dict.fromkeys(
        ("c", "conf", "confidence", "score", "visibility", "vis", "v", "likelihood", "prob", "p", "presence"), "c"
    ),
    **dict.fromkeys(("z",), "z"),
}
_PERSON = ("person", "person_id", "track_id", "track", "id", "idx", "subject")
_FRAME = ("frame", "frame_id", "frame_number", "image_id", "frame_idx", "frame_index")
_POINT = (
    "keypoint",
    "landmark",
    "joint",
    "bodypart",
    "landmark_id",
    "joint_id",
    "keypoint_id",
    "name",
    "landmark_name",
)


def csv(path: Path, said: Layout | None = None) -> Detections:
    """A table with a row a frame (and person), a column a coordinate; or a row a keypoint.

    Columns are called as a layout's keypoints with _x, _y and perhaps _confidence, or numbered; `frame` and `person`
    may be there. Names of the layout that the user has `said` count before those of others. Columns are set apart by
    commas, semicolons or tabs; a comma that sets nothing apart is a decimal point, as spreadsheets of many countries
    write it.
    """
    content = re.sub(rb"\A(sep=.\s*\n|#.*\n|\s*\n)*", b"", utf8(path))  # what spreadsheets and programs put before
    head, _, rows = content.partition(b"\n")
    sep = max((",", ";", "\t"), key=lambda mark: head.count(mark.encode()))
    quoted = re.search(rb'"-?\d+,\d*"', rows[:_LOOKED_AT]) is not None
    decimal = "," if sep != "," or quoted else "."
    try:
        check_exponents(content)
        table = pd.read_csv(io.BytesIO(content), skipinitialspace=True, sep=sep, decimal=decimal)
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise BadFile(f"no table ({str(error)[:60]})") from None
    table.columns = pd.Index([re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_") for name in table.columns])
    expect(table.columns.is_unique, "columns of the same name")
    point = next((name for name in _POINT if name in table), None)
    if point is not None and {"x", "y"} <= set(table.columns):
        return _long(table, point, said)
    return _wide(table, said)


def _long(table: pd.DataFrame, point: str, said: Layout | None) -> Detections:
    frame = next((name for name in _FRAME if name in table), None)
    expect(frame is not None, "rows of keypoints without their frame")
    person = next((name for name in _PERSON if name in table), None)
    confidence = next((name for name in table.columns if _AXES.get(name) == "c"), None)
    names = list(dict.fromkeys(table[point].astype(str)))
    layout, order = _ordered(names, said)
    values = table[["x", "y"]].assign(c=table[confidence] if confidence else 1.0).apply(pd.to_numeric, errors="coerce")
    keys = table[[frame, person]] if person else table[[frame]]
    rows, where = np.unique(keys.to_numpy(np.float64, na_value=-1), axis=0, return_inverse=True)
    points = np.full((len(rows), len(names), 3), np.nan)
    place = {names[old]: new for new, old in enumerate(order)}
    which = np.array([place[name] for name in table[point].astype(str)], np.int64)
    once = len(np.unique(where.reshape(-1) * len(names) + which)) == len(which)
    expect(once, f"several rows of one {frame} and {point}: number people in a column person")
    points[where.reshape(-1), which] = values.to_numpy(np.float64)
    return _table_detections(points, rows[:, 0], rows[:, 1] if person else None, layout)


def _wide(table: pd.DataFrame, said: Layout | None) -> Detections:
    columns: dict[str, dict[str, str]] = {}
    for name in table.columns:
        found = _split_column(name)
        if found:
            columns.setdefault(found[0], {})[found[1]] = name
    names = [name for name, axes in columns.items() if {"x", "y"} <= set(axes)]
    expect(bool(names), "no columns such as nose_x and nose_y")
    layout, order = _ordered(names, said)
    points = np.ones((len(table), len(names), 3))
    for new, old in enumerate(order):
        for axis, key in enumerate("xyc"):
            if key in columns[names[old]]:
                points[:, new, axis] = pd.to_numeric(table[columns[names[old]][key]], errors="coerce")
    frame, person = (next((name for name in known if name in table), None) for known in (_FRAME, _PERSON))
    frames = np.arange(len(table)) if frame is None else pd.to_numeric(table[frame], errors="coerce").to_numpy()
    people = None if person is None else pd.to_numeric(table[person], errors="coerce").to_numpy()
    return _table_detections(points, frames, people, layout)


def _table_detections(points: Any, frames: Any, people: Any, layout: str | None) -> Detections:
    frames = np.asarray(frames, np.float64)
    expect(bool(np.isfinite(frames).all()), "a frame without a number")
    expect(bool((np.abs(frames) < _LARGEST).all()), "a frame's number beyond 2^53")
    expect(bool((frames == np.floor(frames)).all()), "frames that are no whole numbers, such as seconds")
    frames = frames.astype(np.int64) - (int(frames.min()) if len(frames) else 0)
    known = None
    numbers_rows = people is not None and len(people) > 1 and len(np.unique(people)) == len(people)
    if people is not None and np.isfinite(people).all() and not numbers_rows:
        expect(bool((np.abs(people) < _LARGEST).all()), "a person's number beyond 2^53")
        known = [int(one) for one in people]
    return detections(points, frames, known, layout=layout)


def _split_column(name: str) -> tuple[str, str] | None:
    """'left_knee_x' -> ('left_knee', 'x'), and so 'x_left_knee', 'x3' and '3_conf'."""
    before, _, after = name.rpartition("_")
    pairs = [(before, after), (name.partition("_")[2], name.partition("_")[0])]
    if numbered := re.fullmatch(r"([a-z]+)_?(\d+)", name):
        pairs.append((numbered[2], numbered[1]))
    for point, axis in pairs:
        if point and axis in _AXES:
            return point, _AXES[axis] or axis
    return None


def _ordered(names: list[str], said: Layout | None) -> tuple[str | None, list[int]]:
    """The layout whose keypoints these are, and their numbers in its order; None and their own order if of none."""
    plain = [_plain(name) for name in names]
    for layout in (*([said] if said else []), *LAYOUTS.values(), *FURTHER_LAYOUTS.values()):
        keypoints = [_plain(keypoint) for keypoint in layout.keypoints]
        if sorted(keypoints) == sorted(plain):
            return None if layout is said else layout.name, [plain.index(keypoint) for keypoint in keypoints]
    numbers = [re.sub(r"\D", "", name) for name in names]
    if all(numbers) and len({int(number) for number in numbers}) == len(names):
        return None, sorted(range(len(names)), key=lambda place: int(numbers[place]))
    return None, list(range(len(names)))


def _plain(name: str) -> str:
    """'LShoulder', 'l_shoulder' and 'left shoulder' are one name, and so 'midhip' and 'mid_hip'."""
    joined = re.sub(
        r"[^a-z0-9]", "", re.sub(r"^([lr])_", lambda side: {"l": "left", "r": "right"}[side[1]], name.lower())
    )
    return re.sub(r"^(left|right)?mouth(left|right)$", r"\2mouth", re.sub(r"^mouth(left|right)$", r"\1mouth", joined))
