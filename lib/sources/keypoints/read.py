"""A folder of detector output: files or folders, one video each, of any detector, without 3D.

`data/raw/keypoints/ann/walk.json` is the video `walk` of the subject `ann`, and so is the folder of frames
`data/raw/keypoints/ann/walk/`; what lies in no folder is a subject of its own. What cannot be used is left out and
counted. All videos have one layout: that of most frames.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lib.pose.layout import Layout
from lib.pose.layouts import layout_named
from lib.runtime.errors import UserError
from lib.sources.base import PoseSequence, SourceData, SourceParams
from lib.sources.keypoints.formats import FORMATS, SUFFIXES, Unit, units
from lib.sources.keypoints.people import sequences_of
from lib.sources.keypoints.pictures import described, sized, standing
from lib.sources.keypoints.videos import Report, Video, one_layout, told_apart, videos_of
from lib.sources.names import printable

SHOWN = 5  # files that a message names
LEFT_OUT = "left out: "  # what notes of what is not used begin with


def read(raw: Path, params: SourceParams) -> SourceData:
    """Read all videos below `raw` in the layout of most frames.

    Raises:
        UserError: there is none, or none can be used.
    """
    found = [*units(raw)] if raw.is_dir() else []
    if not found:
        raise UserError(
            f"{raw} has no files of keypoints ({', '.join(SUFFIXES)}): put a file or a folder of frames a video there"
        )
    report = Report([], [], [])
    videos = one_layout(_all_videos(found, raw, params, report), report)
    (source,) = _by_layout(raw, found, videos, params, report)
    return source


def read_folder_or_file(
    path: Path, params: SourceParams, track: Callable[[Sequence[Unit]], Iterable[Unit]] = iter
) -> list[SourceData]:
    """Read a file, or all videos below a folder, wherever it is: what there is in each layout, most frames first.

    `group` of a sequence is its video, by which no two are called alike, `person` the number of the person in it, and
    `first_frame` the number of its first frame, from 0 at the first of the video. What was left out, notes and counts
    are of all layouts, and stand in the first. Names of files in params are relative to the folder. `track` is given
    the files of all videos, and may show how many are read.

    Raises:
        UserError: there is nothing of keypoints, or nothing that can be used.
    """
    folder = path if path.is_dir() else path.parent
    found = [*units(path, path.resolve().name)] if path.is_dir() else [Unit(path.stem, Path(), (path,), None)]
    if not path.exists():
        raise UserError(f"{path} is missing: name a file of keypoints ({', '.join(SUFFIXES)}) or a folder of them")
    if not found or not path.is_dir() and path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} has no keypoints: name a file of them ({', '.join(SUFFIXES)}) or a folder of such")
    report = Report([], [], [])
    return _by_layout(path, found, _all_videos(track(found), folder, params, report), params, report)


def _all_videos(found: Iterable[Unit], raw: Path, params: SourceParams, report: Report) -> list[Video]:
    said = None if params.layout == "auto" else layout_named(params.layout, raw)
    videos = told_apart([video for unit in found for video in videos_of(unit, raw, params, said, report)])
    return described(videos, params, raw)


def _by_layout(
    where: Path, found: Sequence[Unit], videos: Sequence[Video], params: SourceParams, report: Report
) -> list[SourceData]:
    """The sequences of the videos of each layout, most frames first; what is said of all of them is in the first."""
    videos, size, inferred = sized(videos, params, report)
    sequences: dict[Layout, list[PoseSequence]] = {}
    people = 0
    for video in standing(videos, params, report):
        some, count = sequences_of(video, size, params, report)
        if some:
            sequences.setdefault(video.layout, []).extend(some)
        people += count
    if not sequences:
        count = max(len(found), len({dropped[:2] for dropped in report.dropped}))
        none = "" if count == 1 and where.is_file() and report.bad else f"none of {count} videos can be used: "
        raise UserError(f"{printable(where)}: {none}{_why(report, params, where)}")
    formats = Counter(video.format for video in videos)
    inputs = {
        "files": sum(len(unit.files) for unit in found),
        "videos": len(videos),
        "people": people,
        "video_frames": sum(video.detections.length for video in videos),
        **{f"videos_{name}": formats[name] for name in FORMATS},
    }
    notes = _notes(report, size if inferred else None)
    first, *others = sorted(sequences, key=lambda layout: -sum(len(s.keypoints) for s in sequences[layout]))
    names = [s.subject for some in sequences.values() for s in some] + [d.subject for d in report.dropped]
    subjects = tuple(dict.fromkeys(names))
    told = SourceData(sequences[first], report.dropped, subjects, layout=first, notes=notes, inputs=inputs)
    return [told, *(SourceData(sequences[layout], [], subjects, layout=layout) for layout in others)]


def _notes(report: Report, inferred: tuple[int, int] | None) -> tuple[str, ...]:
    """What is left out and what is doubtful, a line each."""
    notes = [LEFT_OUT + line for line in report.bad[:SHOWN]]
    if len(report.bad) > SHOWN:
        notes.append(f"{LEFT_OUT}{len(report.bad) - SHOWN} more; data/processed/stats.json counts them")
    notes += report.doubts[:SHOWN]
    if len(report.doubts) > SHOWN:
        notes.append(f"and {len(report.doubts) - SHOWN} more such videos")
    if inferred is not None:
        width, height = inferred
        notes.append(
            f"the size of the pictures is not in the files: {width} x {height} is taken, which holds the keypoints; "
            "say data.size=[WIDTH,HEIGHT] if you know better"
        )
    return tuple(notes)


def _why(report: Report, params: SourceParams, where: Path) -> str:
    """Why nothing is left; files are named as they are called within `where`."""
    if report.bad:
        more = f"; {len(report.bad) - SHOWN} more" if len(report.bad) > SHOWN else ""
        inside = re.compile(rf"^{re.escape(printable(where))}(/|: )")
        return "; ".join(inside.sub("", line) for line in report.bad[:SHOWN]) + more
    reasons = Counter(dropped.reason for dropped in report.dropped)
    if set(reasons) == {"not_chosen"}:
        return f"nobody is person {params.people} (data.people)"
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items())


def check(params: SourceParams) -> None:
    """Refuse a format that there is not.

    Raises:
        UserError: naming the key.
    """
    if params.keypoints not in ("auto", *FORMATS):
        raise UserError(
            f"params.yaml: data.keypoints = {params.keypoints!r}: must be auto or a format: {', '.join(FORMATS)}"
        )
