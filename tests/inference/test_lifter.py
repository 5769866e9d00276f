from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch

from lib.data.store import Split
from lib.evaluation.lifting import evaluate
from lib.evaluation.metrics import bone_constancy_error
from lib.inference.lifter import Lifter
from lib.models.lifters import Lifted, lift_crops
from lib.pose.crops import Crops
from lib.pose.geometry import bone_lengths, project
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from tests.settings import head_of, synthetic_split, tiny_checkpoint, tiny_model
from tests.synthetic import STANDING


def lifter(frames: int, dilation: int = 1) -> Lifter:
    return Lifter(tiny_checkpoint(frames, dilation), torch.device("cpu"))


class Oracle(torch.nn.Module):
    """Knows the true relative depth of every frame of a split, in the order in which frames are asked for."""

    def __init__(self, split: Split) -> None:
        super().__init__()
        assert split.positions is not None
        self.positions = split.positions

    def forward(self, keypoints: torch.Tensor, confidence: torch.Tensor, scale: torch.Tensor) -> Lifted:
        # Depth along the root's ray, which the crop turns into the optical axis.
        axis = torch.nn.functional.normalize(self.positions[:, :1], dim=-1)
        depth = (self.positions * axis).sum(-1)
        relative = (depth / depth[:, :1] - 1) / scale
        return Lifted(relative, torch.zeros_like(keypoints[:, 0]), scale[:, 0])


def test_true_depths_give_the_true_pose_exactly() -> None:
    split = synthetic_split(12, 5)
    assert split.positions is not None
    lift = lifter(frames=1)
    lift.model = Oracle(split)  # type: ignore[assignment]
    poses = lift.lift(split, batch_size=100, flip=False, constant_bone_lengths=False, denoise=False)
    axis_depth = split.positions[:, 0].norm(dim=-1)  # the root's depth in its crop is its distance
    truth = (split.positions - split.positions[:, :1]) / axis_depth[:, None, None]
    torch.testing.assert_close(poses, truth, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("frames", "dilation"), [(1, 1), (4, 1), (3, 2)])
def test_the_batch_size_does_not_matter(frames: int, dilation: int) -> None:
    split = synthetic_split(9, 3)
    lift = lifter(frames, dilation)
    one, many = (lift.lift(split, size, constant_bone_lengths=False, denoise=False) for size in (1, 100))
    torch.testing.assert_close(one, many)


def test_a_steadied_body_keeps_its_lengths() -> None:
    split = synthetic_split(40, 30)
    lift = lifter(frames=1)
    torch.nn.init.normal_(head_of(lift.model).weight, std=0.05)
    raw, steady = (lift.lift(split, 100, constant_bone_lengths=refined, denoise=False) for refined in (False, True))
    for frames in (slice(0, 40), slice(40, 70)):
        before, after = (bone_constancy_error(poses[frames], H36M).mean() for poses in (raw, steady))
        assert after < 0.8 * before


def test_smoothing_makes_a_noisy_lifter_calmer() -> None:
    split = synthetic_split(60)
    rays = split.rays + 0.01 * torch.randn(split.rays.shape, generator=torch.Generator().manual_seed(0))
    noisy = replace(split, rays=rays)
    lift = lifter(frames=1)
    rough, calm = (lift.lift(noisy, 100, constant_bone_lengths=False, denoise=denoise) for denoise in (False, True))
    assert calm.diff(dim=0).norm(dim=-1).mean() < 0.8 * rough.diff(dim=0).norm(dim=-1).mean()


def test_flip_averaging_makes_a_mirror_symmetric_lifter() -> None:
    split = synthetic_split(6)
    order, sign = torch.tensor(H36M.mirror), torch.tensor([-1.0, 1.0])
    mirrored = Split(H36M, split.table, split.keypoints, split.confidence, split.rays[:, order] * sign, None)
    lift = lifter(frames=1)
    for flip in (False, True):
        one = lift.lift(split, 10, flip, constant_bone_lengths=False, denoise=False)
        other = lift.lift(mirrored, 10, flip, constant_bone_lengths=False, denoise=False)[:, order] * torch.tensor(
            [-1.0, 1.0, 1.0]
        )
        assert torch.allclose(one, other, atol=1e-5) == flip


def test_a_hidden_joint_is_placed_by_the_correction_alone() -> None:
    model = tiny_model(frames=1)
    keypoints, confidence = torch.randn(1, 1, 17, 2), torch.ones(1, 1, 17)
    wrist = H36M.index("left_wrist")
    confidence[..., wrist] = 0
    rotation = torch.eye(3).expand(1, 1, 3, 3)
    moved = keypoints.clone()
    moved[..., wrist, :] += 3
    one, other = (
        lift_crops(model, Crops(k, confidence, torch.full((1, 1), 0.1), rotation))[0] for k in (keypoints, moved)
    )
    assert torch.equal(one, other)


