"""Videos and folders of pictures, written here by OpenCV."""

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.detection.video import Pictures, Video, Webcam
from lib.runtime.errors import UserError

SIZE = (64, 48)


def write(path: Path, frames: int, size: tuple[int, int] = SIZE) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, size)  # type: ignore[attr-defined]
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 40 * number % 256, dtype=np.uint8))
    writer.release()
    return path


def write_uneven(path: Path, times: Sequence[float]) -> Path:
    """A Matroska file whose header says 25 frames a second, and whose frames have these times in seconds."""
    content, place = write(path, len(times)).read_bytes(), 0
    for frame, seconds in enumerate(times):  # a block's head: its track, its time in milliseconds, and that it is whole
        old, new = (
            struct.pack(">BhB", 0x81, milliseconds, 0x80) for milliseconds in (40 * frame, round(1000 * seconds))
        )
        place = content.index(old, place)
        content = content[:place] + new + content[place + len(new) :]
    path.write_bytes(content)
    return path


def write_pictures(folder: Path, *names: str) -> Path:
    """Each is brighter than the one before by 20."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((SIZE[1], SIZE[0], 3), 20 * number, dtype=np.uint8))
    return folder


def test_gives_every_frame_each_time(tmp_path: Path) -> None:
    video = Video.open(write(tmp_path / "a.avi", 5))
    assert (video.width, video.height, video.fps, video.length) == (64, 48, 25.0, 5)
    for _ in range(2):
        assert [round(float(frame.mean()) / 40) for frame in video] == [0, 1, 2, 3, 4]
        assert all(frame.shape == (48, 64, 3) for frame in video)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ([0.0, 0.04, 0.08, 0.12], [0.0, 0.04, 0.08, 0.12]),
        ([0.0, 0.033, 0.1, 0.3], [0.0, 0.033, 0.1, 0.3]),
        ([0.5, 0.6, 0.7], [0.0, 0.1, 0.2]),
        ([0.0, 0.0, 0.0], [0.0, 0.04, 0.08]),  # nothing is said
    ],
)
def test_frames_have_the_times_that_the_file_says(written: list[float], expected: list[float], tmp_path: Path) -> None:
    video, times = Video.open(write_uneven(tmp_path / "a.mkv", written)), list[float]()
    assert [times[number] for number, _ in enumerate(video.timed(times))] == pytest.approx(expected)
    assert len(times) == len(written) and video.fps == 25.0


def test_a_file_that_is_missing_or_no_video_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.avi is missing: name a video"):
        Video.open(tmp_path / "a.avi")
    (tmp_path / "b.mp4").write_bytes(b"\x80no video")
    with pytest.raises(UserError, match=r"b\.mp4 is no video that OpenCV reads: convert"):
        Video.open(tmp_path / "b.mp4")
    (tmp_path / "c.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"c\.mp4 is empty"):
        Video.open(tmp_path / "c.mp4")


def test_pictures_are_in_the_order_of_the_numbers_in_their_names(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, "1.png", "2.png", "10.PNG", "²1.png")
    (folder / ".3.png").write_bytes(b"hidden")
    (folder / "notes.txt").write_text("no picture")
    pictures = Pictures.open(folder, 12.5)
    assert [path.name for path in pictures.paths] == ["1.png", "2.png", "10.PNG", "²1.png"]
    assert (pictures.width, pictures.height, pictures.fps, pictures.length) == (64, 48, 12.5, 4)
    for _ in range(2):
        assert [round(float(picture.mean())) for picture in pictures] == [0, 20, 40, 60]


def test_pictures_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no pictures \(\.png, \.jpg"):
        Pictures.open(tmp_path, 25.0)
    folder = write_pictures(tmp_path / "a", "1.png", "2.png")
    cv2.imwrite(str(folder / "3.png"), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(UserError, match=r"3\.png is 20 x 10, and those before are 64 x 48"):
        [*Pictures.open(folder, 25.0)]
    (folder / "3.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"3\.png is no picture that can be read"):
        [*Pictures.open(folder, 25.0)]


def test_a_camera_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match=r"camera:97 gives no picture: is it connected"):
        Webcam(97)
