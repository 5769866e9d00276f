"""A folder of detector output: files or folders, one video each, of any detector, without 3D.

`data/raw/keypoints/ann/walk.json` is the video `walk` of the subject `ann`, and so is the folder of frames
`data/raw/keypoints/ann/walk/`; what lies in no folder is a subject of its own. What cannot be used is left out and
counted. All videos have one layout: that of most frames.
"""

from collections import Counter
from pathlib import Path

from lib.pose.layouts import layout_named
from lib.runtime.errors import UserError
from lib.sources.base import SourceData, SourceParams
from lib.sources.keypoints.formats import FORMATS, SUFFIXES, units
from lib.sources.keypoints.people import sequences_of
from lib.sources.keypoints.pictures import sized, standing
from lib.sources.keypoints.videos import Report, one_layout, told_apart, videos_of

SHOWN = 5  # files that a message names


def read(raw: Path, params: SourceParams) -> SourceData:
    """Read all videos below `raw`.

    Raises:
        UserError: there is none, or none can be used.
    """
    found = [*units(raw)] if raw.is_dir() else []
    if not found:
        raise UserError(
            f"{raw} has no files of keypoints ({', '.join(SUFFIXES)}): put a file or a folder of frames a video there"
        )
    report = Report([], [], [])
    said = None if params.layout == "auto" else layout_named(params.layout, raw)
    videos = told_apart([video for unit in found for video in videos_of(unit, raw, params, said, report)])
    videos, layout = one_layout(videos, report)
    videos, size, inferred = sized(videos, params, report)
    sequences, people = [], 0
    for video in standing(videos, params, report):
        some, count = sequences_of(video, size, params, report)
        sequences += some
        people += count
    if not sequences:
        raise UserError(f"{raw}: none of {len(found)} videos can be used: {_why(report, params)}")
    formats = Counter(video.format for video in videos)
    inputs = {
        "files": sum(len(unit.files) for unit in found),
        "videos": len(videos),
        "people": people,
        "video_frames": sum(video.detections.length for video in videos),
        **{f"videos_{name}": formats[name] for name in FORMATS},
    }
    notes = [f"left out: {line}" for line in report.bad[:SHOWN]]
    if len(report.bad) > SHOWN:
        notes.append(f"left out: {len(report.bad) - SHOWN} more; data/processed/stats.json counts them")
    notes += report.doubts[:SHOWN]
    if len(report.doubts) > SHOWN:
        notes.append(f"and {len(report.doubts) - SHOWN} more such videos")
    if inferred:
        notes.append(
            f"the size of the pictures is not in the files: {size[0]} x {size[1]} is taken, which holds the keypoints; "
            "say data.size=[WIDTH,HEIGHT] if you know better"
        )
    subjects = tuple(dict.fromkeys([s.subject for s in sequences] + [d.subject for d in report.dropped]))
    return SourceData(sequences, report.dropped, subjects, layout=layout, notes=tuple(notes), inputs=inputs)


def _why(report: Report, params: SourceParams) -> str:
    """Why nothing is left."""
    if report.bad:
        more = f"; {len(report.bad) - SHOWN} more" if len(report.bad) > SHOWN else ""
        return "; ".join(report.bad[:SHOWN]) + more
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
