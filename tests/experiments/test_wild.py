"""The conditions of cameras: what is lifted under each, and the focal lengths that the table states."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import Tensor

from lib.data.split import Split
from lib.experiments import wild as experiment
from lib.experiments.wild import ASSUMED, COLUMNS, CONDITIONS, DETECTED, FOUND, recorded, wild
from lib.inference.camera_search import FoundCamera
from lib.inference.lifter import LiftedSplit, Lifter
from lib.pose.cameras import Camera, assumed_camera
from lib.sources.climbing import JOINTS, Motion
from lib.sources.recordings import Recording
from tests.synthetic import lifted_points

SIZE, FRAMES = (1920, 1080), 6
CAMERAS = [Camera(name, SIZE, (1000.0, 1000.0), (960.0, 540.0), (-0.1, 0.0, 0.0)) for name in ("one", "two")]
OVER = assumed_camera(SIZE).focal[0] / 1000
UP = (0.0, -1.0, 0.0)
TOLD = {
    "one": FoundCamera(0.8, 0.1, UP, 0, 1, 0, 1, 60.0),  # it tells
    "two": FoundCamera(0.5, 0.3, UP, 0, 1, 0, 1, 60.0),  # it does not
}


def recording(camera: Camera) -> Recording:
    generator = torch.Generator().manual_seed(1)
    reference = 0.5 * torch.randn(FRAMES, 33, 3, generator=generator) + torch.tensor([0.0, 0.0, 6.0])
    keypoints, sure = camera.project(reference), torch.ones(FRAMES, 33)
    return Recording("walk", "p", camera, 60.0, keypoints, sure, reference, sure, sure > 0, sure < 0)


class Spy(Lifter):
    """Notes what it lifts, and gives the truth."""

    def __init__(self) -> None:
        self.lifted: list[Split] = []

    def lift(self, split: Split, batch_size: int = 4096, *flags: bool, **way: bool) -> LiftedSplit:
        if not way:  # the first of the two ways in which each condition is lifted
            self.lifted.append(split)
        assert split.positions is not None
        points, error = split.positions, torch.zeros(split.positions.shape[:2])
        return lifted_points(points, points, error, error)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> tuple[pd.DataFrame, dict[str, Split], list[Split]]:
    """The table for two cameras read as BlazePose, each condition's split, and what cameras were sought in."""
    asked: list[Split] = []

    def find(split: Split, lifter: Lifter) -> dict[str, FoundCamera]:
        asked.append(split)
        return TOLD

    monkeypatch.setattr(experiment, "find_cameras", find)
    monkeypatch.setattr(experiment, "READ_AS", ("mediapipe_33",))
    spy = Spy()
    table = wild(spy, [recording(camera) for camera in CAMERAS], [])
    return table, dict(zip(table["condition"], spy.lifted, strict=True)), asked


def test_assumed_cameras_have_no_distortion_and_the_pictures_focal_length(
    run: tuple[pd.DataFrame, dict[str, Split], list[Split]],
) -> None:
    _, splits, asked = run
    keypoints = torch.cat([recording(camera).keypoints for camera in CAMERAS])
    expected = assumed_camera(SIZE).to_rays(keypoints)
    torch.testing.assert_close(splits[ASSUMED].rays, expected)
    assert (splits["as detected"].rays - expected).abs().max() > 0.01
    assert len(asked) == 1
    torch.testing.assert_close(asked[0].rays, expected)  # cameras are sought in what is assumed


def test_found_cameras_are_the_assumed_ones_but_where_motion_tells(
    run: tuple[pd.DataFrame, dict[str, Split], list[Split]],
) -> None:
    _, splits, _ = run
    assumed, found = splits[ASSUMED].rays.split(FRAMES), splits[FOUND].rays.split(FRAMES)
    torch.testing.assert_close(found[0], assumed[0] / 0.8)
    torch.testing.assert_close(found[1], assumed[1])


def test_the_table_has_the_focal_lengths(run: tuple[pd.DataFrame, dict[str, Split], list[Split]]) -> None:
    table, _, _ = run
    assert tuple(table.columns) == COLUMNS
    focal = dict(zip(table["condition"], table["focal"], strict=True))
    assert list(focal) == [condition.name for condition in CONDITIONS] + [ASSUMED, FOUND]
    assert focal["as detected"] == "1" and focal["focal length wrong by 1.4"] == "1.4"
    assert focal[ASSUMED] == f"{OVER:.2f}"
    assert focal[FOUND] == f"{0.8 * OVER:.2f} to {OVER:.2f}, 1 of 2 told"
    assert (table["p_mpjpe_mm"] < 0.1).all() and (table["frames"] == 2 * FRAMES).all()


def test_climbing_is_seen_by_assumed_cameras_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        experiment, "find_cameras", lambda split, lifter: dict.fromkeys(split.table["camera"], TOLD["two"])
    )
    spy = Spy()
    table = wild(spy, [], [Motion("up", 120.0, torch.randn(9, len(JOINTS), 3))])
    splits: dict[str, Tensor] = {name: one.rays for name, one in zip(table["condition"], spy.lifted, strict=True)}
    factor = assumed_camera((1000, 1000)).focal[0] / 1150
    torch.testing.assert_close(splits[ASSUMED], splits["as detected"] / factor)
    assert table.iloc[-1]["focal"] == f"{factor:.2f}, 0 of 4 told"


def test_another_camera_changes_nothing_but_rays() -> None:
    known = recording(CAMERAS[0])
    split = recorded([known], DETECTED)
    assumed = recorded([known._replace(camera=assumed_camera(SIZE))], DETECTED)
    torch.testing.assert_close(replace(assumed, rays=split.rays, table=split.table).keypoints, split.keypoints)
    assert assumed.positions is not None and split.positions is not None
    torch.testing.assert_close(assumed.positions, split.positions)
    torch.testing.assert_close(assumed.confidence, split.confidence)
