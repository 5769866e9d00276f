import math
from collections.abc import Callable, Iterator

import pytest
import torch

from lib.pose.geometry import bone_lengths, project
from lib.pose.skeleton import H36M
from lib.prior.kinematics import BONE_SEGMENTS, LIMITS, SEGMENTS, TILTS, Angles, Body, forward_kinematics
from lib.prior.sampler import MOTIONS, MotionWeights, PosePrior, PostureWeights, PriorParams, PriorSample
from lib.runtime.errors import UserError
from lib.runtime.params import section
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
    poses = forward_kinematics(prior.sample_angles(64, generator), body)
    torch.testing.assert_close(bone_lengths(poses), body.lengths[:, torch.tensor(BONE_SEGMENTS)], atol=1e-3, rtol=0)


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


def moving(name: str, count: int = 64, frames: int = 27, fps: float = 25.0) -> PriorSample:
    """Windows of one kind of motion."""
    motions = MotionWeights(**{other: float(other == name) for other in MotionWeights.model_fields})
    prior = PosePrior(PRIOR.model_copy(update={"motions": motions, "tumbling": 0.0, "roll_deg": 0.0}))
    return prior.sample_motion(count, frames, fps, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MOTIONS)
def test_motion_is_smooth_and_keeps_its_body(name: str) -> None:
    sample = moving(name)
    lengths = bone_lengths(sample.pose)
    torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths), atol=1e-5, rtol=1e-4)
    velocity = sample.pose.diff(dim=1) * 25
    assert velocity.norm(dim=-1).max() < 25  # metres a second: nobody teleports
    assert velocity.norm(dim=-1).mean() > 0.01
    turns = velocity.diff(dim=1).norm(dim=-1).mean() / velocity.norm(dim=-1).mean()
    assert turns < 0.35


def test_motions_are_what_they_are_called() -> None:
    knee, hip, wrist = (H36M.index(f"left_{name}") for name in ("knee", "hip", "wrist"))

    def travel(name: str, joint: int) -> float:
        pose = moving(name).pose
        return float((pose[:, :, joint].amax(1) - pose[:, :, joint].amin(1)).norm(dim=-1).mean())

    assert travel("gait", knee) > 3 * travel("idle", knee)
    assert travel("sit", knee) > 3 * travel("reach", knee)
    assert travel("reach", wrist) > 2 * travel("idle", wrist)
    assert travel("turn", hip) > 3 * travel("reach", hip)


def test_who_walks_towards_the_camera_comes_nearer() -> None:
    sample = moving("gait")
    left_to_right = sample.pose[..., H36M.index("left_hip"), 0] - sample.pose[..., H36M.index("right_hip"), 0]
    facing = left_to_right.mean(1) > 0.15  # a person who faces us has the left side on our right
    turned_away = left_to_right.mean(1) < -0.15
    nearer = sample.root_depth[:, 0] - sample.root_depth[:, -1]
    assert facing.any()
    assert turned_away.any()
    assert (nearer[facing] > 0).all()
    assert (nearer[turned_away] < 0).all()


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
        ({"postures": dict.fromkeys(PostureWeights.model_fields, 0)}, "at least one must have a weight"),
        ({"motions": dict.fromkeys(MotionWeights.model_fields, 0)}, "at least one must have a weight"),
        ({"distance_m": [7, 3]}, "the first distance must not be above the second"),
    ],
)
def test_a_prior_that_makes_no_sense_is_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        section(PriorParams, "prior", {"prior": {**PRIOR.model_dump(), **change}})


def test_arms_swing_about_where_they_hang_in_every_stride() -> None:
    """Over many strides a swing has no mean, whoever else is in the batch."""
    prior, time = PosePrior(PRIOR), torch.arange(5000) / 25  # 200 s: parts of a stride at the ends do not matter
    strides, _ = prior._gait(6, time, torch.Generator().manual_seed(0))
    shoulder = Angles.from_vector(strides).shoulder[..., 0]
    assert shoulder.std(1).min() > math.radians(3)
    assert shoulder.mean(1).abs().max() < math.radians(0.3)


@pytest.mark.parametrize("name", MOTIONS)
def test_one_more_sample_changes_no_other(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same random numbers for each of them, the first windows are the same in a larger batch."""
    weights = {kind: float(kind == "stand") for kind in PostureWeights.model_fields}
    motions = MotionWeights(**{other: float(other == name) for other in MotionWeights.model_fields})
    prior = PosePrior(PRIOR.model_copy(update={"motions": motions, "postures": PostureWeights(**weights)}))
    calls: Iterator[int] = iter(())

    def rows(draw: Callable[..., torch.Tensor], shape: tuple[int, ...]) -> torch.Tensor:
        return draw(64, *shape[1:], generator=torch.Generator().manual_seed(next(calls)))[: shape[0]]

    choose = torch.multinomial
    monkeypatch.setattr(prior, "_normal", lambda *shape, generator: rows(torch.randn, shape))
    monkeypatch.setattr(prior, "_uniform", lambda *shape, generator: rows(torch.rand, shape))
    monkeypatch.setattr(
        torch,
        "multinomial",
        lambda given, count, replacement, generator: choose(
            given, 64, replacement, generator=torch.Generator().manual_seed(next(calls))
        )[:count],
    )
    drawn = []
    for count in (5, 6):
        calls = iter(range(1000))
        drawn.append(prior.sample_motion(count, 9, 25.0, torch.Generator()))
    few, more = drawn
    for one, other in zip(few, more, strict=True):
        torch.testing.assert_close(one, other[:5], atol=1e-6, rtol=1e-6)
