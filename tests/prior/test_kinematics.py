"""From joint angles and a body to a pose, and to the landmarks on it."""

import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.pose.geometry import bone_lengths, rotation_about
from lib.pose.landmarks import LANDMARKS
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.prior.bodies import ATTACHED_LANDMARKS, BONE_SEGMENTS, SEGMENTS, TILTS, Body, attached_offset, part_of
from lib.prior.kinematics import Angles, Frame, Posed, forward_kinematics, posed_of
from lib.prior.sampler import PosePrior
from tests.settings import PRIOR

SIDES = (("left", 1), ("right", -1))
RIGHT_ANGLE = math.pi / 2


class Place(NamedTuple):
    """Of a landmark, in metres."""

    left: float
    up: float
    front: float


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
        ankle=zeros(count, 2),
        wrist=zeros(count, 2, 2),
    )


def body() -> Body:
    """That of the tables."""
    attached = torch.tensor([attached_offset(name) for name in ATTACHED_LANDMARKS])
    return Body(torch.tensor(list(SEGMENTS.values()))[None], torch.zeros(1, len(TILTS)), attached[None])


def pose(angles: Angles) -> dict[str, Place]:
    landmarks = forward_kinematics(angles, body()).landmarks(body())[0].tolist()
    return {name: Place(*place) for name, place in zip(LANDMARKS, landmarks, strict=True)}


def test_angles_go_to_a_vector_and_back() -> None:
    angles = PosePrior(PRIOR).postures.sample(5, torch.Generator().manual_seed(0))
    for got, expected in zip(Angles.from_vector(angles.vector()), angles, strict=True):
        assert torch.equal(got, expected)


@given(st.sampled_from("xyz"), st.floats(-7, 7))
def test_frames_turn_as_a_rotation_about_their_own_axis_does(axis: str, angle: float) -> None:
    """Axes are the columns of a rotation matrix, which another one from the right turns about its own axes."""
    start = rotation_about("y", torch.tensor([0.7, -2.0])) @ rotation_about("z", torch.tensor([0.4, 3.0]))
    turned = Frame(*start.unbind(-1)).turned(axis, torch.full((2,), angle))
    expected = start @ rotation_about(axis, torch.full((2,), angle))
    torch.testing.assert_close(torch.stack(turned, -1), expected, atol=1e-5, rtol=0)
    points = torch.tensor([[0.1, 0.2, 0.3], [1.0, 0.0, -1.0]])
    torch.testing.assert_close(turned.at(points.expand(2, 2, 3)), points @ expected.mT, atol=1e-5, rtol=0)


def test_at_rest_a_person_stands_upright_with_hanging_arms() -> None:
    at = pose(rest())
    assert at["head"].up > at["neck"].up > at["thorax"].up > at["spine"].up > 0
    assert at["neck"].front > at["thorax"].front
    for side, sign in SIDES:
        assert sign * at[f"{side}_hip"].left > 0
        assert at[f"{side}_ankle"].up < at[f"{side}_knee"].up < 0
        assert at[f"{side}_wrist"].up < at[f"{side}_elbow"].up < at[f"{side}_shoulder"].up


def test_landmarks_are_in_anatomical_order() -> None:
    at = pose(rest())
    assert at["head_top"].up > at["left_eye"].up > at["nose"].up > at["left_mouth"].up > at["thorax"].up
    assert at["nose"].front > at["left_eye"].front > at["left_ear"].front + 0.05
    for side, sign in SIDES:
        names = ("eye_inner", "eye", "eye_outer", "ear")
        across = [sign * at[f"{side}_{name}"].left for name in names]
        assert across == sorted(across) and across[0] > 0
        assert at[f"{side}_heel"].front < at[f"{side}_ankle"].front < at[f"{side}_small_toe"].front
        assert at[f"{side}_small_toe"].front < at[f"{side}_big_toe"].front
        assert sign * at[f"{side}_big_toe"].left < sign * at[f"{side}_small_toe"].left  # the big toe is the inner one
        for foot in ("heel", "big_toe", "small_toe"):
            assert at[f"{side}_{foot}"].up < at[f"{side}_ankle"].up - 0.04
        for finger in ("thumb", "index", "pinky"):
            assert at[f"{side}_{finger}"].up < at[f"{side}_wrist"].up
        assert at[f"{side}_thumb"].front > at[f"{side}_pinky"].front  # thumbs point forward
    # How large it all is: a foot and its toes, a head.
    assert 0.2 < at["left_big_toe"].front - at["left_heel"].front < 0.3
    assert 0.12 < at["left_ear"].left - at["right_ear"].left < 0.18
    assert at["head_top"].up - at["left_ear"].up == pytest.approx(0.13, abs=0.03)


