"""A folder of detector output: files or folders, one video each, of any detector, without 3D.

`data/raw/keypoints/ann/walk.json` is the video `walk` of the subject `ann`, and so is the folder of frames
`data/raw/keypoints/ann/walk/`; what lies in no folder is a subject of its own. What cannot be used is left out and
counted. All videos have one layout: that of most frames.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lib.pose.cameras import Camera, assumed_camera
from lib.pose.layouts import Layout, layout_named
from lib.runtime.errors import UserError
from lib.sources.base import Dropped, PoseSequence, Reason, SourceData, SourceParams
from lib.sources.keypoints.detections import Array, BadFile, Detections
from lib.sources.keypoints.formats import FORMATS, SUFFIXES, Unit, parse, units
from lib.sources.keypoints.layout import body_part, find_layout, upright
from lib.sources.keypoints.tracking import LOST_SECONDS, given, track

CAMERA = "camera"  # nothing tells one from another
RARELY = 1 / 3  # of the frames from a person's first to the last: who is seen in fewer is mostly nobody
FEW = 10  # frames, of which a common distance may be chance
SHOWN = 5  # files that a message names
# Width and height of usual pictures: where no file says the size, the smallest that holds what is seen.
USUAL = (
    (640, 360),
    (640, 480),
    (854, 480),
    (960, 540),
    (1280, 720),
    (1920, 1080),
    (2560, 1440),
    (3840, 2160),
    (7680, 4320),
)
_OUTSIDE = 0.002  # of the keypoints, which may lie beyond the picture
_MANY = 0.2  # of the keypoints: when more lie beyond the picture, its size is doubtful
_SHARES = 1.5  # coordinates below this are no pixels
_CONSTANT = 0.7  # length of the mean unit vector to people's heads, from which on a video has a direction of its own
_SIDEWAYS = 0.5  # of it that points up, below which people lie


class Video(NamedTuple):
    """A video that can be used: what its files say, and which keypoints they have."""

    subject: str
    action: str
    detections: Detections
    layout: Layout
    format: str


class Report(NamedTuple):
    """What is left out, and why, and what is doubtful."""

    dropped: list[Dropped]
    bad: list[str]  # a line each
    doubts: list[str]  # of what is not left out: a line each


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
    videos = _told_apart([video for unit in found for video in _videos(unit, raw, params, said, report)])
    videos, layout = _one_layout(videos, report)
    videos, size, inferred = _sized(videos, params, report)
    sequences, people = [], 0
    for video in _standing(videos, params, report):
        some, count = _sequences(video, size, params, report)
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


def _names(unit: Unit, name: str) -> tuple[str, str]:
    """Subject and action of a video: its first folder, and what is left of its path."""
    parts = [*unit.folder.parts, unit.name]
    if name and name != unit.name:
        parts.append(name)
    parts = [re.sub(r"[\s,/]+", "_", part)[:100] for part in parts]
    return parts[0], "_".join(parts[1:])[:100] or parts[0]


def _videos(unit: Unit, raw: Path, params: SourceParams, said: Layout | None, report: Report) -> Iterable[Video]:
    """The videos of a unit that can be used."""
    where = unit.files[0] if unit.frames is None else unit.files[0].parent
    subject, action = _names(unit, "")
    try:
        parsed = parse(unit, params.keypoints, said)
    except OSError as error:
        _leave_out(report, (subject, action), where, BadFile(error.strerror or str(error)), 0)
        return
    except BadFile as error:
        _leave_out(report, (subject, action), where, error, 0)
        return
    for path, bad in parsed.bad:
        _leave_out(report, (subject, action), path, bad, 1)
    for video in parsed.videos:
        names = _names(unit, video.name)
        try:
            yield _usable(video, names, parsed.format, raw, said, params)
        except BadFile as error:
            _leave_out(report, names, where, error, video.length)


def _told_apart(videos: Sequence[Video]) -> list[Video]:
    """The videos with a number behind the second name of two that are alike, as `walk.json` and `walk.csv` give."""
    taken: set[tuple[str, str]] = set()
    renamed = []
    for video in videos:
        names = (video.action, *(f"{video.action}_{number}" for number in range(2, len(videos) + 2)))
        action = next(name for name in names if (video.subject, name) not in taken)
        taken.add((video.subject, action))
        renamed.append(video._replace(action=action))
    return renamed


def _usable(
    video: Detections, names: tuple[str, str], name: str, raw: Path, said: Layout | None, params: SourceParams
) -> Video:
    seen = video.points[..., 2] > 0
    shown = seen.any(-1)
    if not shown.any():
        raise BadFile("nobody was detected", "no_2d")
    order = np.argsort(video.frame[shown], kind="stable")
    person = None if video.person is None else video.person[shown][order]
    points, frame = body_part(video.points[shown][order]), video.frame[shown][order]
    if params.min_frames > 1 and (step := _step(frame)) > 1 / RARELY:
        raise BadFile(
            f"its frames are numbered {step} apart, so that too few lie beside each other: number them one by one, and "
            "say how many there are a second (data.fps)",
            "rarely_seen",
        )
    points[..., 2] = _confidence(points[..., 2])
    video = video._replace(points=points, frame=frame, person=person)
    stated = layout_named(video.layout, raw) if video.layout is not None else None
    return Video(*names, video, find_layout(points, said or stated), name)


def _step(frame: Array) -> int:
    """How far apart the frames that show somebody are: what all distances are multiples of; 1 of few frames."""
    numbers = np.unique(frame)
    return int(np.gcd.reduce(np.diff(numbers))) if len(numbers) >= FEW else 1


def _confidence(values: Array) -> Array:
    """From 0 to 1; what is above 1 now and then is as sure as can be, and what always is has another unit."""
    top = float(np.quantile(values[values > 0], 0.99)) if (values > 0).any() else 1.0
    scaled: Array = np.clip(values / (top if top > 2 else 1.0), 0.0, 1.0)
    return scaled


def _leave_out(report: Report, names: tuple[str, str], where: Path | str, error: BadFile, frames: int) -> None:
    report.bad.append(f"{where}: {error}")
    report.dropped.append(Dropped(*names, CAMERA, frames, error.reason))  # type: ignore[arg-type]


def _one_layout(videos: Sequence[Video], report: Report) -> tuple[list[Video], Layout]:
    """The videos in the layout of most frames."""
    frames: Counter[Layout] = Counter()
    for video in videos:
        frames[video.layout] += len(video.detections.frame)
    layout = frames.most_common(1)[0][0] if frames else layout_named("coco")
    for video in videos:
        if video.layout != layout:
            error = BadFile(
                f"keypoints of {video.layout.name}; most have {layout.name}: pre-train on them apart", "other_layout"
            )
            _leave_out(report, video[:2], f"{video.subject}/{video.action}", error, video.detections.length)
    return [video for video in videos if video.layout == layout], layout


def _sized(videos: Sequence[Video], params: SourceParams, report: Report) -> tuple[list[Video], tuple[int, int], bool]:
    """The videos in pixels, the size of pictures of those that do not say it, and whether that was inferred."""
    kept = []
    for video in videos:
        found = video.detections
        size = found.size or (None if params.size == "auto" else params.size)
        least = np.nanquantile(np.abs(found.points[..., :2]), 0.98) < _SHARES
        if least and (found.points[..., :2] < 0).mean() > 0.1:
            error = BadFile("coordinates from -1 to 1 are no pixels: give keypoints in pixels", "not_pixels")
        elif least and not found.shares and video.format != "yolo":
            error = BadFile("coordinates from 0 to 1 are no pixels: give keypoints in pixels", "not_pixels")
        elif least and size is None:
            error = BadFile("shares of the picture, whose size nobody says: say data.size=[WIDTH,HEIGHT]", "not_pixels")
        else:
            if least and size is not None:
                found.points[..., :2] *= np.array(size, np.float32)
            kept.append(video)
            continue
        _leave_out(report, video[:2], f"{video.subject}/{video.action}", error, found.length)
    unsized = [video for video in kept if video.detections.size is None]
    usual, inferred = (_infer_size(unsized), bool(unsized)) if params.size == "auto" else (params.size, False)
    for video in kept:
        width, height = video.detections.size or usual
        if (beyond := _beyond(video.detections.points, (width, height))) > _MANY:
            report.doubts.append(
                f"{video.subject}/{video.action}: {100 * beyond:.0f} % of the keypoints are outside its pictures of "
                f"{width} x {height}: look at data.size, and at what the files say"
            )
    return kept, usual, inferred


def _beyond(points: Array, size: tuple[int, int]) -> float:
    """The share of the keypoints that are seen beyond the picture's edges."""
    places = points[points[..., 2] > 0, :2]
    return float(((places < 0) | (places > np.array(size))).any(-1).mean())


