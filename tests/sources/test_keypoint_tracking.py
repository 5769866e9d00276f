"""Who is who: people who cross, who leave and come back, and who stand in one file, joined or in turn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.sources.base import AutoSplit, PoseSequence, SourceData
from lib.sources.keypoints.read import read
from lib.sources.keypoints.tracking import track
from tests.data.files import source_params
from tests.sources.detector_files import Array, coco_results, moved, prior_keypoints, write_json, write_openpose

FPS = 30.0


def read_folder(raw: Path, **params: Any) -> SourceData:
    return read(raw, source_params("keypoints", **{"keypoints": "auto", "split": AutoSplit(), **params}))


def detections(frames: Sequence[Sequence[Array]]) -> tuple[Array, Array]:
    """The poses of frames, one after the other, and the frame of each."""
    return (
        np.array([pose for people in frames for pose in people]),
        np.repeat(np.arange(len(frames)), [len(people) for people in frames]),
    )


def walk(seed: int, start: float, speed: float, frames: int = 60) -> Array:
    """Somebody who goes from one side to the other, pixels and pixels a frame."""
    poses = prior_keypoints("coco", frames, seed)
    poses[..., :2] -= np.nanmean(poses[..., :2], axis=(0, 1))
    poses[..., 0] += 960 + start + speed * np.arange(frames)[:, None]
    poses[..., 1] += 540
    return poses


def longest(data: SourceData) -> PoseSequence:
    return max(data.sequences, key=lambda sequence: len(sequence.keypoints))


@pytest.mark.parametrize("seed", range(6))
def test_two_people_who_cross_keep_their_numbers(seed: int) -> None:
    one, other = walk(seed, -300, 10.0), walk(seed + 50, 300, -10.0)
    frames = [[a, b] if number % 2 else [b, a] for number, (a, b) in enumerate(zip(one, other, strict=True))]
    number = track(*detections(frames), FPS).reshape(60, 2)
    first = [row[0] if place % 2 else row[1] for place, row in enumerate(number)]
    assert len(set(first)) == 1 and set(number.ravel()) == {0, 1}


def test_who_is_hidden_by_another_while_they_cross_is_found_again() -> None:
    one, other = walk(0, -300, 10.0), walk(51, 300, -10.0)
    frames = [[a] if 27 <= number < 33 else [a, b] for number, (a, b) in enumerate(zip(one, other, strict=True))]
    number = track(*detections(frames), FPS)
    assert number.max() == 1
    assert (number[:54:2] == number[0]).all() and (number[-54::2] == number[0]).all()


def test_frames_in_turn_are_two_people(tmp_path: Path) -> None:
    """One detection a frame, of one person and then of the other."""
    one, other = walk(0, -300, 0.0), walk(1, 300, 0.0)
    write_json(tmp_path / "walk.json", coco_results(np.stack([(one, other)[f % 2][f] for f in range(60)])))
    data = read_folder(tmp_path)
    assert data.inputs["people"] == 2 and len(data.sequences) == 2
    for sequence, first in zip(data.sequences, (0, 1), strict=True):
        shown = (sequence.confidence > 0).any(1)
        assert len(shown) == 59 and shown[::2].all() and not shown[1::2].any()
        x = sequence.keypoints[shown][..., 0].mean()
        assert abs(float(x) - (660, 1260)[first]) < 50


def test_people_one_after_the_other_are_two(tmp_path: Path) -> None:
    one, other = walk(0, -300, 0.0, 30), walk(1, 300, 0.0, 30)
    write_json(tmp_path / "walk.json", coco_results(np.concatenate([one, other])))
    data = read_folder(tmp_path)
    assert [(s.action, len(s.keypoints)) for s in data.sequences] == [("walk_p0", 30), ("walk_p1", 30)]
    assert all((s.confidence > 0).all() for s in data.sequences)


@pytest.mark.parametrize("away", [20, 45])
def test_who_leaves_and_comes_back(away: int, tmp_path: Path) -> None:
    """Within a second it is one sequence with a gap; later another."""
    poses = walk(0, -100, 1.0, 120)
    write_openpose(tmp_path / "ann", [[] if 40 <= f < 40 + away else [pose] for f, pose in enumerate(poses)])
    data = read_folder(tmp_path)
    (first, *others) = data.sequences
    if away < FPS:
        assert not others and len(first.keypoints) == 120
        assert (first.confidence[40 : 40 + away] == 0).all() and first.keypoints[40 : 40 + away].isnan().all()
    else:
        assert [len(s.keypoints) for s in data.sequences] == [40, 120 - 40 - away]


def test_a_person_with_a_number_stays_one_over_gaps(tmp_path: Path) -> None:
    """Who comes back with the same number, at another place, is the same person, in another take."""
    ann, ben = walk(0, -300, 0.0, 120), walk(1, 300, 0.0, 120)
    ann_s = [e for e in coco_results(ann, idx=4) if not 40 <= e["image_id"] < 90]
    entries = [e | {"image_id": f"{e['image_id']}.jpg"} for e in (*ann_s, *coco_results(ben, idx=9))]
    write_json(tmp_path / "walk.json", entries)
    data = read_folder(tmp_path)
    found = {s.action: len(s.keypoints) for s in data.sequences}
    assert found == {"walk_p4": 40, "walk_p4 2": 30, "walk_p9": 120} and data.inputs["people"] == 2


def test_people_are_chosen(tmp_path: Path) -> None:
    one, other = walk(0, -300, 0.0), walk(1, 300, 0.0)
    frames = [[a, b] if number < 40 else [b] for number, (a, b) in enumerate(zip(one, other, strict=True))]
    write_openpose(tmp_path / "ann" / "walk", frames)
    assert [s.action for s in read_folder(tmp_path).sequences] == ["walk_p0", "walk_p1"]
    data = read_folder(tmp_path, people="longest")
    assert [(s.subject, s.action, len(s.keypoints)) for s in data.sequences] == [("ann", "walk_p1", 60)]
    assert [(d.action, d.reason, d.frames) for d in data.dropped] == [("walk_p0", "not_chosen", 40)]
    assert [s.action for s in read_folder(tmp_path, people=0).sequences] == ["walk_p0"]


def test_a_number_that_stands_twice_in_a_frame_is_the_surest_of_them(tmp_path: Path) -> None:
    one, other = walk(0, -300, 0.0), walk(1, 300, 0.0)
    doubtful = moved(one, 5)
    doubtful[..., 2] = 0.3
    entries = [*coco_results(doubtful, track_id=1), *coco_results(one, track_id=1), *coco_results(other, track_id=2)]
    write_json(tmp_path / "walk.json", entries)
    data = read_folder(tmp_path)
    assert len(data.sequences) == 2 and all((s.confidence > 0.8).all() for s in data.sequences)


def test_what_is_taken_for_a_person_now_and_then_is_left_out(tmp_path: Path) -> None:
    poses, wall = walk(0, 0, 1.0, 90), moved(walk(1, 500, 0.0, 90), 0)
    wall[:] = wall[0]
    frames = [[pose, wall[0]] if number % 7 == 0 else [pose] for number, pose in enumerate(poses)]
    write_openpose(tmp_path / "ann", frames)
    data = read_folder(tmp_path)
    assert len(data.sequences) == 1 and [d.reason for d in data.dropped] == ["rarely_seen"]


def test_a_video_at_a_low_rate_is_followed() -> None:
    poses = walk(3, -300, 10.0)[::6]
    assert set(track(poses, np.arange(10), 5.0)) == {0}


def test_nobody_and_a_single_detection() -> None:
    assert track(np.zeros((0, 17, 3)), np.zeros(0, np.int64), FPS).shape == (0,)
    assert track(walk(0, 0, 0, 1), np.array([7]), FPS).tolist() == [0]
