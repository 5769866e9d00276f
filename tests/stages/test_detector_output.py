"""All stages on a folder of OpenPose files without 3D, in which much is hidden."""

import json
from typing import Any

import numpy as np
import pytest

from lib.pose.layouts import LAYOUTS
from lib.runtime.paths import Paths
from stages import evaluate, finetune, preprocess, pretrain, visualize
from tests.param_cases import Changes
from tests.param_runs import params_with
from tests.sources.detector_files import moved, prior_keypoints, write_openpose
from tests.test_undetected import assert_nothing_is_missing, numbers

BODY_25 = LAYOUTS["body_25"].keypoints
NEVER = ("mid_hip", "left_hip", "right_ankle")  # seen: the root among them


def params() -> dict[str, Any]:
    changes: Changes = {"data.source": "keypoints", "data.keypoints": "auto", "data.split": "auto"}
    changes |= {"finetune.enabled": False, "finetune.checkpoint": "data/models/pretrained.pt"}
    changed = params_with("lift", {**changes, "visualize.count": 3, "visualize.gif_frames": 3})
    changed["training"] |= {"epochs": 1, "prior_epochs": 0}
    return changed


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    paths = Paths(tmp_path_factory.mktemp("detections"))
    for number in range(3):
        poses = prior_keypoints("body_25", 30, seed=number)
        poses[:, [BODY_25.index(name) for name in NEVER]] = np.nan
        people = [[pose, moved(pose, 500)] if frame < 20 else [pose] for frame, pose in enumerate(poses)]
        people[14:17] = [[]] * 3  # the middle frame, which is drawn, shows nobody
        write_openpose(paths.raw("keypoints") / f"video{number}", people)
    for stage in (preprocess, pretrain, finetune, evaluate, visualize):
        stage.run(params(), paths)
    return paths


def test_nothing_is_missing_in_what_the_stages_write(paths: Paths) -> None:
    assert_nothing_is_missing(paths, known=False)
    assert "train/positions" not in numbers(paths.poses)


def test_a_root_that_is_never_seen_lies_among_what_is(paths: Paths) -> None:
    """And is marked as hidden: the ray (0, 0) would be the picture's middle."""
    stored = numbers(paths.poses)
    rays, confidence = stored["test/rays"], stored["test/confidence"]
    root, shown = BODY_25.index("mid_hip"), (confidence > 0).any(1)
    assert (confidence[:, root] == 0).all()
    seen = np.where((confidence > 0)[..., None], rays, np.nan)[shown]
    inside = (rays[shown, root] >= np.nanmin(seen, 1)) & (rays[shown, root] <= np.nanmax(seen, 1))
    assert inside.all() and (np.abs(rays[shown, root]).max(1) > 0).all()


def test_what_is_measured_without_3d_is_said(paths: Paths) -> None:
    metrics = json.loads(paths.metrics("evaluate").read_text())
    assert metrics["labelled_frames"] == 0 and metrics["undetected_frames"] > 0
    assert {"bone_symmetry_error", "bone_constancy_error", "stated_error_mm"} <= set(metrics)
    assert not any("mpjpe_mm" in name or "pck" in name for name in metrics)


def test_pictures_are_drawn(paths: Paths) -> None:
    pictures = {path.name for path in paths.figures.iterdir()}
    assert {"sequences.png", "hidden_by_joint.png", "joints.png"} <= pictures
    assert any(name.endswith(".gif") for name in pictures)
    assert "examples.png" not in pictures