def _infer_size(videos: Sequence[Video]) -> tuple[int, int]:
    """The smallest usual picture, upright or not, that holds the keypoints of all videos."""
    if not videos:
        return USUAL[0]
    places = np.concatenate([video.detections.points[..., :2].reshape(-1, 2) for video in videos])
    right, low = np.nanquantile(places, 1 - _OUTSIDE, axis=0)
    both = [*USUAL, *((height, width) for width, height in USUAL)]
    holding = [size for size in both if right <= size[0] and low <= size[1]]
    if not holding:
        return int(np.ceil(right)), int(np.ceil(low))
    return min(holding, key=lambda size: size[0] * size[1])


def _standing(videos: Sequence[Video], params: SourceParams, report: Report) -> Iterable[Video]:
    """The videos in which people are not always on their sides or heads, unless the user says how they are turned."""
    for video in videos:
        right, up = upright(video.detections.points, video.layout)
        for _ in range(0 if params.rotate == "auto" else params.rotate // 90):
            right, up = up, -right
        if np.hypot(right, up) < _CONSTANT or up > _SIDEWAYS or params.rotate == 0:
            yield video
            continue
        if params.rotate != "auto":
            what = "upside down" if up < -_SIDEWAYS else "on their sides"
            name = f"{video.subject}/{video.action}"
            report.doubts.append(f"{name}: people are {what} after data.rotate={params.rotate}, which turns all videos")
            yield video
            continue
        what = "upside down (is y upwards?)" if up < -_SIDEWAYS else "on their sides (are x and y exchanged?)"
        error = BadFile(
            f"people are {what}: if the camera is mounted so, say data.rotate=90, 180 or 270, and if they lie, 0",
            "sideways",
        )
        _leave_out(report, video[:2], f"{video.subject}/{video.action}", error, video.detections.length)


def _rotated(points: Array, size: tuple[int, int], degrees: int) -> tuple[Array, tuple[int, int]]:
    """Keypoints in the picture turned clockwise, and its size."""
    x, y, confidence = points[..., 0], points[..., 1], points[..., 2]
    width, height = size
    turned = {
        0: (x, y, size),
        90: (height - y, x, (height, width)),
        180: (width - x, height - y, size),
        270: (y, width - x, (height, width)),
    }[degrees]
    return np.stack([turned[0], turned[1], confidence], -1), turned[2]


def _sequences(
    video: Video, size: tuple[int, int], params: SourceParams, report: Report
) -> tuple[list[PoseSequence], int]:
    """The sequences of the people of a video that are chosen, and how many people there are."""
    found, fps = video.detections, video.detections.fps or params.fps
    points, size = _rotated(found.points, found.size or size, 0 if params.rotate == "auto" else params.rotate)
    frame, person = found.frame, found.person
    if person is not None and len(np.unique(person)) > 1:
        kept = given(points, frame, person)
        points, frame, person = points[kept], frame[kept], person[kept]
    else:
        person = track(points, frame, fps)
    order = np.lexsort((frame, person))
    new = np.diff(person[order]) != 0
    gap = np.diff(frame[order]) > max(1.0, LOST_SECONDS * fps)
    parts = np.split(order, np.flatnonzero(new | gap) + 1)
    people = np.unique(person)
    shown = Counter(person.tolist())
    wanted = {
        "all": set(people.tolist()),
        "longest": {shown.most_common(1)[0][0]},
    }.get(str(params.people), {params.people})
    camera = assumed_camera(size, CAMERA)
    sequences, takes = [], Counter[int]()
    for part in parts:
        number = int(person[part[0]])
        takes[number] += 1
        action = video.action if len(people) == 1 else f"{video.action}_p{number}"
        action += f" {takes[number]}" if takes[number] > 1 else ""
        length = int(frame[part[-1]] - frame[part[0]]) + 1
        unfit: Reason | None = "not_chosen" if number not in wanted else None
        if unfit is None and len(part) < RARELY * length:
            unfit = "rarely_seen"
        if unfit is not None:
            report.dropped.append(Dropped(video.subject, action, CAMERA, length, unfit))
            continue
        sequences.append(_sequence(video, action, camera, fps, points[part], frame[part]))
    return sequences, len(people)


def _sequence(video: Video, action: str, camera: Camera, fps: float, points: Array, frame: Array) -> PoseSequence:
    """A person's frames from the first to the last, not a number in those without the person."""
    length = int(frame[-1] - frame[0]) + 1
    whole = np.full((length, points.shape[1], 3), np.nan, np.float32)
    whole[..., 2] = 0.0
    whole[frame - frame[0]] = points
    tensor = torch.from_numpy(whole)
    return PoseSequence(
        subject=video.subject,
        action=action,
        camera=camera,
        fps=float(fps),
        keypoints=tensor[..., :2].contiguous(),
        confidence=tensor[..., 2].contiguous(),
        positions=None,
        group=video.action,
    )
