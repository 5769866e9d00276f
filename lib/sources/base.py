"""What every source yields: one person's keypoints in one video, and the section of params that chooses a source."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args

from jaxtyping import Float
from pydantic import Field, WrapValidator, model_validator
from torch import Tensor

from lib.pose.camera_files import Pixels
from lib.pose.cameras import Camera
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT
from lib.runtime.errors import UserError
from lib.runtime.params import Name, Section

Subject = Annotated[
    str,
    Field(
        pattern=r"^[^\s,]+( [^\s,]+)*$",
        max_length=100,
        description="the name of a subject, in quotes if it is a number",
    ),
]


class SplitParams(Section):
    """Which subjects are for what; validation subjects are taken from the training subjects."""

    train: tuple[Subject, ...]
    validation: tuple[Subject, ...]
    test: tuple[Subject, ...]


class AutoSplit(SplitParams):
    """`data.split: auto`: the source's own split, or what there is, divided by subject or by video."""

    train: tuple[Subject, ...] = ()
    validation: tuple[Subject, ...] = ()
    test: tuple[Subject, ...] = ()


def _auto_or_named(value: Any, validate: Callable[[Any], SplitParams]) -> SplitParams:
    if value == "auto":
        return AutoSplit()
    if isinstance(value, Mapping):  # no longer JSON here, of which pydantic's strict mode takes lists for tuples
        value = {name: tuple(subjects) if isinstance(subjects, list) else subjects for name, subjects in value.items()}
    return validate(value)


Degrees = Annotated[float, Field(ge=-80, le=80)]
Metres = Annotated[float, Field(ge=1.5, le=100)]


class VirtualCameraParams(Section):
    """`data.virtual_cameras`: where cameras stand before whom motion capture is performed."""

    count: Annotated[int, Field(ge=1, le=64)]  # of every take; evenly around it
    elevation_deg: tuple[Degrees, Degrees]  # they look down by this: from, to
    distance_m: tuple[Metres, Metres]  # from the person where nearest: from, to
    fov_deg: Annotated[float, Field(ge=10, le=120)]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]  # another one places cameras, and draws noise, in another way

    @model_validator(mode="after")
    def _check(self) -> "VirtualCameraParams":
        for name in ("elevation_deg", "distance_m"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} = [{low:g}, {high:g}]: the first must not be above the second")
        return self


class SourceParams(Section):
    """`data`: the source, its 2D keypoints, the split, and which sequences are kept."""

    elsewhere: ClassVar[frozenset[str]] = frozenset({"window", "transforms", "occlusion", "loader"})

    source: Name  # one of lib.sources.catalog.SOURCES
    # auto, the source's usual ones; h36m reads data_2d_h36m_NAME.npz; the sample knows gt and noisy; of the source
    # keypoints, one of lib.sources.keypoints.formats.FORMATS
    keypoints: Name
    # what the keypoints mark: auto, as the source says; else one of lib.pose.layouts.LAYOUTS, or a YAML file
    layout: Annotated[str, Field(min_length=1, max_length=300, description="auto, a layout's name or a YAML file")]
    # auto, as the source says; assumed, by the pictures' sizes alone; else a YAML file (lib.pose.camera_files)
    cameras: Annotated[str, Field(min_length=1, max_length=300, description="auto, assumed or a YAML file")]
    # of the source keypoints alone:
    fps: Annotated[float, Field(gt=0, le=10_000)]  # where the files say nothing
    size: Annotated[
        Literal["auto"] | tuple[Pixels, Pixels], Field(description="auto, or a list of 2 numbers of pixels")
    ]  # width and height of the pictures where the files say nothing; auto: found from the keypoints
    rotate: Annotated[
        Literal["auto", 0, 90, 180, 270], Field(description="auto, 0, 90, 180 or 270")
    ]  # degrees clockwise; auto: not at all, and videos in which people lie on their sides are left out
    people: Annotated[
        Literal["all", "longest"] | Annotated[int, Field(ge=0, le=1_000_000_000)],
        Field(description="all, longest or the number of a person"),
    ]
    split: Annotated[
        SplitParams,
        WrapValidator(_auto_or_named),
        Field(description="auto, or a mapping with train, validation, test"),
    ]
    min_frames: Annotated[int, Field(ge=1, le=1_000_000)]  # shorter sequences are dropped
    virtual_cameras: VirtualCameraParams  # of sources without pictures

    @property
    def subjects(self) -> tuple[str, ...]:
        """All that the split names."""
        return (*self.split.train, *self.split.validation, *self.split.test)


EVERY = slice(None)


@dataclass(frozen=True)
class Recorded(ABC):
    """One person in one video; the arrays are here (`PoseSequence`) or are read when they are asked for (`Unread`)."""

    subject: str
    action: str
    camera: Camera
    fps: float

    @property
    @abstractmethod
    def frames(self) -> int:
        """How many there are."""

    @property
    @abstractmethod
    def labelled(self) -> bool:
        """Whether there is 3D."""

    @property
    def complete(self) -> bool:
        """Whether it is known, without reading them, that all frames have 3D."""
        return False

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.fps

    @property
    def timed(self) -> bool:
        """Whether frames have times of their own."""
        return False

    @property
    def video(self) -> str:
        """What sequences of the same video have in common."""
        return self.action

    @abstractmethod
    def read(self, frames: slice | Tensor = EVERY) -> "PoseSequence":
        """The arrays, of all frames or of some."""

    @abstractmethod
    def part(self, frames: slice) -> "Recorded":
        """Some frames in a row as a sequence of their own."""


