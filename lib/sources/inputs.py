"""What a trained model is given to lift: videos, folders of pictures, and keypoints of any detector."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from lib.detection.blazepose import BlazePose
from lib.runtime.errors import UserError
from lib.sources.base import AutoSplit, SourceData, SourceParams, VirtualCameraParams
from lib.sources.cameras import with_cameras
from lib.sources.keypoints.formats import FORMATS, SUFFIXES
from lib.sources.keypoints.read import check, read_folder_or_file
from lib.sources.videos import SUFFIXES as VIDEO_SUFFIXES
from lib.sources.videos import find_videos, read_video

MOST_PEOPLE = 4  # that are looked for in a video
Person = Literal["all", "longest"] | int


class Given(NamedTuple):
    """What the files do not say, and what is wanted of them; as the params of `data` of the same names."""

    keypoints: str = "auto"
    layout: str = "auto"
    camera: Path | None = None  # a YAML file of cameras; None: assumed
    fps: float = 30.0
    size: Literal["auto"] | tuple[int, int] = "auto"
    rotate: Literal["auto", 0, 90, 180, 270] = "auto"
    person: Person | None = None  # None: all of keypoints, and the largest of a video

    @property
    def params(self) -> SourceParams:
        """For readers of keypoints; nothing is dropped for being short."""
        nobody = VirtualCameraParams(count=1, elevation_deg=(0, 0), distance_m=(5, 5), fov_deg=50, seed=0)
        return SourceParams(
            source="keypoints",
            keypoints=self.keypoints,
            layout=self.layout,
            cameras="auto",
            fps=self.fps,
            size=self.size,
            rotate=self.rotate,
            people="all" if self.person is None else self.person,
            split=AutoSplit(),
            min_frames=1,
            virtual_cameras=nobody,
        )


class Read(NamedTuple):
    """What an input holds."""

    source: SourceData
    video: Path | None = None  # that its keypoints were detected in


def check_given(given: Given) -> None:
    """Refuse a format that there is not, and a file of cameras that is not there; raises UserError."""
    if given.keypoints not in ("auto", *FORMATS):
        raise UserError(f"no format of keypoints is named {given.keypoints!r}: choose of auto, {', '.join(FORMATS)}")
    if given.camera is not None and not given.camera.is_file():
        raise UserError(f"{given.camera} is missing: name a YAML file of cameras")
    check(given.params)


def read_input(
    path: Path, given: Given, detector: Callable[[], BlazePose], announce: Callable[[str], None]
) -> Iterator[Read]:
    """Read an input; `detector` is called if it is a video or a folder of some, or of pictures.

    Raises:
        UserError: it is missing, or holds nothing that can be used.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: name a video, or a file or folder of keypoints")
    videos = find_videos(path)
    if not videos:
        if path.is_file() and path.suffix.lower() not in SUFFIXES:
            known = ", ".join((*VIDEO_SUFFIXES, *SUFFIXES))
            raise UserError(f"{path} is neither a video nor a file of keypoints that is known by its name ({known})")
        try:
            found = read_folder_or_file(path, given.params)
        except UserError as error:
            raise UserError(_as_options(str(error))) from None
        for source in found:
            notes = tuple(map(_as_options, source.notes))
            yield Read(_before_camera(source._replace(notes=notes), given))
        return
    for video in videos:
        announce(f"detecting people in {video}")
        people = 1 if given.person is None else MOST_PEOPLE
        yield Read(_before_camera(_chosen(read_video(video, detector(), people, given.fps), given), given), video)


def _as_options(text: str) -> str:
    """What a reader says of params, as options of a command."""
    text = text.replace("data.size=[WIDTH,HEIGHT]", "--size WIDTH HEIGHT").replace("data.cameras", "--camera")
    text = text.replace("data.people", "--person").replace("; data/processed/stats.json counts them", "")
    return (
        re.sub(r"\bdata\.(layout|size|fps|rotate|keypoints)\b=?", r"--\1 ", text).replace("  ", " ").replace(" )", ")")
    )


def _before_camera(source: SourceData, given: Given) -> SourceData:
    if given.camera is None:
        return source
    return source._replace(sequences=with_cameras(source.sequences, str(given.camera.resolve()), Path()))


def _chosen(source: SourceData, given: Given) -> SourceData:
    """The people of a video that are wanted."""
    there = source.sequences
    if given.person == "longest":
        there = [max(there, key=lambda sequence: len(sequence.keypoints))]
    elif isinstance(given.person, int):
        there = [sequence for sequence in there if sequence.person == given.person]
        if not there:
            known = ", ".join(str(sequence.person) for sequence in source.sequences)
            raise UserError(f"{source.subjects[0]} has no person {given.person}: choose of {known}")
    return source._replace(sequences=there)
