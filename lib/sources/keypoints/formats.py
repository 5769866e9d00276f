"""The formats by their name in `data.keypoints`, and which files of a folder are one video."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lib.pose.layout import Layout
from lib.sources.keypoints import json_formats, mediapipe, other_formats, tables, values
from lib.sources.keypoints.detections import BadFile, Detections, joined
from lib.sources.keypoints.image_names import by_video

JSON_FORMATS: Mapping[str, Callable[[Any], Detections]] = {
    "openpose": json_formats.openpose,
    "coco": json_formats.coco,
    "alphapose": json_formats.alphapose,
    "mmpose": json_formats.mmpose,
    "mediapipe": mediapipe.mediapipe,
    "yolo": json_formats.yolo,
}
FORMATS = (*JSON_FORMATS, "videopose3d", "detectron", "csv")
SUFFIXES = (".json", ".txt", ".npz", ".csv")
_DIGITS = re.compile(r"^(.*?)(\d+)(\D*)$")


class Unit(NamedTuple):
    """The files of one video, or the one file of several."""

    name: str
    folder: Path  # relative to the source's
    files: tuple[Path, ...]
    frames: tuple[int, ...] | None  # a file a frame: their numbers


class LeftOut(NamedTuple):
    """A frame, or a video of several in a file, that is left out."""

    file: Path
    error: BadFile
    video: str = ""  # its name in the file; of a frame, none


class Parsed(NamedTuple):
    """What the files of a unit hold."""

    format: str
    videos: tuple[Detections, ...]
    bad: tuple[LeftOut, ...]


def units(raw: Path, unnamed: str = "video") -> Iterator[Unit]:
    """The videos in a folder and the folders in it; `unnamed` is that of frames in `raw` itself that have no name.

    Files of JSON or text in one folder whose names differ by their last number alone are the frames of one video, if
    the first that holds anything holds a single frame. A folder of a single such video gives it its name.
    """
    for folder, names in _files(raw):
        where = folder.relative_to(raw)
        series: dict[tuple[str, str], list[tuple[int, Path]]] = {}
        for name in names:
            stem, suffix = os.path.splitext(name)
            suffix = suffix.lower()
            parts = _DIGITS.match(stem) if suffix in (".json", ".txt") else None
            prefix, number, rest = parts.groups() if parts else (stem, "", "")
            series.setdefault((prefix, rest + suffix), []).append((int(number or -1), folder / name))
        several = {key: some for key, some in series.items() if some[0][0] >= 0 and _a_file_a_frame(some)}
        for key, some in series.items():
            if key in several:
                some.sort()
                name, place = _named(where, key[0], alone=len(series) == 1, unnamed=unnamed)
                yield Unit(name, place, tuple(path for _, path in some), tuple(number for number, _ in some))
            else:
                for _, path in some:
                    yield Unit(path.stem, where, (path,), None)


def _files(raw: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folders with files that may be keypoints, and the names of these, in the order of their paths."""
    found = []
    for folder, folders, names in os.walk(raw):
        folders[:] = [name for name in folders if not name.startswith(".")]
        parts = Path(folder).parts
        for name in names:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                found.append((*parts, name))
    by_folder: dict[tuple[str, ...], list[str]] = {}
    for *parts_, name in sorted(found):
        by_folder.setdefault(tuple(parts_), []).append(name)
    for parts, names in by_folder.items():
        yield Path(*parts), names


def _named(where: Path, prefix: str, alone: bool, unnamed: str) -> tuple[str, Path]:
    """The name of a video whose frames are in a folder, and where it is."""
    prefix = re.sub(r"[\W_]+$", "", prefix)
    if where.name == "labels" and prefix:  # of YOLO, for all videos
        return prefix, where.parent
    if where != Path() and (alone or not prefix):
        return where.name, where.parent
    return prefix or unnamed, where


def _a_file_a_frame(series: Sequence[tuple[int, Path]]) -> bool:
    """Whether the first file that can be read and shows somebody is of one frame."""
    if series[0][1].suffix.lower() == ".txt":
        return True
    readable = False
    for _, path in series:
        try:
            content = values.load(path)
        except (BadFile, OSError):
            continue
        readable = True
        kind = json_formats.recognise(content)
        if isinstance(content, Mapping):
            return bool(
                {"people", "bodies", "instances", "pose_landmarks", "landmarks", "poseLandmarks"} & set(content)
            )
        if content:
            first = content[0] if isinstance(content, list) else None
            alone = kind in ("yolo", "mediapipe") and not isinstance(first, list) and json_formats.single_frame(content)
            return alone or (kind == "mmpose" and "keypoints" in (first or {}))
    return readable and len(series) > 1


