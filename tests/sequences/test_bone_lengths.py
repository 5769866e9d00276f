import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lib.pose.geometry import bone_lengths, project
from lib.pose.landmarks import JOINT_OF, JOINTS
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.prior.kinematics import forward_kinematics
from lib.prior.sampler import PosePrior
from lib.sequences.bone_lengths import BoneLengthMemory, symmetric, typical_lengths
from lib.sequences.depths import joint_noise, refine_depths, with_joints
from tests.settings import PRIOR

STILL = torch.zeros(len(H36M))
METRE = torch.tensor([0.25])  # four metres away


def people(count: int, frames: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Poses of people (person, frame, joint, 3) as `lift_poses` gives them, and their relative bone lengths."""
    generator = torch.Generator().manual_seed(seed)
    prior = PosePrior(PRIOR.model_copy(update={"rest_direction_std_deg": 0.0}))
    body = prior.sample_body(count, generator)
    body = type(body)(*(part.repeat_interleave(frames, 0) for part in body))
    posed = forward_kinematics(prior.postures.sample(count * frames, generator), body)
    sample = prior.view(posed.joints, generator)
    lengths = bone_lengths(sample.joints, H36M).unflatten(0, (count, frames))[:, 0]
    pose = sample.joints / sample.root_depth[:, None, None]
    return pose.unflatten(0, (count, frames)), lengths / lengths.sum(-1, keepdim=True)


def with_wrong_depths(pose: Tensor, spread: float) -> Tensor:
    """The same keypoints, at depths that are off by a share of the body's size."""
    size = bone_lengths(pose, H36M).sum(-1, keepdim=True)
    off = spread * size * torch.randn(pose.shape[:-1], generator=torch.Generator().manual_seed(1))
    off[..., H36M.root] = 0
    factor = 1 + off / (1 + pose[..., 2])
    rays = pose + pose.new_tensor([0.0, 0.0, 1.0])
    return rays * factor[..., None] - pose.new_tensor([0.0, 0.0, 1.0])


def test_typical_lengths_of_true_poses_are_the_true_ones() -> None:
    pose, truth = people(3, 20)
    torch.testing.assert_close(symmetric(typical_lengths(pose, H36M)[0], H36M), truth)


def test_typical_lengths_trust_bones_that_lie_across_the_line_of_sight() -> None:
    pose, truth = people(4, 300)
    wrong = with_wrong_depths(pose, 0.01)
    plain = bone_lengths(wrong, H36M)
    plain = symmetric((plain / plain.sum(-1, keepdim=True)).median(1).values, H36M)
    found = symmetric(typical_lengths(wrong, H36M)[0], H36M)
    assert (found / truth).log().abs().mean() < 0.9 * (plain / truth).log().abs().mean()


@pytest.mark.parametrize("spread", [0.003, 0.008])
def test_known_lengths_bring_depths_nearer_to_the_truth(spread: float) -> None:
    pose, truth = people(4, 200)
    lengths = truth[:, None].expand(-1, 200, -1).flatten(0, 1)
    wrong = with_wrong_depths(pose, spread).flatten(0, 1)
    better = refine_depths(wrong, lengths, STILL, H36M)
    before, after = ((part - pose.flatten(0, 1)).norm(dim=-1).mean() for part in (wrong, better))
    assert after < 0.8 * before


@pytest.mark.parametrize("farther", [20, 200])
def test_depths_of_people_who_are_far_are_corrected_as_well(farther: float) -> None:
    """As in a stadium, before a long lens."""
    pose, truth = people(4, 200)
    lengths = truth[:, None].expand(-1, 200, -1).flatten(0, 1)
    true = (pose / farther).flatten(0, 1)  # some metres away, and so many times as far
    wrong = with_wrong_depths(true, 0.005)
    better = refine_depths(wrong, lengths, STILL, H36M)
    assert better.isfinite().all()
    before, after = ((part - true).norm(dim=-1).mean() for part in (wrong, better))
    assert after < 0.8 * before
    rays = [project(part + part.new_tensor([0.0, 0.0, 1.0])) for part in (better, wrong)]
    torch.testing.assert_close(*rays, atol=1e-5, rtol=0)


def test_true_poses_stay_as_they_are() -> None:
    pose, truth = people(2, 50)
    flat = pose.flatten(0, 1)
    kept = refine_depths(flat, truth[:, None].expand(-1, 50, -1).flatten(0, 1), STILL, H36M)
    torch.testing.assert_close(kept, flat, atol=1e-5, rtol=0)


@given(seed=st.integers(0, 1000), noise=st.floats(0, 0.01))
def test_what_a_pose_projects_to_stays(seed: int, noise: float) -> None:
    pose, truth = people(2, 10, seed)
    wrong = with_wrong_depths(pose, 0.02).flatten(0, 1)
    moved = refine_depths(wrong, truth[:, None].expand(-1, 10, -1).flatten(0, 1), STILL + noise, H36M)
    before, after = (part[..., :2] / (part[..., 2:] + 1) for part in (wrong, moved))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    assert moved[:, H36M.root].abs().max() == 0


def test_joints_that_are_guessed_stay_where_they_are_and_others_move() -> None:
    pose, truth = people(4, 100)
    lengths = truth[:, None].expand(-1, 100, -1).flatten(0, 1)
    wrong = with_wrong_depths(pose, 0.01).flatten(0, 1)
    visible = torch.ones(len(wrong), JOINTS, dtype=torch.bool)
    arm = [H36M.index("right_elbow"), H36M.index("right_wrist")]
    visible[:, arm] = False
    noise = joint_noise(
        STILL + 1e-4, torch.full_like(wrong[..., 0], 0.05), visible, METRE.expand(len(wrong)), LAYOUTS["h36m"]
    )
    seen, guessed = (refine_depths(wrong, lengths, some, H36M) - wrong for some in (STILL + 1e-4, noise))
    forearm = [bone[:, arm[1]] - bone[:, arm[0]] for bone in (seen, guessed)]
    assert forearm[1].norm(dim=-1).mean() < 0.2 * forearm[0].norm(dim=-1).mean()
    legs = [H36M.index(f"{side}_{name}") for side in ("left", "right") for name in ("knee", "ankle")]
    other = (guessed - seen)[:, legs].norm(dim=-1).mean()
    assert other < 0.2 * guessed[:, legs].norm(dim=-1).mean()


def test_a_joint_is_known_as_well_as_the_keypoint_that_marks_it() -> None:
    error = torch.full((2, JOINTS), 0.2)
    visible = torch.ones(2, JOINTS, dtype=torch.bool)
    visible[1, 3] = False
    metre = torch.tensor([0.25, 0.2])
    noise = joint_noise(STILL + 0.006, error, visible, metre, LAYOUTS["h36m"])
    expected = torch.full((2, JOINTS), 0.003)  # half of the noise is left
    expected[1, 3] = 0.2  # hidden: as far off as the model says
    torch.testing.assert_close(noise, expected)
    coco = LAYOUTS["coco"]
    of_coco = joint_noise(STILL + 0.006, error, torch.ones(2, len(coco), dtype=torch.bool), metre, coco)
    knee, hip = H36M.index("left_knee"), H36M.index("left_hip")
    # 20 and 30 mm, four and five metres away
    torch.testing.assert_close(of_coco[:, knee], torch.tensor([0.005, 0.004]).hypot(torch.tensor(0.003)))
    torch.testing.assert_close(of_coco[:, hip], torch.tensor([0.0075, 0.006]).hypot(torch.tensor(0.003)))
    torch.testing.assert_close(of_coco[:, H36M.index("spine")], error[:, 0])  # which no keypoint marks
    mixed = LAYOUTS["h36m_from_coco"]
    of_mixed = joint_noise(STILL + 0.006, error, visible, metre, mixed)
    assert (of_mixed[:, H36M.index("spine")] == 0.2).all()  # a mixture of other landmarks is not the joint


def test_noise_makes_lengths_count_for_less() -> None:
    pose, truth = people(4, 100)
    lengths = truth[:, None].expand(-1, 100, -1).flatten(0, 1)
    wrong = with_wrong_depths(pose, 0.01).flatten(0, 1)
    moves = [
        (refine_depths(wrong, lengths, STILL + noise, H36M) - wrong).norm(dim=-1).mean() for noise in (0.0, 0.003, 0.03)
    ]
    assert moves[0] > moves[1] > moves[2]


def test_a_body_is_learned_from_all_clips_of_its_sequence() -> None:
    pose, truth = people(2, 90)
    memory, sequence = BoneLengthMemory(H36M), torch.tensor([4, 4, 1])
    clips = torch.stack([pose[0, :30], pose[0, 30:60], pose[1, :30]])
    torch.testing.assert_close(memory.update(sequence, clips), truth[[0, 0, 1]])
    wrong = with_wrong_depths(pose, 0.01)
    noisy = BoneLengthMemory(H36M)
    first = noisy.update(torch.tensor([4]), wrong[:1, :5])
    for at in range(5, 90, 5):
        last = noisy.update(torch.tensor([4]), wrong[:1, at : at + 5])
    assert (last / truth[0]).log().abs().mean() < 0.7 * (first / truth[0]).log().abs().mean()


def test_estimated_lengths_help_where_errors_are_a_persons_own() -> None:
    """What every frame gets wrong alike does not show, what frames get wrong differently does."""
    pose, _ = people(3, 300)
    generator = torch.Generator().manual_seed(2)
    slow = torch.randn(3, 10, len(H36M), generator=generator).repeat_interleave(30, 1)  # lasts for a second or so
    size = bone_lengths(pose, H36M).sum(-1, keepdim=True)
    off = 0.004 * size * slow
    off[..., H36M.root] = 0
    axis = pose.new_tensor([0.0, 0.0, 1.0])
    wrong = (pose + axis) * (1 + off / (1 + pose[..., 2]))[..., None] - axis
    lengths = symmetric(typical_lengths(wrong, H36M)[0], H36M)[:, None].expand(-1, 300, -1)
    better = refine_depths(wrong.flatten(0, 1), lengths.flatten(0, 1), STILL, H36M)
    before, after = ((part - pose.flatten(0, 1)).norm(dim=-1).mean() for part in (wrong.flatten(0, 1), better))
    assert after < 0.9 * before


def test_no_bone_moves_far_however_wrong_depths_are() -> None:
    pose, truth = people(3, 200)
    wrong = with_wrong_depths(pose, 0.05).flatten(0, 1)  # a fifth of a metre a joint
    moved = refine_depths(wrong, truth[:, None].expand(-1, 200, -1).flatten(0, 1), STILL, H36M)
    size = bone_lengths(wrong, H36M).sum(-1)
    assert moved.isfinite().all()
    assert ((moved - wrong).norm(dim=-1) / size[:, None]).max() < 1.0


def test_keypoints_go_with_their_joints_along_their_lines_of_sight() -> None:
    layout = LAYOUTS["mediapipe_33"]
    generator = torch.Generator().manual_seed(0)
    sample = PosePrior(PRIOR).sample(20, generator, layout)
    points = sample.points / sample.root_depth[:, None, None]
    joints = points[:, :JOINTS] + 0.02 * torch.rand(20, JOINTS, 1, generator=generator) * torch.tensor([0.0, 0.0, 1.0])
    moved = with_joints(points, joints, layout)
    from_camera = torch.tensor([0.0, 0.0, 1.0])
    torch.testing.assert_close(moved[:, :JOINTS], joints)
    torch.testing.assert_close(project(moved[:, JOINTS:] + from_camera), project(points[:, JOINTS:] + from_camera))
    nearer = (moved - points)[..., 2]
    torch.testing.assert_close(nearer[:, JOINTS:], nearer[:, [JOINT_OF[slot] for slot in layout.slots]])
