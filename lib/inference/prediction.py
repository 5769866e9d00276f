"""From the 2D of people in videos to their motions in metres, by a trained lifter."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lib.data.split import Split
from lib.data.store import split_of
from lib.detection.blazepose import BlazePose
from lib.inference.lifter import LiftedSplit, Lifter
from lib.inference.motion import Motion
from lib.inference.trajectory import SIZE_SECONDS, World, floor_height, planted, root_distances, world_rotation
from lib.inference.uprightness import Stance, stance, up_direction
from lib.models.lifters import Poses
from lib.pose.geometry import bone_lengths
from lib.pose.layout import Layout
from lib.pose.skeleton import H36M
from lib.prior.bodies import BONE_SEGMENTS, SEGMENTS
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.sequences.noise import smooth
from lib.sources.base import PoseSequence
from lib.sources.inputs import Given, read_input
from lib.sources.keypoints.read import LEFT_OUT

STATURE = 1.72  # metres, of the body in the tables of lib.prior.bodies
TABLED_SIZE = sum(list(SEGMENTS.values())[segment] for segment in BONE_SEGMENTS)  # metres, of all its bones
STRONG_SECONDS = 0.1  # standard deviation of the Gaussian of strong smoothing, which follows the default one
STRONG_SIZE_SECONDS = 0.4

Smoothing = Literal["off", "default", "strong"]


class Options(NamedTuple):
    """How motions are predicted."""

    batch_size: int = 4096  # windows at once
    world: bool = False  # upright, with feet on the floor; else in the camera frame
    height: float | None = None  # metres: how tall people are; None: as the prior's mean body
    smoothing: Smoothing = "default"  # over time


@dataclass(frozen=True)
class Who:
    """Whom a sequence of a split shows, and where it is from."""

    name: str  # of the video
    person: str
    first_frame: int = 0
    video: Path | None = None
    first_second: float | None = None  # None: as the frame rate says

    @classmethod
    def of(cls, sequence: PoseSequence, video: Path | None = None) -> "Who":
        """Of a source's sequence, whose times count from the start of its video, if it has any."""
        began = None if sequence.times is None else float(sequence.times[0])
        return cls(sequence.group or sequence.action, str(sequence.person), sequence.first_frame, video, began)


def predict_inputs(
    lifter_for: Callable[[Layout], Lifter],
    paths: Sequence[Path],
    given: Given,
    options: Options,
    detector: Callable[[], BlazePose],
    console: Console,
    leave_out: Callable[[str], None],
) -> list[list[Motion]]:
    """The people of each video of some inputs (`lib.sources.inputs`); `leave_out` gets a line on each that is bad.

    `lifter_for` gives what lifts keypoints of a layout.

    Raises:
        UserError: none can be used, or the lifter does not know a layout, or gives what is not finite.
    """
    motions, said = list[list[Motion]](), set[str]()
    for path in paths:
        try:
            for read in read_input(path, given, detector, console):
                for line in read.left_out:
                    leave_out(line)
                for line in read.notes:
                    if line not in said:
                        console.announce(line)
                said |= {*read.notes}
                lifter = lifter_for(read.layout)
                motions += _by_video(predict(lifter, read.sequences, read.layout, options, read.video, console))
        except UserError as error:
            if len(paths) == 1:
                raise
            leave_out(f"{LEFT_OUT}{error}")
    if not motions:
        raise UserError("nothing could be lifted: why is said above")
    return motions


def predict_test(lifter: Lifter, split: Split, options: Options, console: Console) -> list[list[Motion]]:
    """The sequences of the pipeline's test split, each a video of its own but for people who are in one together."""
    columns = (split.table[name] for name in ("subject", "action", "camera"))
    names, people = ["/".join(row) for row in zip(*columns, strict=True)], Counter[str]()
    who = list[Who]()
    for name in names:
        who.append(Who(name, str(people[name])))
        people[name] += 1
    return _by_video(predict_split(lifter, split, who, options, console))