def test_a_real_models_poses_are_root_centred() -> None:
    lift = lifter(frames=1)
    torch.nn.init.normal_(head_of(lift.model).weight)
    poses = lift.lift(synthetic_split(5), 10)
    assert poses[:, H36M.root].abs().max() < 1e-6
    assert poses.abs().max() > 0.01


def test_true_depths_have_no_error_at_the_roots_distance() -> None:
    split = synthetic_split(12)
    lift = lifter(frames=1)
    lift.model = Oracle(split)  # type: ignore[assignment]
    result = evaluate(
        split, lift.lift(split, 100, flip=False, constant_bone_lengths=False, denoise=False), "root_depth", 3.5
    )
    assert float(result.metrics["mpjpe_mm"]) < 0.05


def test_a_model_that_reconstructs_does_not_lift() -> None:
    with pytest.raises(UserError, match="the checkpoint is for reconstruction_2d and does not lift"):
        Lifter(tiny_checkpoint(frames=1, task="reconstruction_2d"), torch.device("cpu"))


def walk(times: torch.Tensor, fps: float, given: bool = False) -> Split:
    """A person who turns slowly, walks away and bends a knee and an elbow, at any seconds."""
    swing = 0.2 * torch.sin(1.5 * times.double())[:, None]
    x, y, z = (STANDING.double()[:, axis].expand(len(times), -1) for axis in range(3))
    bent = torch.tensor([name in ("left_ankle", "right_wrist") for name in H36M.names])
    z = z + swing * bent
    cos, sin = torch.cos(0.5 * times.double())[:, None], torch.sin(0.5 * times.double())[:, None]
    body = torch.stack([cos * x + sin * z + 0.5, y, cos * z - sin * x + 4 + 0.3 * times.double()[:, None]], -1)
    rays = project(body).float()
    table = pd.DataFrame({"start": [0], "length": [len(times)], "fps": [fps]})
    return Split(H36M, table, rays, torch.ones_like(rays[..., 0]), rays, None, times.double() if given else None)


def trained(frames: int) -> Lifter:
    """As if it were: its depths depend on all that it reads."""
    lift = lifter(frames, dilation=3)  # 0.06 s
    torch.nn.init.normal_(head_of(lift.model).weight, std=0.05)
    return lift


PER_WINDOW: dict[str, Any] = {"batch_size": 64, "constant_bone_lengths": False, "denoise": False}


@pytest.mark.parametrize(("fps", "every", "own"), [(100, 2, 1), (240, 24, 5), (25, 1, 2), (24, 12, 25), (60, 6, 5)])
def test_the_same_motion_at_another_rate_is_lifted_alike(fps: int, every: int, own: int) -> None:
    """At the instants that both have: every so many frames of this rate, and of 50 a second."""
    lift = trained(9)
    expected = lift.lift(walk(torch.arange(101) / 50, 50), **PER_WINDOW)[::own]
    poses = lift.lift(walk(torch.arange(2 * fps + 1) / fps, fps), **PER_WINDOW)[::every]
    torch.testing.assert_close(poses, expected, atol=1e-4, rtol=0)
    assert (expected[0] - expected[-1]).abs().max() > 0.05  # there is motion


def test_motion_at_uneven_times_is_lifted_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    even = torch.arange(101, dtype=torch.float64) / 50
    off = 0.3 * (2 * torch.rand(101, generator=generator) - 1) / 50
    same = torch.arange(101) % 5 == 0  # on the clock
    kept = same | (torch.rand(101, generator=generator) > 0.1)
    lift = trained(9)
    expected = lift.lift(walk(even, 50), **PER_WINDOW)[same]
    poses = lift.lift(walk(torch.where(same, even, even + off)[kept], 50, given=True), **PER_WINDOW)[same[kept]]
    torch.testing.assert_close(poses, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("fps", [25.0, 30.0, 50.0])
@pytest.mark.parametrize("given", [False, True])
def test_clips_of_few_frames_are_lifted(fps: float, given: bool) -> None:
    """One frame, and clips shorter than a window, beside a longer one and alone."""
    lift = trained(9)
    for lengths in ((1,), (2,), (5,), (1, 40, 2, 5)):
        split = synthetic_split(*lengths)
        times = torch.cat([torch.arange(length, dtype=torch.float64) / fps for length in lengths])
        split = replace(split, table=split.table.assign(fps=fps), times=times if given else None)
        poses = lift.lift(split, 100)
        assert poses.shape == (sum(lengths), 17, 3) and poses.isfinite().all()
        assert (bone_lengths(poses, H36M).sum(-1) > 0.1).all()


def test_a_single_frame_is_lifted_as_if_it_stood_still() -> None:
    split = synthetic_split(1)
    still = split.take(torch.zeros(20, dtype=torch.long), split.table.assign(length=20))
    lift = trained(9)
    torch.testing.assert_close(lift.lift(split, **PER_WINDOW), lift.lift(still, **PER_WINDOW)[7:8])
