"""YOLO-pose's text, and VideoPose3D's and Detectron's npz."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lib.runtime.errors import UserError
from lib.sources import npz
from lib.sources.keypoints.detections import BadFile, Detections, detections, expect
from lib.sources.keypoints.layout import COUNTS
from lib.sources.keypoints.values import require_file, stated_rate, stated_size, utf8

_MOST_PEOPLE = 1 << 53  # whole numbers above it are not told apart
_BOX = 5  # values before the keypoints: class, and a box's middle and size


def yolo_text(path: Path) -> Detections:
    """A frame of YOLO-pose's labels: class, box, x y visible a keypoint in shares; perhaps a confidence and a track."""
    try:
        lines = utf8(path).decode().splitlines()
        rows = [[float(value) for value in line.split()] for line in lines if line.strip()]
    except ValueError:
        raise BadFile("a line that is not numbers alone") from None
    keypoints, people = [], []
    for row in rows:
        extra, dims = _yolo_columns(len(row))
        stop = len(row) - extra
        points = np.array(row[_BOX:stop]).reshape(-1, dims)
        keypoints.append(points if dims == 3 else np.column_stack([points, np.ones(len(points))]))
        people.append(int(row[-1]) if extra and 1 <= row[-1] < _MOST_PEOPLE and row[-1].is_integer() else None)
    return detections(keypoints, [0] * len(rows), people, 1, shares=True)


def _yolo_columns(count: int) -> tuple[int, int]:
    """How many values come after the keypoints, and how many a keypoint has."""
    for dims in (3, 2):
        for extra in (0, 1, 2):
            keypoints, rest = divmod(count - _BOX - extra, dims)
            if rest == 0 and keypoints in COUNTS:
                return extra, dims
    raise BadFile(f"{count} values a line, which are no known keypoints", "unknown_layout")


def npz_videos(path: Path) -> Iterator[Detections]:
    """VideoPose3D's npz of one's own videos (`positions_2d`), or what its script for Detectron writes (`keypoints`)."""
    keys = _npz_keys(path)
    try:
        metadata = npz.read(path, "metadata") if "metadata" in keys else {}
        metadata = metadata if isinstance(metadata, Mapping) else {}
        if "positions_2d" in keys:
            yield from _videopose3d(npz.read(path, "positions_2d"), metadata)
        else:
            expect("keypoints" in keys, f"neither positions_2d nor keypoints, but {', '.join(keys) or 'nothing'}")
            boxes = npz.read(path, "boxes") if "boxes" in keys else None
            yield _detectron(npz.read(path, "keypoints"), boxes, metadata)
    except UserError as error:
        raise BadFile(str(error).removeprefix(f"{path} ")) from None


def _npz_keys(path: Path) -> list[str]:
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except Exception as error:  # whatever the bytes of a damaged archive happen to mean
        raise BadFile(f"damaged, or no npz ({type(error).__name__}): write it again") from None


def is_detectron(path: Path) -> bool:
    """Whether an npz is a dump of Detectron's."""
    return "positions_2d" not in _npz_keys(path)


def _videopose3d(content: Any, metadata: Mapping[str, Any]) -> Iterator[Detections]:
    expect(isinstance(content, Mapping), "positions_2d that is no mapping of videos")
    about = metadata.get("video_metadata")
    for video, actions in content.items():
        expect(isinstance(actions, Mapping), f"no mapping of actions in {video}")
        own = about.get(video, {}) if isinstance(about, Mapping) else metadata
        for action, views in actions.items():
            name = str(video) if action == "custom" else f"{video}_{action}"
            for number, view in enumerate(views):
                frames = np.asarray(view)
                expect(frames.ndim == 3, f"keypoints of the shape {frames.shape}")
                suffix = f"_{number}" if len(views) > 1 else ""
                yield detections(frames, np.arange(len(frames)), name=f"{name}{suffix}", **_about(own))


def _detectron(content: Any, boxes: Any, metadata: Mapping[str, Any]) -> Detections:
    """Frames of classes, of which people are the second; each person has 4 rows: x, y, logit, probability."""
    keypoints, numbers = [], []
    for number, frame in enumerate(content):
        people = frame[1] if boxes is not None or len(frame) == 2 else frame
        for person in people:
            rows = np.asarray(person, np.float64)
            expect(rows.ndim == 2 and rows.shape[0] in (3, 4), f"a person of the shape {rows.shape}")
            keypoints.append(rows[[0, 1, -1]].T)
            numbers.append(number)
    return detections(keypoints, numbers, None, len(content), layout="coco", **_about(metadata))


def _about(metadata: Mapping[str, Any]) -> dict[str, Any]:
    def number(key: str) -> float | None:
        value = metadata.get(key)
        return float(value) if isinstance(value, int | float | np.number) and 0 < value < np.inf else None

    width, height = number("w"), number("h")
    return {"size": stated_size((width, height)), "fps": stated_rate(number("fps"))}
