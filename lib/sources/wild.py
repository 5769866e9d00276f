"""People seen by four cameras: what a detector sees in each, and where the views agree that the joints are.

`prepare` makes data/raw/wild/recordings_KIND.npz from the videos; lib/sources/recordings.py reads it. The keypoints are
as BlazePose gives them, with its mistakes; the reference has those of single views left out (lib/sources/multiview.py).
"""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lib.detection import blazepose
from lib.detection.blazepose import BlazePose
from lib.detection.video import Video
from lib.pose.cameras import Camera
from lib.pose.geometry import matrix_to_quaternion
from lib.pose.triangulation import Views, triangulate
from lib.sources import multiview, recordings, wild_sessions
from lib.sources.multiview import Control, Keypoints, Reference, Sides
from lib.sources.qualisys import read_cameras
from lib.sources.recordings import Recording
from lib.sources.wild_sessions import ADJUSTED_ON, CAMERAS, SESSIONS, Session, video_name


class Row(NamedTuple):
    """How well a camera agrees with the others, over all joints and frames; errors are medians, in pixels."""

    session: str
    person: str
    camera: str
    frames: int
    detected: int  # frames
    before: float  # error as calibrated, of keypoints up to `multiview.WIDE` off
    after: float  # the same, cameras adjusted
    error: float  # of the reference: the keypoints that it is made of
    share: float  # of the detected keypoints that the reference is made of
    exchanged: float  # share of the detected keypoints that the reference takes for the other side's


class Detected(NamedTuple):
    """What the detector gives of a session: people in an order of each camera's own."""

    sizes: tuple[tuple[int, int], ...]  # width and height of each video
    fps: float
    keypoints: Float[Tensor, "view place frame joint 2"]
    confidence: Float[Tensor, "view place frame joint"]


class Seen(NamedTuple):
    """One person's keypoints in all views."""

    pixels: Float[Tensor, "view frame joint 2"]
    confidence: Float[Tensor, "view frame joint"]

    def keypoints(self, cameras: list[Camera]) -> Keypoints:
        """As rays, in double precision."""
        rays = [camera.to_rays(pixels.double()) for camera, pixels in zip(cameras, self.pixels, strict=True)]
        return Keypoints(torch.stack(rays, dim=2), self.confidence.double().permute(1, 2, 0))