def _by_video(motions: list[Motion]) -> list[list[Motion]]:
    return [list(group) for _, group in groupby(motions, key=lambda motion: motion.name)]


def predict(
    lifter: Lifter,
    sequences: Sequence[PoseSequence],
    layout: Layout,
    options: Options,
    video: Path | None = None,
    console: Console | None = None,
) -> list[Motion]:
    """The motions of the sequences of one layout, in their order; those of one video lie beside each other.

    Of a layout that the lifter does not know, it reads the keypoints that are those of one that it knows.

    Raises:
        UserError: the lifter knows no such layout, or gives what is not finite.
    """
    if not sequences:
        return []
    known, part = lifter.known(layout)
    if part is not None:
        if console is not None:
            console.announce(f"{layout.name} is not known to the model: its keypoints of {known.name} are lifted")
        sequences, layout = [_reduced(one, part) for one in sequences], known
    who = [Who.of(one, video) for one in sequences]
    return predict_split(lifter, split_of(sequences, layout), who, options, console)


def _reduced(sequence: PoseSequence, part: list[int]) -> PoseSequence:
    keypoints, confidence = sequence.keypoints[:, part], sequence.confidence[:, part]
    positions = None if sequence.positions is None else sequence.positions[:, part]
    return replace(sequence, keypoints=keypoints, confidence=confidence, positions=positions)


def predict_split(
    lifter: Lifter, split: Split, who: Sequence[Who], options: Options, console: Console | None = None
) -> list[Motion]:
    """The motions of a split's sequences, with true keypoints where it has positions.

    Windows are lifted in batches over all videos; what a whole recording says is found in each video alone, so that a
    video's result does not depend on what is beside it.

    Raises:
        UserError: the lifter does not know the layout, or gives what is not finite.
    """
    videos = list(_videos(split, who))
    measured = replace(split, positions=None).with_std(torch.cat([part.std for part, _, _ in videos]))
    motions: list[Motion] = []
    lifted = _lifted(lifter, measured, videos, options.batch_size)
    for (part, _, people), poses in lifted if console is None else console.track(lifted, "lifting", len(videos)):
        motions += _of_video(lifter, part, poses, people, options)
    return motions


Video = tuple[Split, Tensor, list[Who]]  # as a split, the numbers of its frames, and whom it shows


def _lifted(lifter: Lifter, split: Split, videos: Sequence[Video], batch_size: int) -> Iterator[tuple[Video, Poses]]:
    """Each video with its poses; as many videos together as fill a batch."""
    waiting: list[Video] = []
    for number, video in enumerate(videos):
        waiting.append(video)
        lengths = [len(frames) for _, frames, _ in waiting]
        if sum(lengths) < batch_size and number + 1 < len(videos):
            continue
        numbers = torch.cat([frames for _, frames, _ in waiting])
        poses = lifter.lift_windows(split, batch_size, frames=numbers)
        if not poses.points.isfinite().all():
            raise UserError("the model's predictions are not finite: its training diverged; take another checkpoint")
        parts = zip(*(values.split(lengths) for values in poses), strict=True)
        yield from ((one, Poses(*part)) for one, part in zip(waiting, parts, strict=True))
        waiting = []


def _videos(split: Split, who: Sequence[Who]) -> Iterator[Video]:
    first = 0
    for _, group in groupby(who, key=lambda one: (one.name, one.video)):
        people = list(group)
        table = split.table.iloc[first : first + len(people)]
        start, stop = int(table["start"].iloc[0]), int(table["start"].iloc[-1] + table["length"].iloc[-1])
        frames = torch.arange(start, stop)
        yield split.take(frames, table.assign(start=table["start"] - start).reset_index(drop=True)), frames, people
        first += len(people)


