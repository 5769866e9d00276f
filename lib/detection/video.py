"""Frames of a video file or of a folder of pictures, read by OpenCV."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lib.detection.networks import Array
from lib.runtime.bounds import one_line
from lib.runtime.errors import UserError
from lib.runtime.files import PICTURES, pictures_in, require_file

_MOST_FRAMES = 1e9  # headers of streams say anything
_MOST_PIXELS = 1 << 26  # of a picture: 8192 x 8192, and 200 MB
_HEAD = 64  # bytes of a video, which are not all text
# What is wrong with a file, we say; and no video names files or addresses to read beside it.
_OPTIONS = {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file"}


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
        require_file(path, "name a video file that is there")
        if not path.stat().st_size:
            raise UserError(f"{path} is empty: copy the video again")
        with path.open("rb") as file:
            if (head := file.read(_HEAD)).isascii() and head.translate(None, b"\t\r\n").decode().isprintable():
                raise UserError(f"{path} is text, such as a list of videos, and no video: name the video itself")
        reader = _reader(path)
        _check_size(path, reader.get(cv2.CAP_PROP_FRAME_WIDTH), reader.get(cv2.CAP_PROP_FRAME_HEIGHT))
        read, frame = reader.read()  # turned upright, which the header's size may not be
        fps, length = float(reader.get(cv2.CAP_PROP_FPS)), reader.get(cv2.CAP_PROP_FRAME_COUNT)
        reader.release()
        if not read or not fps > 0:
            raise UserError(f"{path} is no video that OpenCV reads: convert it to an .mp4 file")
        return cls(path, frame.shape[1], frame.shape[0], fps, int(length) if 0 < length < _MOST_FRAMES else 0)

    def __iter__(self) -> Iterator[UInt8[Array, "height width 3"]]:
        """All frames from the first on, anew each time."""
        return self.timed([])

    def timed(self, times: list[float]) -> Iterator[UInt8[Array, "height width 3"]]:
        """All frames from the first on; `times` gets each one's seconds since the first, before the frame is given.

        Phones and browsers film frames unevenly, and the rate in a header may then be any. Where a file does not say
        when a frame was taken, or not later than the one before, the rate does.
        """
        reader, first = _reader(self.path), None
        try:
            while True:
                read, frame = reader.read()
                if not read:
                    return
                stamp = float(reader.get(cv2.CAP_PROP_POS_MSEC)) / 1000
                first = stamp if first is None else first
                last = times[-1] if times else None
                times.append(0.0 if last is None else stamp - first if stamp - first > last else last + 1 / self.fps)
                yield np.asarray(frame, dtype=np.uint8)
        finally:
            reader.release()


def _reader(path: Path) -> cv2.VideoCapture:
    for name, value in _OPTIONS.items():
        os.environ.setdefault(name, value)
    return cv2.VideoCapture(str(path))


def _check_size(path: Path, width: float, height: float) -> None:
    """Refuse pictures that take more memory than any camera's; raises UserError."""
    if not width * height <= _MOST_PIXELS:
        raise UserError(f"{path} claims {width:.0f} x {height:.0f} pixels: make it smaller, {_MOST_PIXELS:,} at most")


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
    """A picture, once its header says that it is not too large."""
    try:
        with warnings.catch_warnings():  # of its size, which is looked at here
            warnings.simplefilter("ignore")
            with Image.open(path) as header:
                width, height = header.size
        _check_size(path, float(width), float(height))
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except Image.DecompressionBombError:
        raise UserError(f"{path} claims too many pixels: make it smaller, {_MOST_PIXELS:,} at most") from None
    except (OSError, ValueError, SyntaxError, cv2.error) as error:
        raise UserError(f"{path} is no picture that can be read: {one_line(str(error))}") from None
    if picture is None:
        raise UserError(f"{path} is no picture that OpenCV reads: save it as .png or .jpg again")
    return np.asarray(picture, dtype=np.uint8)
