"""From joint angles and a body to a pose."""

import math

import torch

from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import H36M
from lib.prior.bodies import BONE_SEGMENTS, SEGMENTS, TILTS, Body
from lib.prior.kinematics import Angles, forward_kinematics
from lib.prior.sampler import PosePrior
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
    body = Body(torch.tensor(list(SEGMENTS.values()))[None], torch.zeros(1, len(TILTS)))
    return dict(zip(H36M.names, forward_kinematics(angles, body)[0], strict=True))


def test_angles_go_to_a_vector_and_back() -> None:
    angles = PosePrior(PRIOR).postures.sample(5, torch.Generator().manual_seed(0))
    for got, expected in zip(Angles.from_vector(angles.vector()), angles, strict=True):
        assert torch.equal(got, expected)


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
    body = prior.sample_body(64, generator)
    poses = forward_kinematics(prior.postures.sample(64, generator), body)
    torch.testing.assert_close(
        bone_lengths(poses, H36M), body.lengths[:, torch.tensor(BONE_SEGMENTS)], atol=1e-3, rtol=0
    )
