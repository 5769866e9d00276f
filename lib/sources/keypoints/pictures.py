"""The pictures that keypoints are in: how large they are, whether people stand upright in them, and turning them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lib.pose.camera_files import read_cameras
from lib.pose.cameras import UNNAMED
from lib.runtime.errors import UserError
from lib.sources.base import SourceParams
from lib.sources.keypoints.detections import Array, BadFile, Detections
from lib.sources.keypoints.directions import turned, upright
from lib.sources.keypoints.mediapipe import MEDIAPIPE
from lib.sources.keypoints.videos import Report, Video, leave_out

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
_ALL = 0.95  # of the keypoints: when so many do, they are none of such pictures
_MANY = 0.2  # of the keypoints: when more lie beyond the picture, its size is doubtful
_SHARES = 1.5  # coordinates below this are no pixels
_AROUND_ZERO = 0.3  # of x and of y: when more is negative, zero is in the body, and not at the picture's edge
_DOUBTS = {"upside down": "is y upwards?", "on their sides": "are x and y exchanged?"}


def described(videos: Sequence[Video], params: SourceParams, raw: Path) -> list[Video]:
    """The videos with the size of pictures that a file of cameras says, where nothing else does.

    Raises:
        UserError: the file is missing or wrong, or `data.size` says another size.
    """
    if params.cameras in ("auto", "assumed"):
        return [*videos]
    cameras = read_cameras(raw / params.cameras)
    known = []
    for video in videos:
        camera = cameras.find(video.subject, video.action, UNNAMED)
        if camera is None or video.detections.size is not None:
            known.append(video)
            continue
        size = (camera.size[1], camera.size[0]) if params.rotate in (90, 270) else camera.size  # it sees them turned
        if params.size not in ("auto", size):
            raise UserError(
                f"params.yaml: data.size = {[*params.size]}, but {cameras.path} describes the camera of {video.name} "
                f"for pictures of {size[0]} x {size[1]}: say data.size=auto, or describe it for these"
            )
        known.append(video._replace(detections=video.detections._replace(size=size)))
    return known


def sized(videos: Sequence[Video], params: SourceParams, report: Report) -> tuple[list[Video], tuple[int, int], bool]:
    """The videos in pixels, the size of pictures of those that do not say it, and whether that was inferred."""
    kept = []
    for video in videos:
        found = video.detections
        size = found.size or (None if params.size == "auto" else params.size)
        try:
            found = in_pixels(found, size)
        except BadFile as why:
            leave_out(report, video[:2], f"{video.subject}/{video.action}", why, found.length)
        else:
            kept.append(video._replace(detections=found))
    unsized = [video for video in kept if video.detections.size is None]
    usual, inferred = (_infer_size(unsized), bool(unsized)) if params.size == "auto" else (params.size, False)
    within = []
    for video in kept:
        width, height = video.detections.size or usual
        beyond = _beyond(video.detections.points, (width, height))
        if beyond > _ALL:
            error = BadFile(f"all keypoints are outside the pictures of {width} x {height}", "not_pixels")
            leave_out(report, video[:2], f"{video.subject}/{video.action}", error, video.detections.length)
            continue
        within.append(video)
        if beyond > _MANY:
            report.doubts.append(
                f"{video.subject}/{video.action}: {100 * beyond:.0f} % of the keypoints are outside its pictures of "
                f"{width} x {height}: look at data.size, and at what the files say"
            )
    return within, usual, inferred


def in_pixels(found: Detections, size: tuple[int, int] | None) -> Detections:
    """Detections, some of which show something, in pixels of pictures of this size, where they may be shares of it.

    Such may also be far beyond the picture, where MediaPipe guesses what it does not see.

    Raises:
        BadFile: they are neither, or shares of pictures whose size is None.
    """
    places, may_be_shares = found.points[..., :2], found.shares or found.points.shape[1] == MEDIAPIPE
    if not np.nanquantile(np.abs(places), 0.5 if may_be_shares else 0.98) < _SHARES:
        return found
    negative = (places < 0).mean((0, 1))
    if negative.min() > _AROUND_ZERO if may_be_shares else negative.mean() > 0.1:
        raise BadFile("coordinates from -1 to 1 are no pixels: give keypoints in pixels", "not_pixels")
    if not may_be_shares:
        raise BadFile("coordinates from 0 to 1 are no pixels: give keypoints in pixels", "not_pixels")
    if size is None:
        raise BadFile("shares of the picture, whose size nobody says: say data.size=[WIDTH,HEIGHT]", "not_pixels")
    return found._replace(points=found.points * np.array([*size, 1], np.float32))


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


def standing(videos: Sequence[Video], params: SourceParams, report: Report) -> Iterable[Video]:
    """The videos in which people are not always on their sides or heads, unless the user says how they are turned."""
    for video in videos:
        right, up = upright(video.detections.points, video.layout)
        for _ in range(0 if params.rotate == "auto" else params.rotate // 90):
            right, up = up, -right
        if (what := turned(right, up)) is None or params.rotate == 0:
            yield video
            continue
        if params.rotate != "auto":
            name = f"{video.subject}/{video.action}"
            report.doubts.append(f"{name}: people are {what} after data.rotate={params.rotate}, which turns all videos")
            yield video
            continue
        error = BadFile(
            f"people are {what} ({_DOUBTS[what]}): if the camera is mounted so, say data.rotate=90, 180 or 270, and if "
            "they lie, 0",
            "sideways",
        )
        leave_out(report, video[:2], f"{video.subject}/{video.action}", error, video.detections.length)


def rotated(points: Array, size: tuple[int, int], degrees: int) -> tuple[Array, tuple[int, int]]:
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
