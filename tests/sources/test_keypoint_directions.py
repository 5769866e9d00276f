"""Mirrored people are said, and those that are not are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.pose.layouts import layout_named
from lib.sources.keypoints.directions import MIRRORED, chirality
from lib.sources.keypoints.read import read_folder_or_file
from tests.data.files import source_params
from tests.sources.detector_files import Array, prior_keypoints, write_openpose
from tests.sources.test_keypoint_source import read_folder

SHARED = Path(__file__).parents[3] / "shared" / "data" / "detections"


def standing(away: bool) -> Array:
    """Somebody in BODY_25 who stands still: to the camera, or with the back to it; the camera is above the feet."""
    poses, at = np.full((20, 25, 3), np.nan), layout_named("body_25").keypoints.index
    for side, sign in (("left", 1), ("right", -1)):
        out = -sign if away else sign
        toe = -15 if away else 15
        for name, x, y in (
            ("shoulder", 60, 300), ("elbow", 70, 420), ("wrist", 75, 530), ("hip", 35, 550), ("knee", 36, 760),
            ("ankle", 36, 960), ("heel", 36, 975), ("big_toe", 40, 975 + toe), ("ear", 25, 200), ("eye", 10, 190),
        ):  # fmt: skip
            poses[:, at(f"{side}_{name}")] = (900 + out * x, y, 0.9)
    for name, y in (("nose", 205), ("neck", 300), ("mid_hip", 550)):
        poses[:, at(name)] = (900, y, 0.9)
    return poses


def doubts(raw: Path, **changes: Any) -> list[str]:
    return [note for note in read_folder(raw, **changes).notes if "left and right seem exchanged" in note]


@pytest.mark.parametrize("away", [False, True])
def test_exchanged_axes_that_are_turned_back_are_said(away: bool, tmp_path: Path) -> None:
    poses = standing(away)
    write_openpose(tmp_path / "walk", [[pose] for pose in poses])
    assert not doubts(tmp_path)
    write_openpose(tmp_path / "walk", [[pose[:, [1, 0, 2]]] for pose in poses])
    assert any("walk/walk: left and right seem exchanged: 1 of 1" in note for note in doubts(tmp_path, rotate=90))
    turned = np.stack([1920 - poses[..., 0], 1080 - poses[..., 1], poses[..., 2]], -1)
    write_openpose(tmp_path / "walk", [[pose] for pose in turned])
    assert not doubts(tmp_path, rotate=180, size=(1920, 1080))


def test_without_feet_nothing_is_said() -> None:
    assert chirality(prior_keypoints("coco"), layout_named("coco")) is None
    assert chirality(standing(False)[:5], layout_named("body_25")) is None
    feet_hidden = standing(False)
    feet_hidden[:, 19:] = np.nan
    assert chirality(feet_hidden, layout_named("body_25")) is None


@pytest.mark.skipif(not SHARED.is_dir(), reason="the detectors' files are on machines of development alone")
def test_real_people_are_as_they_should_be() -> None:
    found = 0
    for data in read_folder_or_file(SHARED, source_params("keypoints", keypoints="auto")):
        assert not any("left and right" in note for note in data.notes)
        for sequence in data.sequences:
            points = np.concatenate([sequence.keypoints.numpy(), sequence.confidence.numpy()[..., None]], -1)
            own = chirality(points, data.layout)
            mirrored = chirality(points * [-1, 1, 1], data.layout)
            if own is not None and mirrored is not None:
                assert own > 0.4 and mirrored < MIRRORED
                found += 1
    assert found >= 3
