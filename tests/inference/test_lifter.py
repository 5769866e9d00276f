from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from lib.data.split import Split
from lib.evaluation.lifting import evaluate
from lib.evaluation.metrics import bone_constancy_error
from lib.inference.lifter import Lifter
from lib.models.lifters import Lifted, lift_poses
from lib.pose.crops import Crops, Rays, perspective_crops
from lib.pose.geometry import bone_lengths, project, root_centred, rotate
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout, make_layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from tests.settings import KNOWN, SMALL, head_of, synthetic_split, tiny_checkpoint, tiny_model
from tests.synthetic import STANDING


def lifter(frames: int, dilation: int = 1) -> Lifter:
    return Lifter(tiny_checkpoint(frames, dilation), torch.device("cpu"))


class Oracle(torch.nn.Module):
    """Knows the true relative depths of a split of joints, in the order in which frames are asked for."""

    def __init__(self, split: Split, noise: float = 0.0) -> None:
        super().__init__()
        assert split.positions is not None
        self.positions, self.noise = split.positions, noise

    def forward(self, keypoints: torch.Tensor, confidence: torch.Tensor, scale: torch.Tensor, layout: Layout) -> Lifted:
        # Depth along the crop's axis, which goes through the middle of the trunk and not through the root.
        rays = project(self.positions)
        turned = rotate(_crop_rotation(rays, layout), self.positions)
        depth = turned[..., 2].repeat(1, 2)
        off = torch.randn(depth.shape, generator=torch.Generator().manual_seed(0))
        relative = (depth / depth[:, :1] - 1 + self.noise * off) / scale
        level = scale.new_tensor([0.0, -1.0, 0.0]).expand(len(scale), 3)
        return Lifted(relative, torch.zeros(*depth.shape, 2), torch.full_like(depth, 0.1), level)


def _crop_rotation(rays: torch.Tensor, layout: Layout) -> torch.Tensor:
    crops = perspective_crops(Rays(rays[:, None], torch.zeros_like(rays[:, None, :, 0]), layout))
    return crops.rotation[:, 0]


def test_true_depths_give_the_true_pose_exactly() -> None:
    split = synthetic_split(12, 5)
    assert split.positions is not None
    lift = lifter(frames=1)
    lift.model = Oracle(split)  # type: ignore[assignment]
    poses = lift.lift(split, batch_size=100, flip=False, constant_bone_lengths=False, denoise=False)
    truth = root_centred(split.positions, H36M) / split.positions[:, :1].norm(dim=-1, keepdim=True)
    torch.testing.assert_close(poses.joints, truth, atol=1e-5, rtol=1e-4)
    assert torch.equal(poses.keypoints, poses.joints)  # the layout marks the joints themselves


@pytest.mark.parametrize(("frames", "dilation"), [(1, 1), (4, 1), (3, 2)])
def test_the_batch_size_does_not_matter(frames: int, dilation: int) -> None:
    split = synthetic_split(9, 3)
    lift = lifter(frames, dilation)
    one, many = (lift.lift(split, size, constant_bone_lengths=False, denoise=False) for size in (1, 100))
    torch.testing.assert_close(one, many)


def test_a_steadied_body_keeps_its_lengths() -> None:
    split = synthetic_split(40, 30)
    lift = lifter(frames=1)
    lift.model = Oracle(split, noise=0.01)  # type: ignore[assignment]
    raw, steady = (
        lift.lift(split, 100, flip=False, constant_bone_lengths=refined, depth_signs=False, denoise=False)
        for refined in (False, True)
    )
    for frames in (slice(0, 40), slice(40, 70)):
        before, after = (bone_constancy_error(poses.joints[frames], H36M).mean() for poses in (raw, steady))
        assert after < 0.8 * before


