"""The skeleton in rest pose and its rotations: joints come back, nothing flips, knees and elbows are hinges."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

from lib.export.rig import Rig, make_rig, rest_directions, typical_lengths
from lib.pose.geometry import bone_lengths, rotation_about
from lib.pose.skeleton import H36M
from tests.export.bodies import angles_between, exercise
from tests.inference.motions import walking


def forward(rig: Rig) -> Float[Tensor, "frame joint 3"]:
    places: list[Tensor] = []
    turns: list[Tensor] = []
    for node, parent in enumerate(rig.parents):
        turns.append(rig.rotations[:, node] if parent < 0 else turns[parent] @ rig.rotations[:, node])
        places.append(rig.position if parent < 0 else places[parent] + turns[parent] @ rig.offsets[node])
    return torch.stack([places[rig.names.index(name)] for name in H36M.names], 1)


def constant(
    joints: Float[Tensor, "frame joint 3"], lengths: Float[Tensor, " joint"]
) -> Float[Tensor, "frame joint 3"]:
    """What the docstring of `make_rig` says: directions stay, lengths are the given ones, from the pelvis outwards."""
    places = [joints[:, 0]]
    for child, parent in H36M.bones:
        bone = joints[:, child] - joints[:, parent]
        places.append(places[parent] + bone / bone.norm(dim=-1, keepdim=True) * lengths[child])
    return torch.stack(places, 1)


@given(st.integers(0, 2**31))
def test_any_directions_of_bones_come_back(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    bones = torch.randn(7, len(H36M), 3, generator=generator, dtype=torch.float64)
    bones = 0.4 * bones / bones.norm(dim=-1, keepdim=True)
    joints = [bones[:, 0]]
    for child, parent in H36M.bones:
        joints.append(joints[parent] + bones[:, child])
    rig = make_rig(torch.stack(joints, 1))
    torch.testing.assert_close(forward(rig), torch.stack(joints, 1), atol=1e-9, rtol=0)
    turns = rig.rotations
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3, dtype=torch.float64).expand_as(turns), atol=1e-9, rtol=0)
    assert (torch.linalg.det(turns) > 0).all()


def test_bones_that_change_get_their_typical_length() -> None:
    joints = exercise(50).double()
    joints[::5, H36M.index("left_knee")] += torch.tensor([0.05, 0.1, 0.0])
    lengths = typical_lengths(joints)
    rig = make_rig(joints)
    torch.testing.assert_close(forward(rig), constant(joints, lengths), atol=1e-9, rtol=0)
    expected = bone_lengths(exercise(50), H36M)[0].double()
    torch.testing.assert_close(lengths[1:], expected, atol=1e-5, rtol=0)


def test_frames_that_show_nobody_do_not_say_how_long_bones_are() -> None:
    joints = exercise(50)
    detected = torch.arange(50) < 10
    joints[~detected] *= 3
    expected = bone_lengths(exercise(50), H36M)[0]
    torch.testing.assert_close(typical_lengths(joints, detected)[1:], expected, atol=1e-5, rtol=0)
    assert (typical_lengths(joints, torch.zeros(50, dtype=torch.bool))[1:] > 2 * expected).all()


def test_rest_pose_is_a_t_pose_on_the_floor_that_faces_z() -> None:
    rig = make_rig(walking(5).joints)
    rest = dict(zip(rig.names, rig.rest, strict=True))
    lowest = min(float((rig.rest[node] + end)[1]) for node, end in rig.ends.items())
    assert abs(lowest) < 1e-9
    assert rest["head"][1] > rest["thorax"][1] > rest["spine"][1] > rest["pelvis"][1] > rest["left_knee"][1] > 0.3
    assert rest["left_wrist"][0] > rest["left_elbow"][0] > rest["left_shoulder"][0] > 0 > rest["right_shoulder"][0]
    assert (rest["left_wrist"] - rest["left_shoulder"])[1:].abs().max() < 1e-9
    foot = rig.ends[rig.names.index("left_ankle")]
    assert foot[2] > 0.1 and foot[1] < 0
    in_rest = make_rig(torch.stack([rest[name] for name in H36M.names])[None])
    torch.testing.assert_close(
        in_rest.rotations, torch.eye(3, dtype=torch.float64).expand_as(in_rest.rotations), atol=1e-6, rtol=0
    )


def test_nothing_flips() -> None:
    """In an exercise whose bones turn less than 8 degrees a frame, no rotation does more than double that."""
    rig = make_rig(exercise(200))
    steps = angles_between(rig.rotations[:-1], rig.rotations[1:])
    assert steps.max() < 16, {rig.names[node]: float(steps[:, node].max()) for node in range(len(rig.names))}


def test_a_knee_that_is_lifted_bent_the_wrong_way_does_not_turn_the_thigh_around() -> None:
    joints = walking(1).joints.expand(100, -1, -1).clone()
    bend = torch.linspace(-1, 1, 100)
    for side in ("left", "right"):
        knee, ankle = (H36M.index(f"{side}_{name}") for name in ("knee", "ankle"))
        joints[:, ankle] = joints[:, knee] - 0.43 * torch.stack([bend.sin(), bend.cos(), 0 * bend], -1)
    rig = make_rig(joints)
    assert angles_between(rig.rotations[:-1], rig.rotations[1:]).max() < 3


def test_twist_does_not_jitter_with_the_noise_of_straight_limbs() -> None:
    generator = torch.Generator().manual_seed(0)
    standing = exercise(1).expand(100, -1, -1)
    rig = make_rig(standing + 0.005 * torch.randn(standing.shape, generator=generator))
    limbs = [node for node, name in enumerate(rig.names) if name.endswith(("_hip", "_shoulder"))]
    turns = rig.rotations[:, limbs]
    assert angles_between(turns[:-1], turns[1:]).max() < 30  # the noise alone turns collar bones by 12


def test_knees_and_elbows_are_hinges() -> None:
    rig = make_rig(exercise(200))
    for name, axis in (
        ("left_knee", [1.0, 0.0, 0.0]),
        ("right_knee", [1.0, 0.0, 0.0]),
        ("left_elbow", [0.0, -1.0, 0.0]),
        ("right_elbow", [0.0, 1.0, 0.0]),
    ):
        turn = rig.rotations[:, rig.names.index(name)]
        vector = torch.stack(
            [turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], -1
        )
        bent = angles_between(turn, torch.eye(3, dtype=torch.float64).expand_as(turn)) > 40
        along = torch.nn.functional.normalize(vector[bent], dim=-1) @ torch.tensor(axis, dtype=torch.float64)
        assert bent.sum() > 80
        assert along.min() > 0.97, name  # 14 degrees


def test_hips_turn_into_shoulders_in_equal_steps() -> None:
    joints = walking(1).joints.double()
    above = [H36M.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist")]
    thorax = joints[:, None, H36M.index("thorax")]
    turn = rotation_about("y", torch.tensor(0.6, dtype=torch.float64))
    joints[:, above] = (joints[:, above] - thorax) @ turn.mT + thorax
    rig = make_rig(joints)
    steps = [rig.rotations[:, rig.names.index(name)] for name in ("lower_back", "spine", "thorax")]
    part = rotation_about("y", torch.tensor(0.2, dtype=torch.float64))
    for step in steps:
        assert angles_between(step[0], part) < 1


def test_a_body_without_size_gives_numbers() -> None:
    rig = make_rig(torch.zeros(3, len(H36M), 3))
    assert all(part.isfinite().all() for part in (rig.offsets, rig.position, rig.rotations))


def test_rest_directions_have_length_one() -> None:
    torch.testing.assert_close(rest_directions()[1:].norm(dim=-1), torch.ones(len(H36M) - 1, dtype=torch.float64))
