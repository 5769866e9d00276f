"""What a trained model is given to lift: videos, folders of pictures, and keypoints of any detector."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from lib.detection.blazepose import BlazePose
from lib.pose.cameras import assumption
from lib.pose.layout import Layout
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.files import require_file
from lib.runtime.params import validated
from lib.sources.base import PoseSequence, SourceData, SourceParams
from lib.sources.cameras import with_cameras
from lib.sources.keypoints.directions import turned, upright
from lib.sources.keypoints.formats import FORMATS, SUFFIXES, Unit, units
from lib.sources.keypoints.read import LEFT_OUT, read_folder_or_file
from lib.sources.videos import LAYOUT, find_videos, open_video, read_video
from lib.sources.videos import SUFFIXES as VIDEO_SUFFIXES

MOMENT = 0.4  # seconds: who is seen for less, beside somebody who stays, is mostly nobody
MOST_PEOPLE = 4  # that are looked for in a video
Person = Literal["all", "longest"] | int


class Given(NamedTuple):
    """What the files do not say, and what is wanted of them; as the params of `data` of the same names."""

    keypoints: str = "auto"
    layout: str = "auto"
    camera: Path | None = None  # a YAML file of cameras; None: assumed
    fps: float = 30.0
    fps_given: bool = False  # whether somebody said it
    size: Literal["auto"] | tuple[int, int] = "auto"
    rotate: Literal["auto", 0, 90, 180, 270] = "auto"
    person: Person | None = None  # None: all of keypoints, and the largest of a video

    @property
    def params(self) -> SourceParams:
        """For readers of keypoints; nothing is dropped for being short. Raises UserError where they are none."""
        content = {
            "source": "keypoints",
            "keypoints": self.keypoints,
            "layout": self.layout,
            "cameras": "auto" if self.camera is None else str(self.camera.resolve()),  # says how large pictures are
            "fps": self.fps,
            "size": self.size if self.size == "auto" else [*self.size],
            "rotate": self.rotate,
            "people": "all" if self.person is None else self.person,
            "split": "auto",
            "min_frames": 1,
            "virtual_cameras": {"count": 1, "elevation_deg": (0, 0), "distance_m": (5, 5), "fov_deg": 50, "seed": 0},
        }
        try:
            return validated(SourceParams, content, "data")
        except UserError as error:
            raise UserError(as_options(str(error))) from None


class Read(NamedTuple):
    """What an input holds, or a part of it; no sequences, if there is only something to say of it."""

    sequences: Sequence[PoseSequence]
    layout: Layout
    video: Path | None = None  # that the keypoints were detected in
    notes: tuple[str, ...] = ()  # what the user should know: a line each
    left_out: tuple[str, ...] = ()  # what cannot be used, and why: a line each


def check_given(given: Given) -> None:
    """Refuse what cannot be given, and a file of cameras that is not there; raises UserError."""
    if given.keypoints not in ("auto", *FORMATS):
        raise UserError(f"no format of keypoints is named {given.keypoints!r}: choose of auto, {', '.join(FORMATS)}")
    if given.camera is not None:
        require_file(given.camera, "name a YAML file of cameras (--camera)")
    _ = given.params


def read_input(path: Path, given: Given, detector: Callable[[], BlazePose], console: Console) -> Iterator[Read]:
    """Read an input; `detector` is called if it is a video or a folder of some, or of pictures.

    Of several videos, those that cannot be used are left out, and said.

    Raises:
        UserError: it is missing, or holds nothing that can be used.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: name a video, or a file or folder of keypoints")
    if videos := find_videos(path):
        if given.rotate != "auto":
            raise UserError(f"--rotate turns keypoints of files, and {path} is pictures: turn these upright yourself")
        yield from _read_videos(path, videos, given, detector, console)
        return
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        known = ", ".join((*VIDEO_SUFFIXES, *SUFFIXES))
        raise UserError(f"{path} is neither a video nor a file of keypoints that is known by its name ({known})")
    for read in _read_keypoints(path, given, console):
        yield _before_camera(read, given)


def _read_keypoints(path: Path, given: Given, console: Console) -> Iterator[Read]:
    def track(found: Sequence[Unit]) -> Iterator[Unit]:
        return console.track(found, f"reading {path}", len(found))

    try:
        found = read_folder_or_file(path, given.params, track)
    except UserError as error:
        if path.is_dir() and not any(True for _ in units(path)):
            known = ", ".join((*VIDEO_SUFFIXES, *SUFFIXES))
            raise UserError(f"{path} holds neither videos nor pictures nor files of keypoints ({known})") from None
        raise UserError(as_options(str(error))) from None
    for source in found:
        left_out = tuple(as_options(note) for note in source.notes if note.startswith(LEFT_OUT))
        notes = tuple(as_options(note) for note in source.notes if not note.startswith(LEFT_OUT))
        if not given.fps_given:
            notes += (f"where files do not say it, there are {given.fps:g} frames a second: say --fps if not",)
        assert source.layout is not None
        kept, brief = _lasting(source.sequences) if given.person is None else (source.sequences, ())
        yield Read(kept, source.layout, None, (*notes, *brief), left_out)


