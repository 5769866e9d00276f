import math

import pytest
import torch

from lib.anatomy import (
    BONE_SEGMENTS,
    LIMITS,
    SEGMENTS,
    Angles,
    PosePrior,
    PostureWeights,
    PriorParams,
    forward_kinematics,
)
from lib.errors import UserError
from lib.geometry import bone_lengths, project
from lib.params import section
from lib.skeleton import H36M
from tests.settings import PRIOR


def rest(count: int = 1) -> Angles:
    zeros = torch.zeros
    return Angles(
        pelvis=zeros(count, 3),
        spine=zeros(count, 3),
        neck=zeros(count, 3),
        shoulder=zeros(count, 2, 3),
        elbow=zeros(count, 2),
        hip=zeros(count, 2, 3),
        knee=zeros(count, 2),
    )


def pose(angles: Angles) -> dict[str, torch.Tensor]:
    lengths = torch.tensor(list(SEGMENTS.values()))
    return dict(zip(H36M.names, forward_kinematics(angles, lengths[None])[0], strict=True))


def test_at_rest_a_person_stands_upright_with_hanging_arms() -> None:
    joints = pose(rest())
    assert joints["head"][1] > joints["neck"][1] > joints["thorax"][1] > joints["spine"][1] > 0
    assert joints["neck"][2] > joints["thorax"][2]  # the nose is in front
    for side, sign in (("left", 1), ("right", -1)):
        assert sign * joints[f"{side}_hip"][0] > 0
        assert joints[f"{side}_ankle"][1] < joints[f"{side}_knee"][1] < 0
        assert joints[f"{side}_wrist"][1] < joints[f"{side}_elbow"][1] < joints[f"{side}_shoulder"][1]


def test_joints_bend_the_way_people_do() -> None:
    right_angle = math.pi / 2
    angles = rest()
    angles.knee[:], angles.elbow[:] = right_angle, right_angle
    joints = pose(angles)
    for side in ("left", "right"):
        assert joints[f"{side}_ankle"][2] < joints[f"{side}_knee"][2] - 0.3  # heels go back
        assert joints[f"{side}_wrist"][2] > joints[f"{side}_elbow"][2] + 0.2  # hands come forward
    angles = rest()
    angles.hip[..., 0], angles.shoulder[..., 1], angles.spine[..., 0] = right_angle, right_angle, right_angle / 2
    joints = pose(angles)
    for side, sign in (("left", 1), ("right", -1)):
        assert joints[f"{side}_knee"][2] > 0.4  # flexion lifts the knee forward
        assert sign * (joints[f"{side}_elbow"][0] - joints[f"{side}_shoulder"][0]) > 0.25  # abduction is sideways
    assert joints["thorax"][2] > 0.1  # flexion of the spine is forward


def test_bodies_are_symmetric_and_have_the_lengths_they_were_given() -> None:
    prior, generator = PosePrior(PRIOR), torch.Generator().manual_seed(0)
    lengths = prior.sample_lengths(64, generator)
    poses = forward_kinematics(prior.sample_angles(64, generator), lengths)
    torch.testing.assert_close(bone_lengths(poses), lengths[:, torch.tensor(BONE_SEGMENTS)], atol=1e-3, rtol=0)


def test_sampled_angles_keep_to_the_joints_limits() -> None:
    angles = PosePrior(PRIOR).sample_angles(4096, torch.Generator().manual_seed(0))
    for name, limits in LIMITS.items():
        low, high = torch.tensor(limits).float().deg2rad().unbind(-1)
        sampled = getattr(angles, name)
        assert (sampled >= low - 1e-6).all()
        assert (sampled <= high + 1e-6).all()


def test_the_same_seed_draws_the_same_poses_and_the_camera_sees_them_all() -> None:
    prior = PosePrior(PRIOR)
    first, second = (prior.sample(512, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.pose, second.pose)
    in_camera = first.pose + first.root_depth[:, None, None] * torch.tensor([0.0, 0.0, 1.0])
    assert (in_camera[..., 2] > 0.4).all()
    assert project(in_camera).isfinite().all()


def test_most_people_are_upright_in_the_camera() -> None:
    sample = PosePrior(PRIOR).sample(2000, torch.Generator().manual_seed(0)).pose
    thorax_above = sample[:, H36M.index("thorax"), 1] < 0  # y points down
    assert 0.85 < thorax_above.float().mean() < 0.99  # a tenth tumbles


def test_motion_is_smooth_and_keeps_its_body() -> None:
    sample = PosePrior(PRIOR).sample_motion(32, 27, 50.0, torch.Generator().manual_seed(0))
    lengths = bone_lengths(sample.pose)
    torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths), atol=1e-5, rtol=1e-4)
    velocity = sample.pose.diff(dim=1)
    assert velocity.norm(dim=-1).max() < 0.5  # metres a frame, 25 m/s: nobody teleports
    assert velocity.diff(dim=1).norm(dim=-1).mean() < 0.1 * velocity.norm(dim=-1).mean() + 1e-3
    assert velocity.abs().max() > 0.005


def test_lengths_are_learned_from_the_proportions_of_poses() -> None:
    people, prior = (PosePrior(PRIOR.model_copy(update={"bone_learning": 1.0})) for _ in range(2))
    people.lengths[list(SEGMENTS).index("thigh")] *= 1.2
    size = prior.body_size
    prior.learn_lengths(7 * people.sample(4000, torch.Generator().manual_seed(0)).pose)
    torch.testing.assert_close(
        prior.lengths / prior.bones.sum(), people.lengths / people.bones.sum(), atol=0, rtol=0.02
    )
    assert abs(prior.body_size - size) < 1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"postures": dict.fromkeys(PostureWeights.model_fields, 0)}, "at least one posture must have a weight"),
        ({"distance_m": [7, 3]}, "the first distance must not be above the second"),
    ],
)
def test_a_prior_that_makes_no_sense_is_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        section(PriorParams, "prior", {"prior": {**PRIOR.model_dump(), **change}})