def test_a_steadied_limb_points_to_the_side_that_it_points_to_over_time() -> None:
    """The model takes a forearm for its mirror image in depth, now and then: the sequence knows better."""
    split = synthetic_split(40)
    assert split.positions is not None
    lift = lifter(frames=1)
    bone = [H36M.index("left_wrist"), H36M.index("left_elbow")]
    across = split.positions[:, bone].clone()
    across[:, 0] = across[:, 1] + torch.tensor([0.1, 0.0, 0.25])  # 0.27 m, away from the camera
    positions = split.positions.clone()
    positions[:, bone[0]] = across[:, 0]
    wrong = positions.clone()
    sight = torch.nn.functional.normalize(positions[:, bone[0]], dim=-1)
    nearest = (positions[:, bone[1]] * sight).sum(-1, keepdim=True) * sight
    wrong[::7, bone[0]] = (2 * nearest - positions[:, bone[0]])[::7]
    split, seen = (replace(split, positions=part, rays=project(part)) for part in (positions, wrong))
    torch.testing.assert_close(split.rays, seen.rays, atol=1e-5, rtol=0)
    lift.model = Oracle(seen)  # type: ignore[assignment]
    truth = root_centred(positions, H36M) / positions[:, :1].norm(dim=-1, keepdim=True)
    errors = []
    for signs in (False, True):
        lifted = lift.lift(split, 100, flip=False, constant_bone_lengths=True, depth_signs=signs, denoise=False)
        errors.append((lifted.joints - truth)[::7, bone[0]].norm(dim=-1).mean())
    assert errors[1] < 0.3 * errors[0]


def test_smoothing_makes_a_noisy_lifter_calmer() -> None:
    split = synthetic_split(60)
    rays = split.rays + 0.01 * torch.randn(split.rays.shape, generator=torch.Generator().manual_seed(0))
    noisy = replace(split, rays=rays)
    lift = lifter(frames=1)
    rough, calm = (lift.lift(noisy, 100, constant_bone_lengths=False, denoise=denoise) for denoise in (False, True))
    after, before = (poses.joints.diff(dim=0).norm(dim=-1).mean() for poses in (calm, rough))
    assert after < 0.8 * before


def test_flip_averaging_makes_a_mirror_symmetric_lifter() -> None:
    split = synthetic_split(6)
    order, sign = torch.tensor(H36M.mirror), torch.tensor([-1.0, 1.0])
    mirrored = replace(split, rays=split.rays[:, order] * sign, positions=None)
    lift = lifter(frames=1)
    for flip in (False, True):
        one = lift.lift(split, 10, flip, constant_bone_lengths=False, denoise=False)
        other = lift.lift(mirrored, 10, flip, constant_bone_lengths=False, denoise=False)
        back = other.joints[:, order] * torch.tensor([-1.0, 1.0, 1.0])
        assert torch.allclose(one.joints, back, atol=1e-5) == flip
        assert torch.allclose(one.joint_error, other.joint_error[:, order], atol=1e-6) == flip


def test_a_hidden_joint_is_placed_by_the_correction_alone() -> None:
    model = tiny_model(frames=1)
    keypoints, confidence = torch.randn(1, 1, 17, 2), torch.ones(1, 1, 17)
    wrist = H36M.index("left_wrist")
    confidence[..., wrist] = 0
    rotation = torch.eye(3).expand(1, 1, 3, 3)
    moved = keypoints.clone()
    moved[..., wrist, :] += 3
    scale = torch.full((1, 1), 0.1)
    one, other = (
        lift_poses(model, Crops(k, confidence, scale, rotation, H36M_LAYOUT)).points for k in (keypoints, moved)
    )
    assert torch.equal(one, other)


def test_a_real_models_poses_are_root_centred() -> None:
    lift = lifter(frames=1)
    torch.nn.init.normal_(head_of(lift.model).weight)
    poses = lift.lift(synthetic_split(5), 10)
    assert poses.joints[:, H36M.root].abs().max() < 1e-6
    assert poses.joints.abs().max() > 0.01


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


def test_a_missing_file_names_the_stage_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"finetuned\.pt is missing: run `dvc repro finetune` first"):
        Lifter.load(Paths(tmp_path).finetuned)


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
    clock = times.double() if given else None
    return Split(H36M_LAYOUT, table, rays, torch.ones_like(rays[..., 0]), rays, None, clock)


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
    expected = lift.lift(walk(torch.arange(101) / 50, 50), **PER_WINDOW).joints[::own]
    poses = lift.lift(walk(torch.arange(2 * fps + 1) / fps, fps), **PER_WINDOW).joints[::every]
    torch.testing.assert_close(poses, expected, atol=4e-4, rtol=0)  # lines are no curves
    assert (expected[0] - expected[-1]).abs().max() > 0.05  # there is motion