def test_a_body_at_rest_is_its_own_mirror_image() -> None:
    at = pose(rest())
    for name, (left, up, front) in at.items():
        other = at[name.replace("left", "?").replace("right", "left").replace("?", "right")]
        assert (left, up, front) == pytest.approx((-other.left, other.up, other.front), abs=1e-6)


def test_joints_bend_the_way_people_do() -> None:
    angles = rest()
    angles.knee[:], angles.elbow[:] = RIGHT_ANGLE, RIGHT_ANGLE
    at = pose(angles)
    for side, _ in SIDES:
        assert at[f"{side}_ankle"].front < at[f"{side}_knee"].front - 0.3  # heels go back
        assert at[f"{side}_wrist"].front > at[f"{side}_elbow"].front + 0.2  # hands come forward
    angles = rest()
    angles.hip[..., 0], angles.shoulder[..., 1], angles.spine[..., 0] = RIGHT_ANGLE, RIGHT_ANGLE, RIGHT_ANGLE / 2
    at = pose(angles)
    for side, sign in SIDES:
        assert at[f"{side}_knee"].front > 0.4  # flexion lifts the knee forward
        assert sign * (at[f"{side}_elbow"].left - at[f"{side}_shoulder"].left) > 0.25  # abduction is sideways
    assert at["thorax"].front > 0.1  # flexion of the spine is forward


def test_feet_and_hands_bend_the_way_people_do() -> None:
    still, angles = pose(rest()), rest()
    angles.ankle[:], angles.wrist[..., 0] = 0.3, 0.5
    at = pose(angles)
    for side, sign in SIDES:
        assert at[f"{side}_big_toe"].up > still[f"{side}_big_toe"].up + 0.03  # dorsiflexion lifts the toes
        assert at[f"{side}_heel"].up < still[f"{side}_heel"].up
        assert sign * at[f"{side}_index"].left < sign * still[f"{side}_index"].left - 0.02  # the palm is inside
        assert at[f"{side}_wrist"] == still[f"{side}_wrist"] and at[f"{side}_ankle"] == still[f"{side}_ankle"]
    angles = rest()
    angles.wrist[..., 1] = RIGHT_ANGLE
    at = pose(angles)
    for side, sign in SIDES:  # turned inward, the thumb comes to the body
        assert sign * at[f"{side}_thumb"].left < sign * still[f"{side}_thumb"].left - 0.02
        assert at[f"{side}_thumb"].front < still[f"{side}_thumb"].front - 0.02


def test_faces_turn_with_the_head() -> None:
    angles = rest()
    angles.neck[..., 2] = RIGHT_ANGLE  # to the left
    at = pose(angles)
    assert at["nose"].left > at["left_ear"].left + 0.05
    assert abs(at["nose"].front) < 0.03 and at["left_ear"].front < at["right_ear"].front


def posed(count: int = 64) -> tuple[Body, Posed]:
    prior, generator = PosePrior(PRIOR), torch.Generator().manual_seed(0)
    people = prior.sample_body(count, generator)
    return people, forward_kinematics(prior.postures.sample(count, generator), people)


def test_bodies_are_symmetric_and_have_the_lengths_they_were_given() -> None:
    people, poses = posed()
    torch.testing.assert_close(
        bone_lengths(poses.joints, H36M), people.lengths[:, torch.tensor(BONE_SEGMENTS)], atol=1e-3, rtol=0
    )


