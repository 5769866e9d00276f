"""Files that hold several videos, and files that do not tell frames apart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.runtime.errors import UserError
from tests.sources.detector_files import coco_results, flat, moved, prior_keypoints, write_json
from tests.sources.test_keypoint_source import read_folder


@pytest.mark.parametrize(
    ("names", "videos"),
    [
        (("video1/{:06}.jpg", "video2/{:06}.jpg"), ["video1", "video2"]),
        (("a/one_{}.png", "a/two_{}.png"), ["a_one", "a_two"]),
        (("C:\\v\\a{}.png", "C:\\v\\b{}.png"), ["C:_v_a", "C:_v_b"]),
        (("ann/{}_pose.jpg", "ben/{}_pose.jpg"), ["ann", "ben"]),
        (("{}.jpg", "ben/{}.jpg"), ["all", "ben"]),
    ],
)
@pytest.mark.parametrize("form", ["entries", "images", "data set"])
def test_videos_of_one_file_are_told_by_the_names_of_their_images(
    names: tuple[str, str], videos: list[str], form: str, tmp_path: Path
) -> None:
    poses = [prior_keypoints("coco", seed=seed) for seed in (0, 1)]
    ids = [
        (name.format(frame), pose) for name, some in zip(names, poses, strict=True) for frame, pose in enumerate(some)
    ]
    if form == "entries":
        content: Any = [{"image_id": image, "keypoints": flat(pose), "score": 0.9} for image, pose in ids]
    elif form == "images":
        content = {image: {"version": 0.1, "people": [{"pose_keypoints_2d": flat(pose)}]} for image, pose in ids}
    else:
        content = {
            "images": [{"id": number, "file_name": image} for number, (image, _) in enumerate(ids)],
            "annotations": [{"image_id": number, "keypoints": flat(pose)} for number, (_, pose) in enumerate(ids)],
        }
    write_json(tmp_path / "all.json", content)
    data = read_folder(tmp_path)
    assert [(s.subject, s.action, len(s.keypoints)) for s in data.sequences] == [("all", video, 40) for video in videos]
    for sequence, some in zip(data.sequences, poses, strict=True):
        assert np.abs(sequence.keypoints.numpy() - some[..., :2]).max() < 0.01


@pytest.mark.parametrize("name", ["frame{}_v2.png", "{}/image.png", "{}.png", "image_{:04}_rgb.jpg"])
def test_images_of_one_video_stay_together(name: str, tmp_path: Path) -> None:
    entries = [e | {"image_id": name.format(e["image_id"])} for e in coco_results(prior_keypoints("coco"))]
    write_json(tmp_path / "walk.json", entries)
    assert [(s.action, len(s.keypoints)) for s in read_folder(tmp_path).sequences] == [("walk", 40)]


def test_a_video_of_a_file_that_is_wrong_leaves_the_others(tmp_path: Path) -> None:
    entries = [e | {"image_id": f"good/{e['image_id']}.jpg"} for e in coco_results(prior_keypoints("coco"))]
    entries += [{"image_id": f"bad/{n}.jpg", "keypoints": ["x"] * 51} for n in range(5)]
    write_json(tmp_path / "all.json", entries)
    data = read_folder(tmp_path)
    assert [s.action for s in data.sequences] == ["good"] and len(data.dropped) == 1
    assert any("all.json: bad: keypoints that are no numbers" in note for note in data.notes)


@pytest.mark.parametrize("image", ["video.mp4", 0])
def test_frames_that_are_not_told_apart_are_refused_and_a_crowd_is_not(image: Any, tmp_path: Path) -> None:
    poses = prior_keypoints("coco")
    people = [pose for one in poses for pose in (one, moved(one, 600))]
    for some in (poses, people):
        write_json(tmp_path / "walk.json", [{"image_id": image, "keypoints": flat(pose), "score": 1} for pose in some])
        with pytest.raises(UserError, match=r"walk\.json: frames cannot be told apart: its \d+ poses are all of one"):
            read_folder(tmp_path, min_frames=1)
    crowd = [moved(poses[0], 150 * number) for number in range(12)]
    write_json(tmp_path / "walk.json", [{"image_id": image, "keypoints": flat(pose), "score": 1} for pose in crowd])
    assert len(read_folder(tmp_path, min_frames=1).sequences) == 12
