"""Videos written here by OpenCV."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.detection.video import Video
from lib.runtime.errors import UserError


def write(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 48))  # type: ignore[attr-defined]
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 40 * number, dtype=np.uint8))
    writer.release()
    return path


def test_gives_every_frame_each_time(tmp_path: Path) -> None:
    video = Video.open(write(tmp_path / "a.avi", 5))
    assert (video.width, video.height, video.fps) == (64, 48, 25.0)
    for _ in range(2):
        assert [round(float(frame.mean()) / 40) for frame in video] == [0, 1, 2, 3, 4]
        assert all(frame.shape == (48, 64, 3) for frame in video)


def test_a_file_that_is_missing_or_no_video_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.avi is missing: name a video"):
        Video.open(tmp_path / "a.avi")
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"b\.mp4 is no video that OpenCV reads: convert"):
        Video.open(tmp_path / "b.mp4")
