"""What counts as seen, and what stands where nothing was."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lib.data.calibration import Calibrated, calibrate, detected_joints
from lib.pose.crops import Crops, Rays, perspective_crops
from lib.pose.geometry import project
from lib.pose.layouts import H36M_LAYOUT
from lib.pose.skeleton import H36M
from lib.sources.base import PoseSequence
from tests.synthetic import sequence

HIPS = [H36M.index("left_hip"), H36M.index("right_hip")]
WRIST = H36M.index("left_wrist")


def whole() -> PoseSequence:
    return sequence("S1", "Walking", 20)


def hide(joints: list[int], frames: slice = slice(5, 10), value: float = torch.nan) -> PoseSequence:
    """The same sequence with some joints not detected in some frames."""
    keypoints = whole().keypoints.clone()
    keypoints[frames, joints] = value
    return replace(whole(), keypoints=keypoints)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0])
def test_a_joint_without_a_place_is_hidden_and_no_other(value: float) -> None:
    calibrated = calibrate(hide([WRIST], value=value), H36M)
    assert all(part.isfinite().all() for part in calibrated)
    expected = torch.ones(20, 17)
    expected[5:10, WRIST] = 0
    assert torch.equal(calibrated.confidence, expected)
    seen = expected > 0
    assert torch.equal(calibrated.rays[seen], calibrate(whole(), H36M).rays[seen])


@pytest.mark.parametrize("value", [torch.nan, 0.0, 321.5])
def test_a_frame_without_a_body_shows_nobody(value: float) -> None:
    sequence = hide(list(range(17)), value=value)
    seen = detected_joints(sequence.keypoints, sequence.confidence)
    assert (seen.any(-1) == seen.all(-1)).all() and (~seen.any(-1)).nonzero()[:, 0].tolist() == [5, 6, 7, 8, 9]


def test_one_joint_alone_is_no_body_and_a_confidence_that_is_no_number_is_none() -> None:
    others = [joint for joint in range(17) if joint != WRIST]
    assert not calibrate(hide(others), H36M).confidence[5:10].any()
    confidence = torch.ones(20, 17)
    confidence[3, WRIST], confidence[4, WRIST] = torch.nan, 0.0
    assert (calibrate(replace(whole(), confidence=confidence), H36M).confidence == 0).nonzero().tolist() == [
        [3, WRIST],
        [4, WRIST],
    ]


def test_a_root_that_was_not_seen_stands_between_the_hips_or_in_the_middle() -> None:
    rays = calibrate(whole(), H36M).rays
    between = calibrate(hide([H36M.root]), H36M).rays
    torch.testing.assert_close(between[5:10, H36M.root], rays[5:10, HIPS].mean(1))
    hidden = [H36M.root, HIPS[0]]
    others = [joint for joint in range(17) if joint not in hidden]
    middle = calibrate(hide(hidden), H36M).rays
    torch.testing.assert_close(middle[5:10, H36M.root], rays[5:10, others].mean(1))
    for changed in (between, middle):
        assert torch.equal(changed[:5], rays[:5]) and torch.equal(changed[10:], rays[10:])
    assert (calibrate(hide(hidden), H36M).confidence[5:10][:, hidden] == 0).all()


def crops(calibrated: Calibrated) -> Crops:
    std = torch.where(calibrated.confidence > 0, 0.0, torch.inf)
    return perspective_crops(Rays(calibrated.rays[None], std[None], H36M_LAYOUT))


def test_frames_that_show_nobody_have_crops_between_those_of_the_frames_that_do() -> None:
    seen, gap = crops(calibrate(whole(), H36M)), crops(calibrate(hide(list(range(17))), H36M))
    torch.testing.assert_close(gap.rotation, seen.rotation, atol=0.02, rtol=0)
    torch.testing.assert_close(gap.scale, seen.scale, rtol=0.1, atol=0)


def test_frames_that_show_nobody_lie_between_those_that_do() -> None:
    gone = list(range(17))
    rays, gap = calibrate(whole(), H36M).rays, calibrate(hide(gone), H36M).rays
    weight = torch.arange(1, 6)[:, None, None] / 6
    torch.testing.assert_close(gap[5:10], torch.lerp(rays[4].expand(5, -1, -1), rays[10].expand(5, -1, -1), weight))
    assert torch.equal(calibrate(hide(gone, slice(0, 4)), H36M).rays[:4], rays[4].expand(4, -1, -1))
    assert torch.equal(calibrate(hide(gone, slice(16, 20)), H36M).rays[16:], rays[15].expand(4, -1, -1))


def test_a_joint_that_no_frame_shows_is_at_the_root_where_nobody_is_seen() -> None:
    keypoints = hide(list(range(17))).keypoints.clone()
    keypoints[:, [WRIST, H36M.root]] = torch.nan
    calibrated = calibrate(replace(whole(), keypoints=keypoints), H36M)
    assert torch.equal(calibrated.rays[5:10, WRIST], calibrated.rays[5:10, H36M.root])
    torch.testing.assert_close(
        calibrated.rays[5:10, H36M.root], calibrate(whole(), H36M).rays[5:10, HIPS].mean(1), atol=5e-3, rtol=0
    )


def test_nobody_at_all_is_finite() -> None:
    calibrated = calibrate(hide(list(range(17)), slice(None)), H36M)
    assert not calibrated.confidence.any() and calibrated.rays.isfinite().all()


def test_what_was_seen_is_what_the_camera_projects() -> None:
    positions = whole().positions
    assert isinstance(positions, Tensor)
    torch.testing.assert_close(calibrate(whole(), H36M).rays, project(positions), atol=1e-5, rtol=0)


def test_stand_ins_are_the_same_whenever_times_begin() -> None:
    """Such as seconds since 1970, which float32 tells apart by minutes."""
    nobody, times = hide(list(range(17))), torch.arange(20, dtype=torch.float64) / 30
    rays = [calibrate(replace(nobody, times=start + times), H36M).rays for start in (0.0, 1.7e9)]
    torch.testing.assert_close(rays[1], rays[0])
    assert not torch.equal(rays[0][5], rays[0][9])