def parse(unit: Unit, chosen: str, layout: Layout | None = None) -> Parsed:
    """Read the files of a unit; `chosen` is a format's name, or auto; `layout` is what the user says, or None.

    Raises:
        BadFile: none of them can be read, or not as the chosen format; of a file of several videos, each is left out.
    """
    suffix = unit.files[0].suffix.lower()
    if suffix == ".npz":
        name = "detectron" if other_formats.is_detectron(unit.files[0]) else "videopose3d"
        with _as_written(_allowed(name, chosen)):
            return Parsed(name, tuple(other_formats.npz_videos(unit.files[0])), ())
    if suffix == ".csv":
        _allowed("csv", "csv" if chosen == "mediapipe" else chosen)
        with _as_written("csv"):
            video = tables.csv(unit.files[0], layout)
        return Parsed("mediapipe" if video.layout == "mediapipe_33" else "csv", (video,), ())
    if unit.frames is not None:
        return _frames(unit, chosen)
    if suffix == ".txt":
        return Parsed("yolo", (_read(unit.files[0], chosen)[1],), ())
    return _several(unit.files[0], chosen)


def _several(path: Path, chosen: str) -> Parsed:
    """The videos of a file of JSON."""
    content = values.load(path)
    name = _format(content, chosen)
    videos, bad = [], []
    with _as_written(name):
        parts = [*by_video(content)] if name in ("alphapose", "coco") else [("", content)]
    for video, part in parts:
        try:
            videos.append(_detections(part, name)._replace(name=video))
        except BadFile as error:
            if len(parts) == 1:
                raise
            bad.append(LeftOut(path, error, video))
    return Parsed(name, tuple(videos), tuple(bad))


def _frames(unit: Unit, chosen: str) -> Parsed:
    assert unit.frames is not None
    parts, numbers, bad, names = [], [], [], []
    for path, number in zip(unit.files, unit.frames, strict=True):
        try:
            name, part = _read(path, chosen)
        except BadFile as error:
            bad.append(LeftOut(path, error))
            continue
        except OSError as error:
            bad.append(LeftOut(path, BadFile(error.strerror or str(error))))
            continue
        parts.append(part)
        numbers.append(number)
        if len(part.points):
            names.append(name)
    if not parts:
        raise bad[0].error
    return Parsed(names[0] if names else "", (joined(parts, numbers),), tuple(bad))


def _read(path: Path, chosen: str) -> tuple[str, Detections]:
    if path.suffix.lower() == ".txt":
        with _as_written("yolo"):
            return _allowed("yolo", chosen), other_formats.yolo_text(path)
    content = values.load(path)
    name = _format(content, chosen)
    return name, _detections(content, name)


def of_json(content: Any, chosen: str) -> Detections:
    """What the content of one JSON file holds; `chosen` as for `parse`.

    Raises:
        BadFile: it is in no known format, or not in the chosen one.
    """
    return _detections(content, _format(content, chosen))


def _format(content: Any, chosen: str) -> str:
    """The format of JSON; of an empty list, in which nobody was detected, it is none."""
    name = json_formats.recognise(content) if chosen == "auto" else chosen
    if name is None and content != []:
        raise BadFile(f"in no known format: {', '.join(FORMATS)}")
    if name is not None and name not in JSON_FORMATS:
        raise BadFile(f"JSON, which is not {name}")
    return name or ""


def _detections(content: Any, name: str) -> Detections:
    with _as_written(name):
        return JSON_FORMATS[name or "yolo"](content)


@contextlib.contextmanager
def _as_written(name: str) -> Iterator[None]:
    """Turn what a file in another form than expected makes of its reader into a line about the file."""
    try:
        yield
    except BadFile:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        what = " ".join(str(error).split())[:60]
        raise BadFile(f"not as {name} writes it ({type(error).__name__}: {what})") from None


def _allowed(name: str, chosen: str) -> str:
    if chosen not in ("auto", name):
        raise BadFile(f"{name}, and data.keypoints says {chosen}")
    return name