def _lasting(sequences: Sequence[PoseSequence]) -> tuple[list[PoseSequence], list[str]]:
    """Without whom detectors take for a person for a moment, beside somebody who stays; and a line on each of them."""
    longest: dict[str, float] = {}
    for one in sequences:
        longest[one.group] = max(longest.get(one.group, 0.0), len(one.keypoints) / one.rate)
    kept, notes = list[PoseSequence](), list[str]()
    for one in sequences:
        seconds = len(one.keypoints) / one.rate
        if seconds >= min(MOMENT, longest[one.group]):
            kept.append(one)
        else:
            who = f"{one.group}: person {one.person}"
            notes.append(f"{who} is there for {seconds:.2f} seconds and is not lifted: say --person all")
    return kept, notes


def _read_videos(
    path: Path, videos: Sequence[Path], given: Given, detector: Callable[[], BlazePose], console: Console
) -> Iterator[Read]:
    wrong = {video: _wrong(video, given.fps) for video in videos}
    if len(videos) == 1 and (error := wrong[videos[0]]) is not None:
        raise error
    blazepose = detector() if not all(wrong.values()) else None  # it may have to be fetched
    if path.is_dir() and (others := sum(len(unit.files) for unit in units(path))):
        note = f"{path}: its videos or pictures are lifted, and not the files of keypoints ({others}): name these"
        yield Read((), LAYOUT, notes=(note,))
    people = 1 if given.person is None else MOST_PEOPLE
    for video in videos:
        if (error := wrong[video]) is not None or blazepose is None:
            yield Read((), LAYOUT, left_out=(f"{LEFT_OUT}{error}",))
            continue
        console.announce(f"detecting people in {video}")
        try:
            found = read_video(video, blazepose, people, given.fps, console)
            kept, brief = _lasting(found.sequences) if given.person is None else (_chosen(found, video, given), ())
            assumed = (f"pictures are taken to be {given.fps:g} a second: say --fps if not",)
            notes = (*(assumed if video.is_dir() and not given.fps_given else ()), *brief, *_turned(video, kept))
            yield _before_camera(Read(kept, LAYOUT, video, notes), given)
        except UserError as error:
            if len(videos) == 1:
                raise
            yield Read((), LAYOUT, left_out=(f"{LEFT_OUT}{error}",))


def _turned(video: Path, sequences: Sequence[PoseSequence]) -> Iterator[str]:
    """That a video seems to be filmed sideways or upside down."""
    for one in sequences:
        points = torch.cat([one.keypoints, one.confidence[..., None]], -1).masked_fill(
            one.confidence[..., None] <= 0, torch.nan
        )
        if what := turned(*upright(points.numpy(), LAYOUT)):
            yield f"{video}: people are {what}, all the time: if it was filmed so, turn it upright and lift it again"
            return


def _wrong(video: Path, fps: float) -> UserError | None:
    """Why a video cannot be read, if its first frame says so."""
    try:
        open_video(video, fps)
    except UserError as error:
        return error
    return None


def as_options(text: str) -> str:
    """What a reader says of params, as options of a command."""
    text = re.sub(r"params\.yaml: data\.size = \[(\d+), (\d+)\]", r"--size \1 \2", text)
    text = re.sub(r"params\.yaml: data\.(\w+) = ", r"data.\1=", text).replace("data.people=", "--person ")
    text = text.replace("data.size=[WIDTH,HEIGHT]", "--size WIDTH HEIGHT").replace("data.cameras", "--camera FILE")
    text = text.replace("data.people", "--person").replace("; data/processed/stats.json counts them", "")
    text = text.replace("say data.size=auto", "leave --size out")
    text = re.sub(r"\bdata\.(layout|size|fps|rotate|keypoints)=", r"--\1 ", text)
    return re.sub(r"\bdata\.(layout|size|fps|rotate|keypoints)\b", r"--\1", text)


def _before_camera(read: Read, given: Given) -> Read:
    """Before the camera that is given; else what is assumed of it is said."""
    if given.camera is None:
        assumed = {as_options(assumption(one.camera)): None for one in read.sequences if one.camera.assumed}
        return read._replace(notes=(*read.notes, *assumed))
    return read._replace(sequences=with_cameras(read.sequences, str(given.camera.resolve()), Path()))


def _chosen(found: SourceData, video: Path, given: Given) -> list[PoseSequence]:
    """The people of a video that are wanted."""
    there = found.sequences
    if given.person == "longest":
        return [max(there, key=lambda sequence: len(sequence.keypoints))]
    if not isinstance(given.person, int):
        return there
    wanted = [sequence for sequence in there if sequence.person == given.person]
    if not wanted:
        known = ", ".join(dict.fromkeys(str(sequence.person) for sequence in there))
        raise UserError(f"{video} has no person {given.person}: choose of {known} (--person)")
    return wanted
