"""Frames of a video file, read by OpenCV."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from lib.detection.networks import Array
from lib.runtime.errors import UserError


@dataclass(frozen=True)
class Video:
    """A video file: its size in pixels and its frame rate, as its header says; iterating gives its frames in BGR."""

    path: Path
    width: int
    height: int
    fps: float

    @classmethod
    def open(cls, path: Path) -> "Video":
        """Read the header.

        Raises:
            UserError: there is no such file, or OpenCV reads no frame of it.
        """
        if not path.is_file():
            raise UserError(f"{path} is missing: name a video file that is there")
        reader = cv2.VideoCapture(str(path))
        read, frame = reader.read()  # turned upright, which the header's size may not be
        fps = float(reader.get(cv2.CAP_PROP_FPS))
        reader.release()
        if not read or not fps > 0:
            raise UserError(f"{path} is no video that OpenCV reads: convert it to an .mp4 file")
        return cls(path, frame.shape[1], frame.shape[0], fps)

    def __iter__(self) -> Iterator[UInt8[Array, "height width 3"]]:
        """All frames from the first on, anew each time."""
        reader = cv2.VideoCapture(str(self.path))
        try:
            while True:
                read, frame = reader.read()
                if not read:
                    return
                yield np.asarray(frame, dtype=np.uint8)
        finally:
            reader.release()