@dataclass(frozen=True)
class PoseSequence(Recorded):
    """The keypoints of one person in one video, in its source's layout.

    `positions` are in metres in the camera frame; None where a source has no 3D, and not a number in frames that have
    none. `times` are for videos whose frames
    are not evenly spaced: the seconds at which each frame was taken, from any start. With them the rate of the sequence
    is that of its median distance between frames, whatever `fps` says, which counts for a single frame alone.

    Raises:
        UserError: there is not one time a frame, or times are not finite or do not increase.
    """

    keypoints: Float[Tensor, "frame joint 2"]  # pixels; not a number, or (0, 0): not detected
    confidence: Float[Tensor, "frame joint"]  # 0 to 1; 0: not detected
    positions: Float[Tensor, "frame joint 3"] | None
    times: Float[Tensor, " frame"] | None = None  # seconds, best in float64; None: constant rate `fps`
    group: str = ""  # the video, where several sequences are of one; the action is else
    person: int = 0  # the number of the person in the video
    first_frame: int = 0  # of the sequence in the video, which begins with 0

    def __post_init__(self) -> None:
        if self.times is not None and (problem := _problem(self.times, len(self.keypoints))):
            which = f"{self.subject}/{self.action}/{self.camera.name}"
            raise UserError(
                f"frame times of {which} {problem}: give each frame its time in seconds, later than the one before"
            )

    @property
    def rate(self) -> float:
        """Frames a second: `fps`, or that of the median distance between the frames' times."""
        if self.times is None or len(self.times) < 2:
            return self.fps
        return 1 / float(self.times.double().diff().quantile(0.5))

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.keypoints)

    @property
    def labelled(self) -> bool:
        """Whether there is 3D."""
        return self.positions is not None

    @property
    def timed(self) -> bool:
        """Whether frames have times of their own."""
        return self.times is not None

    @property
    def video(self) -> str:
        """What sequences of the same video have in common."""
        return self.group or self.action

    def read(self, frames: slice | Tensor = EVERY) -> "PoseSequence":
        """The arrays, of all frames or of some."""
        if isinstance(frames, slice) and frames == EVERY:
            return self
        positions, times = (None if part is None else part[frames] for part in (self.positions, self.times))
        keypoints, confidence = self.keypoints[frames], self.confidence[frames]
        return replace(self, keypoints=keypoints, confidence=confidence, positions=positions, times=times)

    def part(self, frames: slice) -> "PoseSequence":
        """Some frames in a row as a sequence of their own."""
        return replace(self.read(frames), first_frame=self.first_frame + frames.indices(self.frames)[0])


def _problem(times: Tensor, frames: int) -> str | None:
    """What is wrong with the times of so many frames."""
    if times.shape != (frames,):
        return f"are {times.numel()} for {frames} frames"
    if not (finite := times.isfinite()).all():
        return f"are not finite in {int((~finite).sum())} of {frames} frames"
    if (back := times.diff() <= 0).any():
        return f"do not increase at frame {int(back.float().argmax()) + 1}"
    return None


Reason = Literal[
    "no_2d",
    "no_3d",
    "shorter_than_mocap",
    "not_finite",
    "too_short",
    "unreadable",  # a file that is damaged or in no known format
    "unknown_layout",  # keypoints that are no body's in any known order
    "other_layout",  # than most of the source has
    "not_pixels",  # coordinates from 0 to 1 of which no picture's size is known, or far beyond any picture
    "rarely_seen",  # a person in fewer than a third of the frames, such as what a detector takes for one now and then
    "sideways",  # people lie, or x and y are exchanged
    "unknown_skeleton",  # of motion capture, whose joints have names that tell nothing, or those of the other side
    "not_chosen",  # by data.people
]
REASONS: tuple[Reason, ...] = get_args(Reason)


class Dropped(NamedTuple):
    """A sequence that is left out, and why."""

    subject: str
    action: str
    camera: str
    frames: int
    reason: Reason
    why: str = ""  # of a file that cannot be used: what is wrong with it


class SourceData(NamedTuple):
    """All that a source yields for the subjects that the split names."""

    recorded: Sequence[Recorded]
    dropped: list[Dropped]
    subjects: tuple[str, ...]  # those the source has, whether the split names them or not
    cut_frames: int = 0  # 2D frames after the end of their sequence's 3D
    layout: Layout = H36M_LAYOUT  # of all of its sequences
    notes: tuple[str, ...] = ()  # what the user should know: a line each
    inputs: Mapping[str, int] = {}  # counts of what came in, such as files and people

    @property
    def sequences(self) -> list[PoseSequence]:
        """All of them with their arrays, which are in memory then."""
        return [each.read() for each in self.recorded]


def action_name(action: str) -> str:
    """The action without its take number: 'Eating 2' is a take of 'Eating'; 'Walk1' is a name of its own.

    'Walking 1 chunk0' is a part of a take of 'Walking'.
    """
    return re.sub(r" \d+( chunk\d+)?$", "", action)
