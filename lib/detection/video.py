"""Frames of a video file or of a folder of pictures, read by OpenCV."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from lib.detection.networks import Array
from lib.runtime.errors import UserError
from lib.runtime.files import PICTURES, pictures_in

_MOST_FRAMES = 1e9  # headers of streams say anything


@dataclass(frozen=True)
class Video:
    """A video file: its size in pixels and its frame rate; iterating gives its frames in BGR."""

    path: Path
    width: int
    height: int
    fps: float
    length: int  # frames, as the header says, which may be wrong; 0: it does not say

    @classmethod
    def open(cls, path: Path) -> "Video":
        """Read the header.

        Raises:
            UserError: there is no such file, or OpenCV reads no frame of it.
        """
        if not path.is_file():
            raise UserError(f"{path} is missing: name a video file that is there")
        if not path.stat().st_size:
            raise UserError(f"{path} is empty: copy the video again")
        reader = _reader(path)
        read, frame = reader.read()  # turned upright, which the header's size may not be
        fps, length = float(reader.get(cv2.CAP_PROP_FPS)), reader.get(cv2.CAP_PROP_FRAME_COUNT)
        reader.release()
        if not read or not fps > 0:
            raise UserError(f"{path} is no video that OpenCV reads: convert it to an .mp4 file")
        return cls(path, frame.shape[1], frame.shape[0], fps, int(length) if 0 < length < _MOST_FRAMES else 0)

    def __iter__(self) -> Iterator[UInt8[Array, "height width 3"]]:
        """All frames from the first on, anew each time."""
        reader = _reader(self.path)
        try:
            while True:
                read, frame = reader.read()
                if not read:
                    return
                yield np.asarray(frame, dtype=np.uint8)
        finally:
            reader.release()


def _reader(path: Path) -> cv2.VideoCapture:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong with a file, we say
    return cv2.VideoCapture(str(path))


class Webcam:
    """A camera of this machine, by its number; iterating gives frames in BGR as they come, without end."""

    def __init__(self, number: int) -> None:
        """Open it.

        Raises:
            UserError: there is none.
        """
        self._reader = cv2.VideoCapture(number)
        read, frame = self._reader.read()
        if not read:
            raise UserError(f"camera:{number} gives no picture: is it connected, and free?")
        self.width, self.height = frame.shape[1], frame.shape[0]

    def __iter__(self) -> Iterator[UInt8[Array, "height width 3"]]:
        """All frames that come."""
        while True:
            read, frame = self._reader.read()
            if not read:
                return
            yield np.asarray(frame, dtype=np.uint8)


@dataclass(frozen=True)
class Pictures:
    """A folder of pictures, in the order of their names; the size is that of the first, and iterating as of `Video`."""

    paths: tuple[Path, ...]
    width: int
    height: int
    fps: float

    @property
    def length(self) -> int:
        """Frames."""
        return len(self.paths)

    @classmethod
    def open(cls, folder: Path, fps: float) -> "Pictures":
        """Look at the first picture.

        Raises:
            UserError: there is none, or it cannot be read.
        """
        paths = pictures_in(folder)
        if not paths:
            raise UserError(f"{folder} has no pictures ({', '.join(PICTURES)})")
        height, width, _ = _picture(paths[0]).shape
        return cls(tuple(paths), width, height, fps)

    def __iter__(self) -> Iterator[UInt8[Array, "height width 3"]]:
        """All pictures; raises UserError where one cannot be read or has another size."""
        for path in self.paths:
            picture = _picture(path)
            if picture.shape[:2] != (self.height, self.width):
                height, width, _ = picture.shape
                raise UserError(f"{path} is {width} x {height}, and those before are {self.width} x {self.height}")
            yield picture


def _picture(path: Path) -> UInt8[Array, "height width 3"]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise UserError(f"{path} is no picture that OpenCV reads")
    return np.asarray(picture, dtype=np.uint8)