def _of_video(lifter: Lifter, split: Split, poses: Poses, who: Sequence[Who], options: Options) -> list[Motion]:
    strong, off = options.smoothing == "strong", options.smoothing == "off"
    lifted = lifter.refined(split, poses, denoise=not off)
    size = bone_lengths(lifted.joints, H36M).sum(-1)
    seconds = STRONG_SIZE_SECONDS if strong else 0.0 if off else SIZE_SECONDS
    body_size = lifter.body_size if options.height is None else size_of_height(options.height)
    metres = lifted.scaled(root_distances(size, body_size, split.timing, seconds))
    if strong:
        parts = (metres.joints, metres.keypoints, metres.root[:, None])
        joints, keypoints, root = (smooth(part, split.timing, STRONG_SECONDS) for part in parts)
        metres = metres._replace(joints=joints, keypoints=keypoints, root=root[:, 0])
    scale = "the size of an average body" if options.height is None else f"a height of {options.height:g} m, as given"
    motions = [replace(_motion(split, metres, row, one, scale), model=lifter.name) for row, one in enumerate(who)]
    if not options.world:
        return motions
    ups = metres.up.split(split.table["length"].tolist())
    stances = [_stance(motion, up) for motion, up in zip(motions, ups, strict=True)]
    return in_world(motions, stances)


def size_of_height(height: float) -> float:
    """Metres of all bones together of somebody so tall, with the proportions of an average body."""
    return height * TABLED_SIZE / STATURE


def _motion(split: Split, metres: LiftedSplit, row: int, who: Who, scale: str) -> Motion:
    """A sequence in the camera frame."""
    entry = split.table.iloc[row]
    frames = slice(int(entry["start"]), int(entry["start"] + entry["length"]))
    numbers, root = torch.arange(int(entry["length"])), metres.root[frames, None]
    own = None if split.times is None else split.times[frames]
    rate = float(entry["fps"])
    times = numbers.double() / rate if own is None else own.double()
    confidence, layout = split.confidence[frames], split.layout
    target = None if split.positions is None else split.positions[frames]
    return Motion(
        name=who.name,
        person=who.person,
        layout=layout,
        frame="camera",
        scale=scale,
        size=(int(entry["width"]), int(entry["height"])),
        fps=rate,
        numbers=who.first_frame + numbers,
        times=(who.first_frame / rate if who.first_second is None else who.first_second) + times,
        pixels=torch.where(confidence[..., None] > 0, split.keypoints[frames], torch.nan),
        confidence=confidence,
        keypoints=metres.keypoints[frames] + root,
        keypoint_error=metres.keypoint_error[frames],
        joints=metres.joints[frames] + root,
        joint_error=metres.joint_error[frames],
        target=target if target is not None and target.isfinite().all() else None,
        video=who.video,
    )


def _stance(motion: Motion, told: Tensor) -> Stance:
    return stance(motion.joints, told, motion.confidence > 0, motion.layout, motion.fps)


def in_world(motions: Sequence[Motion], stances: Sequence[Stance]) -> list[Motion]:
    """The people of one video from the camera frame to the world frame, which they share.

    Everybody is on the floor: who is not of the size that bodies are taken to have would be above or below it.
    """
    rotation = world_rotation(up_direction(stances)[0])
    turned = [motion.joints @ rotation.mT for motion in motions]
    x, _, z = turned[0][0, 0].tolist()
    shifts = [rotation.new_tensor([-x, -floor_height(joints), -z]) for joints in turned]
    return [_placed(motion, World(rotation, shift)) for motion, shift in zip(motions, shifts, strict=True)]


def _placed(motion: Motion, world: World) -> Motion:
    joints = world.points(motion.joints)
    move = planted(joints, world.shift, motion.times)[:, None]
    return replace(
        motion,
        frame="world",
        joints=joints + move,
        keypoints=world.points(motion.keypoints) + move,
        target=None if motion.target is None else world.points(motion.target),
    )