def test_motion_at_uneven_times_is_lifted_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    even = torch.arange(101, dtype=torch.float64) / 50
    off = 0.3 * (2 * torch.rand(101, generator=generator) - 1) / 50
    same = torch.arange(101) % 5 == 0  # on the clock
    kept = same | (torch.rand(101, generator=generator) > 0.1)
    lift = trained(9)
    expected = lift.lift(walk(even, 50), **PER_WINDOW).joints[same]
    uneven = walk(torch.where(same, even, even + off)[kept], 50, given=True)
    poses = lift.lift(uneven, **PER_WINDOW).joints[same[kept]]
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
        poses = lift.lift(split, 100).joints
        assert poses.shape == (sum(lengths), 17, 3) and poses.isfinite().all()
        assert (bone_lengths(poses, H36M).sum(-1) > 0.1).all()


def test_a_single_frame_is_lifted_as_if_it_stood_still() -> None:
    split = synthetic_split(1)
    still = split.take(torch.zeros(20, dtype=torch.long), split.table.assign(length=20))
    lift = trained(9)
    one, many = (lift.lift(part, **PER_WINDOW) for part in (split, still))
    for frame, frames in zip(one, many, strict=True):
        torch.testing.assert_close(frame, frames[7:8])


# Layouts


@pytest.mark.parametrize("layout", KNOWN, ids=lambda layout: layout.name)
def test_a_split_of_any_layout_is_lifted_to_joints_and_its_own_keypoints(layout: Layout) -> None:
    split = synthetic_split(12, 5, layout=layout)
    lift = lifter(frames=3)
    torch.nn.init.normal_(head_of(lift.model).weight, std=0.05)
    lifted = lift.lift(split, 10)
    assert lifted.joints.shape == (17, JOINTS, 3) and lifted.keypoints.shape == (17, len(layout), 3)
    assert lifted.joint_error.shape == (17, JOINTS) and lifted.keypoint_error.shape == (17, len(layout))
    assert all(part.isfinite().all() for part in lifted)
    assert lifted.joint_error.min() > 0 and lifted.keypoint_error.min() > 0
    # Points are where they are seen, whatever the model says of depths.
    whole = lift.lift(split, 10, constant_bone_lengths=False, denoise=False)
    assert not torch.equal(whole.joints, lifted.joints)


def test_the_mirrored_view_counts_as_much_in_every_layout() -> None:
    for layout in (LAYOUTS["coco"], LAYOUTS["body_25"], SMALL):
        split = synthetic_split(6, layout=layout)
        order, sign = torch.tensor(layout.skeleton.mirror), torch.tensor([-1.0, 1.0])
        mirrored = replace(split, rays=split.rays[:, order] * sign)
        lift = trained(1)
        one, other = (lift.lift(part, **PER_WINDOW) for part in (split, mirrored))
        back = torch.tensor([-1.0, 1.0, 1.0])
        torch.testing.assert_close(one.keypoints, other.keypoints[:, order] * back, atol=1e-5, rtol=0)
        torch.testing.assert_close(one.joints, other.joints[:, list(H36M.mirror)] * back, atol=1e-5, rtol=0)


def test_a_layout_that_the_model_does_not_know_is_one_line() -> None:
    split = synthetic_split(5, layout=make_layout("hands", {"one": "left_wrist", "other": "right_wrist"}, {}, 0.0))
    with pytest.raises(
        UserError, match=r"does not know the layout 'hands' of the data \(one, other\): pretrain on"
    ) as e:
        lifter(frames=1).lift(split, 10)
    assert "\n" not in str(e.value)


def test_another_unit_is_another_factor_of_all_lengths() -> None:
    lifted = lifter(frames=1).lift(synthetic_split(5), 10)
    scaled = lifted.scaled(torch.arange(5.0))
    for name, part in lifted._asdict().items():
        torch.testing.assert_close(getattr(scaled, name)[3], (1 if name == "up" else 3) * part[3])


def test_some_frames_are_lifted_as_among_all() -> None:
    split, lift = synthetic_split(9, 4), lifter(frames=3)
    some = torch.tensor([0, 8, 9, 12, 3])
    for part, of_all in zip(lift.lift_windows(split, frames=some), lift.lift_windows(split), strict=True):
        torch.testing.assert_close(part, of_all[some])
