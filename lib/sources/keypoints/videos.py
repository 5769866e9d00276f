"""Videos that can be used, of the files that hold them, and what is left out and why."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.pose.cameras import UNNAMED
from lib.pose.layout import Layout
from lib.pose.layouts import layout_named
from lib.sources.base import Dropped, SourceParams
from lib.sources.keypoints.detections import Array, BadFile, Detections
from lib.sources.keypoints.formats import Unit, parse
from lib.sources.keypoints.layout import body_part, find_layout
from lib.sources.names import about_file, plain_name

RARELY = 1 / 3  # of the frames from a person's first to the last: who is seen in fewer is mostly nobody
FEW = 10  # frames, of which a common distance may be chance
_MOST_PEOPLE = 4  # who take turns in a file that does not tell frames apart
_NEAR = 0.25  # of a person's height: people who stand beside each other are further apart


class Video(NamedTuple):
    """A video that can be used: what its files say, and which keypoints they have."""

    subject: str
    action: str
    detections: Detections
    layout: Layout
    format: str

    @property
    def name(self) -> str:
        """Of subject and action; no two videos that are told apart have the same."""
        return self.action if self.action == self.subject else f"{self.subject}/{self.action}"


class Report(NamedTuple):
    """What is left out, and why, and what is doubtful."""

    dropped: list[Dropped]
    bad: list[str]  # a line each
    doubts: list[str]  # of what is not left out: a line each


def videos_of(unit: Unit, raw: Path, params: SourceParams, said: Layout | None, report: Report) -> Iterable[Video]:
    """The videos of a unit that can be used."""
    where = unit.files[0] if unit.frames is None else unit.files[0].parent
    subject, action = _names(unit, "")
    try:
        parsed = parse(unit, params.keypoints, said)
    except OSError as error:
        leave_out(report, (subject, action), where, BadFile(error.strerror or str(error)), 0)
        return
    except BadFile as error:
        leave_out(report, (subject, action), where, error, 0)
        return
    for path, bad, name in parsed.bad:
        leave_out(report, _names(unit, name), f"{path}: {name}" if name else path, bad, 1)
    for video in parsed.videos:
        names = _names(unit, video.name)
        try:
            yield _usable(video, names, parsed.format, raw, said, params)
        except BadFile as error:
            leave_out(report, names, where, error, video.length)


def _names(unit: Unit, name: str) -> tuple[str, str]:
    """Subject and action of a video: its first folder, and what is left of its path."""
    parts = [*unit.folder.parts, unit.name]
    if name and name != unit.name:
        parts.append(name)
    parts = [plain_name(part, "_")[:100] for part in parts]
    return parts[0], "_".join(parts[1:])[:100] or parts[0]


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
    if frame[0] == frame[-1] and _one_after_the_other(points):
        raise BadFile(
            f"frames cannot be told apart: its {len(frame)} poses are all of one frame, as somebody's who moves: give "
            "each frame an image_id or a number of its own",
            "unreadable",
        )
    points[..., 2] = _confidence(points[..., 2])
    video = video._replace(points=points, frame=frame, person=person)
    stated = layout_named(video.layout, raw) if video.layout is not None else None
    return Video(*names, video, find_layout(points, said or stated), name)


def _step(frame: Array) -> int:
    """How far apart the frames that show somebody are: what all distances are multiples of; 1 of few frames."""
    numbers = np.unique(frame)
    return int(np.gcd.reduce(np.diff(numbers))) if len(numbers) >= FEW else 1


def _one_after_the_other(points: Array) -> bool:
    """Whether poses are about where others before them are, as no several people in one picture."""
    if len(points) < FEW:
        return False
    middle = np.nanmean(points[..., :2], axis=1)
    extent = np.nanmedian(np.nanmax(points[..., 1], axis=1) - np.nanmin(points[..., 1], axis=1))
    steps = [np.median(np.linalg.norm(middle[lag:] - middle[:-lag], axis=-1)) for lag in range(1, _MOST_PEOPLE + 1)]
    return bool(min(steps) < _NEAR * extent)


def _confidence(values: Array) -> Array:
    """From 0 to 1; what is above 1 now and then is as sure as can be, and what always is has another unit."""
    top = float(np.quantile(values[values > 0], 0.99)) if (values > 0).any() else 1.0
    scaled: Array = np.clip(values / (top if top > 2 else 1.0), 0.0, 1.0)
    return scaled


def told_apart(videos: Sequence[Video]) -> list[Video]:
    """The videos with a number behind the second name of two that are alike, as `walk.json` and `walk.csv` give."""
    taken: set[tuple[str, str]] = set()
    renamed = []
    for video in videos:
        names = chain((video.action,), (f"{video.action}_{number}" for number in count(2)))
        action = next(name for name in names if (video.subject, name) not in taken)
        taken.add((video.subject, action))
        renamed.append(video._replace(action=action))
    return renamed


def leave_out(report: Report, names: tuple[str, str], where: Path | str, error: BadFile, frames: int) -> None:
    """Name a file or a video, by its subject and action, and why it is left out."""
    report.bad.append(about_file(where, error))
    report.dropped.append(Dropped(*names, UNNAMED, frames, error.reason))


def one_layout(videos: Sequence[Video], report: Report) -> list[Video]:
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
            leave_out(report, video[:2], f"{video.subject}/{video.action}", error, video.detections.length)
    return [video for video in videos if video.layout == layout]