def sides() -> Sides:
    """BlazePose's legs, arms and face, each of which it may see on the wrong side."""
    parts = (
        ("hip", "knee", "ankle", "heel", "foot_index"),
        ("shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
        ("eye_inner", "eye", "eye_outer", "ear"),
    )
    names, swap = blazepose.NAMES, {"left": "right", "right": "left"}
    legs, arms, face = (tuple(names.index(f"{side}_{part}") for side in swap for part in group) for group in parts)
    mouth = (names.index("mouth_left"), names.index("mouth_right"))
    mirror = tuple(names.index("_".join(swap.get(word, word) for word in name.split("_"))) for name in names)
    return Sides((legs, arms, face + mouth), mirror)


def prepare(folder: Path, kind: str, announce: Callable[[str], None]) -> list[Row]:
    """Detect, adjust the cameras, triangulate, and write the recordings; `kind` is of BlazePose's landmark networks.

    Raises:
        UserError: a file is missing, or LiteRT is not installed.
    """
    detectors = detector_folder(folder)
    networks = folder / "heavy" if kind == "heavy" else detectors
    detector = BlazePose.load(detectors / blazepose.DETECTOR, networks / blazepose.LANDMARKS[kind])
    calibrated = read_cameras(folder / "videos" / wild_sessions.CALIBRATION)
    detected = {}
    for name, session in SESSIONS.items():
        announce(f"detecting {' and '.join(session.people)} in the four videos of {name}")
        detected[name] = detect(folder / "videos", name, session, detector)
    before = {name: session_cameras(session, calibrated, detected[name]) for name, session in SESSIONS.items()}
    adjusted = adjust(before[ADJUSTED_ON], calibrated, detected[ADJUSTED_ON])
    old, new = (mean_control_error(views, calibrated) for views in (Views.of(calibrated), adjusted))
    announce(f"cameras adjusted: the room's marked points are {old:.1f} px off as calibrated, {new:.1f} px now")
    made, rows = [], []
    for name, session in SESSIONS.items():
        announce(f"triangulating {name}")
        cameras = [moved_to(camera, adjusted, view) for view, camera in enumerate(before[name])]
        for person, seen in people(session, cameras, detected[name]).items():
            reference = _reconstruct(cameras, seen, multiview.TOLERANCE)
            calibrated_wide, wide = (_reconstruct(each, seen, multiview.WIDE) for each in (before[name], cameras))
            made += _recordings(name, person, cameras, detected[name].fps, seen, reference)
            rows += _rows(name, person, cameras, seen, calibrated_wide, wide, reference)
    recordings.write(recordings_file(folder, kind), made)
    return rows


def detect(folder: Path, name: str, session: Session, detector: BlazePose) -> Detected:
    """Track a session's people in each of its videos."""
    videos = [Video.open(folder / video_name(name, camera)) for camera in CAMERAS]
    count, joints = len(session.people), len(blazepose.NAMES)
    keypoints, confidence = [], []
    for video in videos:
        found = list(detector.track(video, count))
        pixels = np.full((count, len(found), joints, 2), np.nan, dtype=np.float32)
        sure = np.zeros(pixels.shape[:-1], dtype=np.float32)
        for frame, places in enumerate(found):
            for place, person in enumerate(places):
                if person is not None:
                    pixels[place, frame], sure[place, frame] = person.keypoints, person.confidence
        keypoints.append(torch.from_numpy(pixels))
        confidence.append(torch.from_numpy(sure))
    sizes = tuple((video.width, video.height) for video in videos)
    return Detected(sizes, videos[0].fps, torch.stack(keypoints), torch.stack(confidence))


def session_cameras(session: Session, calibrated: list[Camera], detected: Detected) -> list[Camera]:
    """The calibrated cameras in the pixels of a session's videos."""
    parts = zip(session.scalings, calibrated, detected.sizes, strict=True)
    return [scaling.applied_to(camera, size) for scaling, camera, size in parts]


def adjust(cameras: list[Camera], calibrated: list[Camera], detected: Detected) -> Views:
    """The cameras' places and turns corrected, by one person's keypoints and the marked points."""
    seen = Seen(detected.keypoints[:, 0], detected.confidence[:, 0])
    return multiview.adjust_cameras(Views.of(cameras), seen.keypoints(cameras), sides(), _control(calibrated))


def mean_control_error(views: Views, calibrated: list[Camera]) -> float:
    """How far the marked points are from where the views agree that they are, in pixels of the calibrated pictures."""
    control, views = _control(calibrated), views._replace(focal=Views.of(calibrated).focal)
    points = triangulate(views, control.rays, control.weights)
    errors = torch.linalg.vector_norm(views.residuals(points, control.rays), dim=-1)
    return float(errors[control.weights > 0].mean())


def _control(calibrated: list[Camera]) -> Control:
    marked = torch.tensor(wild_sessions.CONTROL_POINTS, dtype=torch.float64)
    return Control(torch.stack([camera.to_rays(marked[:, view]) for view, camera in enumerate(calibrated)], dim=1))


def moved_to(camera: Camera, views: Views, view: int) -> Camera:
    """The camera at another place, turned in another way."""
    w, x, y, z = matrix_to_quaternion(views.rotation[view].mT).tolist()
    px, py, pz = views.position[view].tolist()
    return dataclasses.replace(camera, orientation=(w, x, y, z), position=(px, py, pz))


def people(session: Session, cameras: list[Camera], detected: Detected) -> dict[str, Seen]:
    """Everybody's keypoints in all views, by name."""
    pixels, confidence = detected.keypoints, detected.confidence
    found = [Seen(pixels[:, place], confidence[:, place]) for place in range(pixels.shape[1])]
    if len(found) == 1:
        return dict(zip(session.people, found, strict=True))
    first, second = found
    where = multiview.tell_people_apart(Views.of(cameras), first.keypoints(cameras), second.keypoints(cameras))
    turn = where.T[..., None]
    apart = [
        Seen(own.pixels.where(~turn[..., None], other.pixels), own.confidence.where(~turn, other.confidence))
        for own, other in ((first, second), (second, first))
    ]
    places = [_place(cameras, seen) for seen in apart]
    (one, near_one), (two, near_two) = session.people.items()
    straight = math.dist(places[0], near_one) + math.dist(places[1], near_two)
    crossed = math.dist(places[1], near_one) + math.dist(places[0], near_two)
    return dict(zip((one, two), apart if straight <= crossed else apart[::-1], strict=True))


def _place(cameras: list[Camera], seen: Seen) -> tuple[float, float]:
    """Where somebody usually is on the floor: world x and y in metres."""
    positions = _reconstruct(cameras, seen, multiview.TOLERANCE).positions
    x, y, _ = positions.flatten(0, 1).nanmedian(0).values.tolist()
    return x, y


def _reconstruct(cameras: list[Camera], seen: Seen, tolerance: float) -> Reference:
    return multiview.reconstruct(Views.of(cameras), seen.keypoints(cameras), sides(), tolerance)


def _recordings(
    session: str, person: str, cameras: list[Camera], fps: float, seen: Seen, reference: Reference
) -> list[Recording]:
    return [
        Recording(
            session,
            person,
            camera,
            fps,
            seen.pixels[view],
            seen.confidence[view],
            camera.to_camera(reference.positions).float(),
            reference.errors[..., view].float(),
            reference.views[..., view],
            reference.exchanged[..., view],
        )
        for view, camera in enumerate(cameras)
    ]


def _rows(
    session: str,
    person: str,
    cameras: list[Camera],
    seen: Seen,
    before: Reference,
    after: Reference,
    reference: Reference,
) -> list[Row]:
    rows = []
    for view, camera in enumerate(cameras):
        found = seen.confidence[view] > 0
        frames = int(found.any(-1).sum())
        before_px, after_px, error = (_median_error(each, view) for each in (before, after, reference))
        share, exchanged = (
            float(flags[..., view][found].double().mean()) for flags in (reference.views, reference.exchanged)
        )
        rows.append(Row(session, person, camera.name, len(found), frames, before_px, after_px, error, share, exchanged))
    return rows


def _median_error(reference: Reference, view: int) -> float:
    """In pixels, of the keypoints that agree with the other views."""
    return float(reference.errors[..., view][reference.views[..., view]].median())


def detector_folder(folder: Path) -> Path:
    """Where the detector is, which is not for these recordings alone."""
    return folder.parent / "blazepose"


def recordings_file(folder: Path, kind: str) -> Path:
    """Where the recordings are, as one of BlazePose's networks sees them."""
    return folder / f"recordings_{kind}.npz"
