"""2D that is not of its 3D is refused in one line; noise, gaps and single wrong takes are not."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.data.reprojection import check_reprojection
from lib.runtime.errors import UserError
from lib.sources import sample
from lib.sources.base import PoseSequence
from lib.sources.h36m_cameras import cameras
from tests.data.files import random_walk

Change = Callable[[PoseSequence], PoseSequence]


def sequences(takes: int = 2, subject: str = "S1") -> list[PoseSequence]:
    """Somebody before Human3.6M's cameras."""
    found = []
    for take in range(takes):
        world = torch.from_numpy(random_walk(40, np.random.default_rng(take))).double()
        for camera in cameras(subject):
            positions = camera.to_camera(world)
            keypoints, confidence = camera.project(positions).float(), torch.ones(40, 17)
            found.append(PoseSequence(subject, f"Walk {take}", camera, 50.0, keypoints, confidence, positions.float()))
    return found


def moved(each: PoseSequence, keypoints: torch.Tensor) -> PoseSequence:
    return replace(each, keypoints=keypoints)


def scaled(each: PoseSequence, factor: float) -> PoseSequence:
    assert each.positions is not None
    return replace(each, positions=each.positions * factor)


def turned(each: PoseSequence, z: float) -> PoseSequence:
    assert each.positions is not None
    return replace(each, positions=each.positions * torch.tensor([1.0, -1.0, z]))


def noisy(each: PoseSequence) -> PoseSequence:
    keypoints, confidence = sample.detect(each.keypoints, torch.Generator().manual_seed(0))
    return replace(each, keypoints=keypoints, confidence=confidence)


def hidden(each: PoseSequence) -> PoseSequence:
    """Two thirds of the joints are hidden in one of three ways."""
    keypoints, confidence = each.keypoints.clone(), each.confidence.clone()
    keypoints[:, :4], keypoints[::2, 4:8], confidence[:, 8:11] = torch.nan, 0.0, 0.0
    keypoints[5:9] = 1e6 * (confidence[5:9, :, None] - 1)
    return replace(each, keypoints=keypoints, confidence=confidence)


def partly(each: PoseSequence) -> PoseSequence:
    assert each.positions is not None
    positions = each.positions.clone()
    positions[::2] = torch.nan
    return replace(each, positions=positions)


@pytest.mark.parametrize(
    "change",
    [
        noisy,
        hidden,
        partly,
        lambda each: hidden(noisy(each)),
        lambda each: replace(each, positions=None),
        lambda each: moved(each, each.keypoints + 15),  # a detector's habits
        lambda each: moved(each, torch.full_like(each.keypoints, torch.nan)),
        lambda each: scaled(each, 0.7),  # a child, or a universal skeleton
    ],
)
def test_what_belongs_together_passes(change: Change) -> None:
    check_reprojection([change(each) for each in sequences()])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda each: moved(each, each.keypoints / 1000),
            "2D lies between .* and .*: it seems to be normalised, give pixels",
        ),
        (
            lambda each: moved(each, each.keypoints / 500 - 1),
            "2D lies between .* and .*: it seems to be normalised, give pixels",
        ),
        (lambda each: moved(each, each.keypoints.flip(-1)), "x and y of the 2D seem to be exchanged"),
        (lambda each: moved(each, each.keypoints * torch.tensor([1.0, -1.0]) + torch.tensor([0.0, 1000.0])), "upwards"),
        (lambda each: moved(each, each.keypoints / 2), "a picture of half the size"),
        (lambda each: moved(each, each.keypoints - 500), "counted from the picture's middle"),
        (lambda each: moved(each, each.keypoints * 1e30), "2D is off by .* times the body's extent"),
        (lambda each: moved(each, each.keypoints.roll(5, 1)), "2D is off by .* times .* the layout \\(data.layout\\)"),
        (lambda each: scaled(each, 1000), "3D seems to be in millimetres .*: give metres"),
        (lambda each: scaled(each, 100), "3D seems to be in centimetres .*: give metres"),
        (lambda each: scaled(each, 1e-3), "3D is in another unit, or no body .*: give metres"),
        (lambda each: scaled(each, -1), "3D lies behind the camera: give it in the camera's frame"),
        (lambda each: turned(each, 1.0), "3D seems to have y up"),
        (lambda each: turned(each, -1.0), "3D lies behind the camera: give it in the camera's frame"),
        (lambda each: scaled(noisy(hidden(each)), 1000), "3D seems to be in millimetres"),
    ],
)
def test_what_does_not_is_one_line(change: Change, message: str) -> None:
    with pytest.raises(UserError, match=message) as found:
        check_reprojection([change(each) for each in sequences()])
    assert "\n" not in str(found.value)
    assert str(found.value).startswith(
        "2D and 3D do not belong together in 8 of 8 sequences of S1, such as S1/Walk 0/54138969: "
    )


@pytest.mark.parametrize("order", [(1, 2, 3, 0), (1, 0, 2, 3)])
def test_cameras_in_another_order_are_told(order: tuple[int, ...]) -> None:
    own = sequences()
    mixed = [replace(each, keypoints=own[4 * (i // 4) + order[i % 4]].keypoints) for i, each in enumerate(own)]
    with pytest.raises(UserError, match=r"sees the 3D: the cameras seem to be in another order than their 2D$"):
        check_reprojection(mixed)


def test_one_subject_in_millimetres_is_found_among_others() -> None:
    others = [each for subject in ("S5", "S6", "S7", "S8") for each in sequences(4, subject)]
    with pytest.raises(UserError, match="in 4 of 4 sequences of S9, such as S9/.* millimetres"):
        check_reprojection([*others, *(scaled(each, 1000) for each in sequences(1, "S9"))])


def test_single_takes_may_be_wrong() -> None:
    """As Human3.6M's S9 has them."""
    own = sequences(10)
    own[:8] = [moved(each, each.keypoints.flip(0) + 200) for each in own[:8]]
    check_reprojection(own)
    own[8:12] = [moved(each, each.keypoints + 300) for each in own[8:12]]
    with pytest.raises(UserError, match="in 12 of 40 sequences of S1"):
        check_reprojection(own)
