"""Videos to sequences, by a detector that sees what it is told to."""

from pathlib import Path

import pytest
import torch

from lib.pose.layouts import LAYOUTS
from lib.runtime.errors import UserError
from lib.sources import videos
from lib.sources.videos import fetch_detector, find_videos, read_video
from tests.detection.seeing import Seeing, people
from tests.detection.test_video import write, write_pictures, write_uneven
from tests.sources.detector_files import write_json


def test_a_person_is_a_sequence_with_the_videos_camera_and_rate(tmp_path: Path) -> None:
    seen = people(5)
    source = read_video(write(tmp_path / "walk.avi", 5), Seeing(seen))
    (sequence,) = source.sequences
    assert source.layout == LAYOUTS["mediapipe_33"]
    assert (sequence.subject, sequence.group, sequence.person, sequence.first_frame) == ("walk", "walk", 0, 0)
    assert (sequence.camera.size, sequence.camera.assumed, sequence.fps) == ((64, 48), True, 25.0)
    assert sequence.positions is None
    for frame, person in enumerate(seen):
        torch.testing.assert_close(sequence.keypoints[frame], torch.from_numpy(person.keypoints))
        torch.testing.assert_close(sequence.confidence[frame], torch.from_numpy(person.confidence))


def test_who_leaves_is_a_sequence_from_the_first_frame_to_the_last(tmp_path: Path) -> None:
    seen = people(8)
    source = read_video(write(tmp_path / "a.avi", 8), Seeing([None, None, seen[2], None, seen[4], None]))
    (sequence,) = source.sequences
    assert sequence.first_frame == 2
    assert (sequence.confidence > 0).any(-1).tolist() == [True, False, True]
    assert sequence.keypoints[1].isnan().all()


@pytest.mark.parametrize(("away", "expected"), [(23, [(0, 27)]), (26, [(0, 2), (28, 2)])])
def test_who_is_away_for_more_than_a_second_may_be_somebody_else(
    away: int, expected: list[tuple[int, int]], tmp_path: Path
) -> None:
    seen = people(4)
    source = read_video(write(tmp_path / "a.avi", 4 + away), Seeing([*seen[:2], *[None] * away, *seen[2:]]))
    assert [(each.first_frame, len(each.keypoints)) for each in source.sequences] == expected
    assert {(each.group, each.person) for each in source.sequences} == {("a", 0)}


def test_several_people_are_numbered_by_their_places(tmp_path: Path) -> None:
    one, other = people(4), people(4, seed=1)
    places = Seeing(one, [None] * 4, [None, *other[1:]])
    found = read_video(write(tmp_path / "a.avi", 4), places, people=3).sequences
    assert [(each.person, each.first_frame, len(each.keypoints)) for each in found] == [(0, 0, 4), (2, 1, 3)]
    assert len(read_video(tmp_path / "a.avi", places, people=1).sequences) == 1


def test_frames_that_are_not_evenly_spaced_have_times(tmp_path: Path) -> None:
    times, seen = [0.0, 0.033, 0.1, 0.3, 0.316], people(5)
    (sequence,) = read_video(write_uneven(tmp_path / "a.mkv", times), Seeing([None, *seen[1:]])).sequences
    assert sequence.first_frame == 1 and sequence.times is not None
    assert sequence.times.tolist() == pytest.approx(times[1:])
    for even in ([0.0, 0.04, 0.08, 0.12, 0.16], [0.0, 0.05, 0.07, 0.13, 0.15]):  # what is off by less than half a frame
        (sequence,) = read_video(write_uneven(tmp_path / "b.mkv", even), Seeing(seen)).sequences
        assert (sequence.times, sequence.fps) == (None, 25.0)


def test_nobody_at_all_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.avi: nobody was detected in 3 frames: is a whole person to be seen"):
        read_video(write(tmp_path / "a.avi", 3), Seeing([None] * 3))


def test_a_folder_of_pictures_is_a_video_at_the_rate_that_is_said(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "shots", "2.png", "10.png", "1.png")
    (sequence,) = read_video(folder, Seeing(people(3)), fps=12.0).sequences
    assert (sequence.group, sequence.fps, len(sequence.keypoints)) == ("shots", 12.0, 3)


def test_videos_are_found_in_folders_and_pictures_where_there_is_nothing_else(tmp_path: Path) -> None:
    assert find_videos(tmp_path) == []
    for name in ("b/shots", "a"):
        write_pictures(tmp_path / name, "1.png")
    assert find_videos(tmp_path) == [tmp_path / "a", tmp_path / "b" / "shots"]
    assert find_videos(tmp_path / "a") == [tmp_path / "a"]
    write_json(tmp_path / "b" / "walk.json", [])  # what is beside keypoints shows them drawn
    assert find_videos(tmp_path) == []
    for name in ("b/x.MP4", "a.mov", ".hidden.mp4"):
        (tmp_path / name).touch()
    assert find_videos(tmp_path) == [tmp_path / "a.mov", tmp_path / "b" / "x.MP4"]
    assert find_videos(tmp_path / "a.mov") == [tmp_path / "a.mov"]
    assert find_videos(tmp_path / "b" / "walk.json") == []


def test_networks_that_are_there_are_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Path]()
    monkeypatch.setattr(videos, "fetch", lambda parcel, folder, note, copy: asked.append(folder))
    fetch_detector(tmp_path)
    assert asked == [tmp_path]
    for name in videos.DETECTOR.members.values():
        (tmp_path / name).touch()
    fetch_detector(tmp_path)
    assert asked == [tmp_path]