def test_landmarks_keep_their_places_on_the_part_that_they_are_on() -> None:
    """In every pose: the distances between landmarks of a head, a foot or a hand, and from its joint."""
    people, poses = posed()
    landmarks = poses.landmarks(people)
    assert torch.equal(landmarks[:, :17], poses.joints)
    groups: dict[str, list[int]] = {}
    for number, name in enumerate(ATTACHED_LANDMARKS):
        groups.setdefault(part_of(name), []).append(number)
    assert sorted(groups) == ["head", "left_foot", "left_hand", "right_foot", "right_hand"]
    for part, group in groups.items():
        given, found = people.attached[:, group], landmarks[:, 17:][:, group]
        torch.testing.assert_close(torch.cdist(found, found), torch.cdist(given, given), atol=1e-4, rtol=0)
        joint = {"head": "head", "foot": "ankle", "hand": "wrist"}[part.split("_")[-1]]
        if part != "head":
            side = part.split("_")[0]
            off = found - landmarks[:, H36M.index(f"{side}_{joint}"), None]
            torch.testing.assert_close(off.norm(dim=-1), given.norm(dim=-1), atol=1e-4, rtol=0)


def test_offsets_of_keypoints_turn_with_their_parts() -> None:
    layout = LAYOUTS["halpe_26"]
    off = torch.zeros(1, len(layout), 3)
    off[..., 2] = 0.1  # forward
    still = forward_kinematics(rest(), body()).moved(off, layout)
    torch.testing.assert_close(still, off)
    angles = rest()
    angles.pelvis[..., 2] = RIGHT_ANGLE  # the whole body turns to its left
    turned = forward_kinematics(angles, body()).moved(off, layout)
    torch.testing.assert_close(turned, off[..., [2, 1, 0]], atol=1e-6, rtol=0)
    angles = rest()
    angles.knee[:, 0] = RIGHT_ANGLE
    moved = forward_kinematics(angles, body()).moved(off, layout)
    changed = {name for name, row in zip(layout.landmarks, (moved - off)[0], strict=True) if row.norm() > 1e-5}
    assert changed == {"left_ankle", "left_heel", "left_big_toe", "left_small_toe"}


def test_parts_are_found_again_from_the_joints_of_bodies_that_do_not_twist() -> None:
    """Hinges turn by the smallest angle; hands and feet go straight on."""
    angles = rest(3)
    angles.pelvis[:, 2] = torch.tensor([0.3, -2.0, 3.0])
    angles.knee[:, 0] = torch.tensor([0.2, 1.0, 2.0])
    angles.elbow[:, 1] = torch.tensor([0.5, 1.5, 2.0])
    angles.hip[:, 0, 0] = torch.tensor([0.1, 0.8, 1.2])
    people = body()
    true = forward_kinematics(angles, people)
    found = posed_of(true.joints)
    assert found.joints is true.joints
    for name, part in true.all_parts().items():
        for axis, other in zip(part, found.all_parts()[name], strict=True):
            # hips and shoulders are not quite the pelvis's and the chest's own axes
            torch.testing.assert_close(other, axis, atol=2e-3, rtol=0, msg=name)
    torch.testing.assert_close(found.landmarks(people), true.landmarks(people), atol=1e-3, rtol=0)


def test_parts_of_any_pose_are_rotations_that_follow_the_body() -> None:
    _, poses = posed()
    turn = rotation_about("x", torch.tensor(1.0)) @ rotation_about("z", torch.tensor(2.0))
    found, turned = (posed_of(joints).all_parts() for joints in (poses.joints, poses.joints @ turn.mT))
    assert sorted(found) == sorted(poses.all_parts())
    for name, part in found.items():
        axes = torch.stack(part, -1)
        torch.testing.assert_close(axes @ axes.mT, torch.eye(3).expand_as(axes), atol=1e-4, rtol=0)
        torch.testing.assert_close(torch.linalg.det(axes), torch.ones(len(axes)), atol=1e-4, rtol=0)
        torch.testing.assert_close(torch.stack(turned[name], -1), turn @ axes, atol=1e-4, rtol=0)
    for name in ("thigh", "shank", "upper_arm", "forearm"):
        ends = {"thigh": ("hip", "knee"), "shank": ("knee", "ankle"), "upper_arm": ("shoulder", "elbow")}
        start, end = ends.get(name, ("elbow", "wrist"))
        bone = poses.joints[:, H36M.index(f"left_{start}")] - poses.joints[:, H36M.index(f"left_{end}")]
        torch.testing.assert_close(found[f"left_{name}"].y, torch.nn.functional.normalize(bone, dim=-1))


def test_arms_straight_up_have_hands_all_the_same() -> None:
    angles = rest()
    angles.shoulder[:, :, 0] = math.pi
    people = body()
    assert posed_of(forward_kinematics(angles, people).joints).landmarks(people).isfinite().all()
