"""Frame by frame, as if the rest were still to come."""

import pytest
import torch

from lib.data.store import split_of
from lib.inference.live import FORGOTTEN, Live, LivePose
from lib.pose.cameras import assumed_camera
from lib.pose.geometry import bone_lengths, rotate
from lib.pose.landmarks import JOINTS
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.sources.base import PoseSequence
from tests.inference.test_prediction import generalist
from tests.sources.detector_files import SIZE, prior_keypoints

CAMERA, COCO = assumed_camera(SIZE), LAYOUTS["coco"]


def poses(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(prior_keypoints("coco", frames, seed)).float()


def lifted(live: Live, points: torch.Tensor, times: list[float]) -> list[LivePose | None]:
    return [live.add(one[:, :2], one[:, 2], time) for one, time in zip(points, times, strict=True)]


def live(smooth: bool = False, body_size: float | None = None) -> Live:
    return Live(generalist(), COCO, CAMERA, body_size, smooth)


@pytest.mark.parametrize("rate", [30.0, 12.5])
def test_a_pose_is_that_of_the_last_window_that_ends_now(rate: float) -> None:
    """But for how noisy the 2D is, which is found in the frames of the window alone."""
    points = poses(30)
    times = [number / rate for number in range(30)]
    found = lifted(live(), points, times)
    for last in (0, 7, 29):
        sequence = PoseSequence("", "", CAMERA, rate, points[: last + 1, :, :2], points[: last + 1, :, 2], None)
        split = split_of([sequence], COCO)
        lifter = generalist()
        expected = lifter.lift_windows(split, frames=torch.tensor([last]), live=True)
        pose = found[last]
        assert pose is not None
        root = pose.joints[H36M.root]
        distance = root.norm()
        placed = distance * rotate(expected.rotation[0].mT, expected.points[0] + torch.tensor([0.0, 0.0, 1.0]))
        torch.testing.assert_close(pose.joints, placed[:JOINTS], atol=2e-3, rtol=0)
        torch.testing.assert_close(pose.keypoints, placed[JOINTS:], atol=2e-3, rtol=0)
        torch.testing.assert_close(pose.joint_error, distance * expected.error[0, :JOINTS], atol=5e-3, rtol=0)


def test_bones_add_up_to_the_size_that_is_said() -> None:
    for pose in lifted(live(body_size=3.0), poses(1), [0.0]):
        assert pose is not None
        assert float(bone_lengths(pose.joints[None], H36M).sum()) == pytest.approx(3.0, rel=1e-3)


def test_what_is_yet_to_come_changes_nothing() -> None:
    times = [number / 30 for number in range(12)]
    whole, part = lifted(live(True), poses(12), times), lifted(live(True), poses(12)[:6], times[:6])
    for one, other in zip(whole[:6], part, strict=True):
        assert one is not None and other is not None
        assert torch.equal(one.joints, other.joints)


def test_smoothing_makes_a_still_body_that_trembles_calmer() -> None:
    shaken = poses(1).repeat(40, 1, 1)
    shaken[..., :2] += 4 * torch.randn(40, 17, 2, generator=torch.Generator().manual_seed(0))
    times = [number / 30 for number in range(40)]
    off, on = (
        torch.stack([pose.joints for pose in lifted(live(smooth), shaken, times) if pose]).diff(dim=0).abs().mean()
        for smooth in (False, True)
    )
    assert on < 0.6 * off


def test_a_frame_that_shows_nobody_has_no_pose() -> None:
    nobody = torch.zeros(17, 3)
    one = live()
    assert one.add(nobody[:, :2], nobody[:, 2], 0.0) is None
    first, second = lifted(one, poses(2), [0.1, 0.2])
    assert first is not None and second is not None
    assert one.add(nobody[:, :2], nobody[:, 2], 0.3) is None


@pytest.mark.parametrize("seen", [17, 1])
def test_a_point_is_nobody_and_says_nothing_about_who_comes(seen: int) -> None:
    """All keypoints in one place, or one alone: how far off that is, nothing tells."""
    points, times = poses(6), [number / 30 for number in range(6)]
    point = points[0].clone()
    point[:, :2], point[seen:, 2] = point[5, :2], 0
    first, *others = lifted(live(), torch.cat([point[None], points]), [-1 / 30, *times])
    assert first is None
    for one, other in zip(others, lifted(live(), points, times), strict=True):
        assert one is not None and other is not None
        assert torch.equal(one.joints, other.joints)


@pytest.mark.parametrize("later", [FORGOTTEN + 0.5, -FORGOTTEN - 10.0])
def test_after_a_while_without_anybody_or_a_leap_backwards_a_person_is_a_new_one(later: float) -> None:
    one = live(True)
    lifted(one, poses(20), [100 + number / 30 for number in range(20)])
    (again,) = lifted(one, poses(1, seed=3), [100 + 19 / 30 + later])
    (alone,) = lifted(live(True), poses(1, seed=3), [0.0])
    assert again is not None and alone is not None
    assert torch.equal(again.joints, alone.joints)


def test_after_a_moment_without_anybody_it_is_the_same_person() -> None:
    one, other = live(True), live(True)
    lifted(one, poses(20), [number / 30 for number in range(20)])
    (again,) = lifted(one, poses(1, seed=3), [19 / 30 + 0.8 * FORGOTTEN])
    (alone,) = lifted(other, poses(1, seed=3), [0.0])
    assert again is not None and alone is not None
    assert not torch.allclose(again.joints, alone.joints, atol=0.01)


def test_time_that_stands_still_or_goes_back_a_little_gives_poses_too() -> None:
    for times in ([1.0] * 12, [1.0 - 0.01 * number for number in range(12)]):
        found = lifted(live(True), poses(12), times)
        assert all(pose is not None and pose.joints.isfinite().all() for pose in found)


def test_a_long_stream_keeps_no_more_than_its_windows_need() -> None:
    one = live()
    for number in range(150):
        one.add(poses(2)[number % 2, :, :2], poses(2)[number % 2, :, 2], number / 200)
    reach = one.lifter.window.interval_seconds * one.lifter.window.frames
    assert len(one._frames) < 200 * reach + 10
