"""The frames of a video as small JPEG pictures inside the page, for the keypoints to lie on."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lib.runtime.errors import UserError
from lib.runtime.files import pictures_in

Image = UInt8[np.ndarray[Any, Any], "height width 3"]


@dataclass(frozen=True)
class Pictures:
    """How much of videos goes into the page."""

    width: int = 320  # pixels
    fps: float = 15.0  # at most
    megabytes: float = 4.0  # of all videos of a page; above that, there are fewer pictures a second
    quality: int = 60  # of JPEG, 1 to 100


def embed(video: Path, numbers: list[int], fps: float, pictures: Pictures, limit: int) -> dict[str, Any]:
    """`numbers` of frames in the video, and their pictures as `jpegs` in base64, `limit` bytes of them at most.

    Raises:
        UserError: the video cannot be read, or OpenCV is not installed.
    """
    every = max(1, round(fps / pictures.fps))
    wanted = set(numbers[::every])
    jpegs: dict[int, str] = {}
    size, apart = 0, 1  # one of so many pictures is kept, while there are more than fit: a video may be long
    for among, (number, frame) in enumerate(_frames(video, wanted)):
        if among % apart == 0:
            jpegs[number] = base64.b64encode(_jpeg(frame, pictures)).decode("ascii")
            size += len(jpegs[number])
        while size > limit and len(jpegs) > 1:
            jpegs = dict([*jpegs.items()][::2])
            size, apart = sum(map(len, jpegs.values())), 2 * apart
    shown = sorted(jpegs)
    return {"numbers": shown, "jpegs": [jpegs[number] for number in shown]}


def _frames(video: Path, wanted: set[int]) -> Iterator[tuple[int, Image]]:
    """The wanted frames of a video file or of a folder of pictures, in BGR, with their numbers."""
    cv2 = _opencv()
    if video.is_dir():
        files = pictures_in(video)
        for number in sorted(wanted):
            image = cv2.imread(str(files[number])) if number < len(files) else None
            if image is not None:
                yield number, image
        return
    if not video.is_file():
        raise UserError(f"{video} is missing: the page shows keypoints on the frames of the video; put it there")
    reader = cv2.VideoCapture(str(video))
    try:
        for number in range(max(wanted, default=-1) + 1):
            if not reader.grab():
                break
            if number in wanted:
                read, image = reader.retrieve()
                if read:
                    yield number, image
    finally:
        reader.release()


def _jpeg(image: Image, pictures: Pictures) -> bytes:
    cv2 = _opencv()
    height, width = image.shape[:2]
    if width > pictures.width:
        size = (pictures.width, max(1, round(height * pictures.width / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, pictures.quality])
    return bytes(encoded.tobytes())


def _opencv() -> Any:
    try:
        import cv2  # noqa: PLC0415 - an extra: pages without a video do not need it
    except ImportError:
        raise UserError("pictures of a video need OpenCV: pip install -r requirements.txt") from None
    return cv2
