"""Videos and folders of pictures, whose people BlazePose sees: 33 keypoints, without 3D."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lib.detection import blazepose
from lib.detection.blazepose import BlazePose
from lib.detection.video import Pictures, Video
from lib.pose.cameras import UNNAMED, assumed_camera
from lib.pose.layouts import LAYOUTS
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.files import PICTURES
from lib.sources.base import PoseSequence, SourceData
from lib.sources.keypoints.formats import SUFFIXES as KEYPOINTS
from lib.sources.keypoints.tracking import LOST_SECONDS
from lib.sources.parcels import Parcel, fetch

SUFFIXES = (".mp4", ".mov", ".webm", ".avi", ".mkv", ".m4v")
LAYOUT = LAYOUTS["mediapipe_33"]
DETECTOR = Parcel(
    "mediapipe==0.10.21",
    "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
    "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    36,
    "BlazePose's networks",
    {
        "mediapipe/modules/pose_detection/pose_detection.tflite": blazepose.DETECTOR,
        "mediapipe/modules/pose_landmark/pose_landmark_full.tflite": blazepose.LANDMARKS["full"],
        "mediapipe-0.10.21.dist-info/LICENSE": "MEDIAPIPE-LICENSE.txt",
    },
    ("--platform", "manylinux_2_28_x86_64", "--python-version", "311"),
)
_NOTE = (
    f"Taken unchanged from {DETECTOR.requirement} (Apache licence 2.0: MEDIAPIPE-LICENSE.txt), of which nothing is "
    f"installed: {DETECTOR.wanted}.\n"
)


def fetch_detector(folder: Path, packages: Path | None = None) -> None:
    """Get BlazePose's networks, unless the folder has them; `packages` may have a copy of their package.

    Raises:
        UserError: they cannot be fetched.
    """
    if not all((folder / name).is_file() for name in DETECTOR.members.values()):
        copy = packages / DETECTOR.file if packages else None
        fetch(DETECTOR, folder, _NOTE, copy if copy and copy.is_file() else None)


def load_detector(folder: Path, threads: int = 1) -> BlazePose:
    """The detector of a folder that `fetch_detector` made; raises UserError where LiteRT is not installed."""
    return BlazePose.load(folder / blazepose.DETECTOR, folder / blazepose.LANDMARKS["full"], threads)


def find_videos(path: Path) -> list[Path]:
    """The videos of a path: it itself, if it is a video or a folder of pictures; else those in a folder.

    Folders of pictures in it count if there is neither a video nor a file that may be keypoints.
    """
    if not path.is_dir():
        return [path] if path.suffix.lower() in SUFFIXES else []
    videos, folders, keypoints = list[Path](), set[Path](), False
    for folder, _, names in os.walk(path):
        for name in names:
            suffix = "" if name.startswith(".") else os.path.splitext(name)[1].lower()
            keypoints |= suffix in KEYPOINTS
            if suffix in SUFFIXES:
                videos.append(Path(folder, name))
            elif suffix in PICTURES:
                folders.add(Path(folder))
    if videos or path in folders:
        return sorted(videos) or [path]
    return [] if keypoints else sorted(folders)


def open_video(path: Path, fps: float = 30.0) -> Video | Pictures:
    """A video, or a folder of pictures taken at `fps` pictures a second; raises UserError where there is none."""
    return Pictures.open(path, fps) if path.is_dir() else Video.open(path)


def read_video(
    path: Path, detector: BlazePose, people: int = 1, fps: float = 30.0, console: Console | None = None
) -> SourceData:
    """Detect up to `people` people in a video, or in a folder of pictures taken at `fps` pictures a second.

    A person is whoever keeps a place frame after frame (`BlazePose.track`), and is away for a second at most. Sequences
    of a video whose frames are not evenly spaced have times, in seconds since its first frame. How far it is is shown
    on `console`.

    Raises:
        UserError: it is no video that can be read, or shows nobody.
    """
    video = open_video(path, fps)
    keypoints, confidence, times = [], [], list[float]()
    frames = video.timed(times) if isinstance(video, Video) else iter(video)
    frames = frames if console is None else console.track(frames, path.name, video.length or None)
    for places in detector.track(frames, people):
        keypoints.append(np.stack([np.full((33, 2), np.nan) if one is None else one.keypoints for one in places]))
        confidence.append(np.stack([np.zeros(33) if one is None else one.confidence for one in places]))
    points, sure = (torch.from_numpy(np.stack(part)).float() for part in (keypoints, confidence))
    name = path.name if path.is_dir() else path.stem
    seconds = torch.tensor(times, dtype=torch.float64)
    sequences = list(_sequences(name, video, points, sure, None if _even(seconds, video.fps) else seconds))
    if not sequences:
        raise UserError(f"{path}: nobody was detected in {len(points)} frames: is a whole person to be seen, upright?")
    return SourceData(sequences, [], (name,), layout=LAYOUT)


def _even(times: Float[Tensor, " frame"], fps: float) -> bool:
    """Whether no frame is off by half a frame or more from where the rate says; without times, too."""
    off = times * fps - torch.arange(len(times))
    return bool((off.abs() < 0.5).all())


def _sequences(
    name: str,
    video: Video | Pictures,
    points: Float[Tensor, "frame place keypoint 2"],
    sure: Float[Tensor, "frame place keypoint"],
    times: Float[Tensor, " frame"] | None,
) -> Iterator[PoseSequence]:
    """Of each place, a sequence each time that it was taken: who comes back after a second may be somebody else."""
    camera = assumed_camera((video.width, video.height), UNNAMED)
    clock = torch.arange(len(points), dtype=torch.float64) / video.fps if times is None else times
    for person in range(points.shape[1]):
        seen = (sure[:, person] > 0).any(-1).nonzero()[:, 0]
        lost = (clock[seen].diff() > LOST_SECONDS) & (seen.diff() > 1)
        for part in seen.tensor_split((lost.nonzero()[:, 0] + 1).tolist()) if len(seen) else ():
            frames = slice(int(part[0]), int(part[-1]) + 1)
            yield PoseSequence(
                subject=name,
                action=name,
                camera=camera,
                fps=video.fps,
                keypoints=points[frames, person],
                confidence=sure[frames, person],
                positions=None,
                times=None if times is None else times[frames],
                group=name,
                person=person,
                first_frame=frames.start,
            )
