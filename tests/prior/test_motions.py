"""Motions: smooth, of one body, and what they are called."""

import pytest
import torch

from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import H36M
from lib.prior.motions import MOTIONS, MotionWeights
from lib.prior.sampler import PosePrior, PriorSample
from tests.settings import PRIOR


def moving(name: str, count: int = 64, frames: int = 27, fps: float = 25.0) -> PriorSample:
    """Windows of one kind of motion."""
    motions = MotionWeights(**{other: float(other == name) for other in MotionWeights.model_fields})
    prior = PosePrior(PRIOR.model_copy(update={"motions": motions, "tumbling": 0.0, "roll_deg": 0.0}))
    return prior.sample_motion(count, frames, fps, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MOTIONS)
def test_motion_is_smooth_and_keeps_its_body(name: str) -> None:
    sample = moving(name)
    lengths = bone_lengths(sample.pose, H36M)
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
