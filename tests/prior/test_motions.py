"""Motions: smooth, of one body, and what they are called."""

import math
from collections.abc import Callable, Iterator

import pytest
import torch

from lib.pose.geometry import bone_lengths
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.prior import motions as motions_module
from lib.prior import postures, sampler
from lib.prior.kinematics import Angles
from lib.prior.motions import MOTIONS, MotionWeights
from lib.prior.postures import PostureWeights
from lib.prior.sampler import PosePrior, PriorSample
from tests.settings import PRIOR


def moving(name: str, count: int = 64, frames: int = 27, interval: float = 0.04) -> PriorSample:
    """Windows of one kind of motion."""
    motions = MotionWeights(**{other: float(other == name) for other in MotionWeights.model_fields})
    prior = PosePrior(PRIOR.model_copy(update={"motions": motions, "tumbling_probability": 0.0, "roll_std_deg": 0.0}))
    return prior.sample_motion(count, frames, interval, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MOTIONS)
def test_motion_is_smooth_and_keeps_its_body(name: str) -> None:
    sample = moving(name)
    lengths = bone_lengths(sample.joints, H36M)
    torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths), atol=1e-5, rtol=1e-4)
    velocity = sample.joints.diff(dim=1) * 25
    assert velocity.norm(dim=-1).max() < 25  # metres a second: nobody teleports
    assert velocity.norm(dim=-1).mean() > 0.01
    turns = velocity.diff(dim=1).norm(dim=-1).mean() / velocity.norm(dim=-1).mean()
    assert turns < 0.35


def test_motions_are_what_they_are_called() -> None:
    knee, hip, wrist = (H36M.index(f"left_{name}") for name in ("knee", "hip", "wrist"))

    def travel(name: str, joint: int) -> float:
        pose = moving(name).joints
        return float((pose[:, :, joint].amax(1) - pose[:, :, joint].amin(1)).norm(dim=-1).mean())

    assert travel("gait", knee) > 3 * travel("idle", knee)
    assert travel("sit", knee) > 3 * travel("reach", knee)
    assert travel("reach", wrist) > 2 * travel("idle", wrist)
    assert travel("turn", hip) > 3 * travel("reach", hip)


def test_who_walks_towards_the_camera_comes_nearer() -> None:
    sample = moving("gait")
    left_to_right = sample.joints[..., H36M.index("left_hip"), 0] - sample.joints[..., H36M.index("right_hip"), 0]
    facing = left_to_right.mean(1) > 0.15  # a person who faces us has the left side on our right
    turned_away = left_to_right.mean(1) < -0.15
    nearer = sample.root_depth[:, 0] - sample.root_depth[:, -1]
    assert facing.any()
    assert turned_away.any()
    assert (nearer[facing] > 0).all()
    assert (nearer[turned_away] < 0).all()


def test_arms_swing_about_where_they_hang_in_every_stride() -> None:
    """Over many strides a swing has no mean, whoever else is in the batch."""
    prior, time = PosePrior(PRIOR), torch.arange(5000) / 25  # 200 s: parts of a stride at the ends do not matter
    strides, _ = prior.motions._gait(6, time, torch.Generator().manual_seed(0))
    shoulder = Angles.from_vector(strides).shoulder[..., 0]
    assert shoulder.std(1).min() > math.radians(3)
    assert shoulder.mean(1).abs().max() < math.radians(0.3)


@pytest.mark.parametrize(("name", "layout"), [*((name, "h36m") for name in MOTIONS), ("gait", "halpe_26")])
def test_one_more_sample_changes_no_other(name: str, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same random numbers for each of them, the first windows are the same in a larger batch."""
    weights = {kind: float(kind == "stand") for kind in PostureWeights.model_fields}
    motions = MotionWeights(**{other: float(other == name) for other in MotionWeights.model_fields})
    prior = PosePrior(PRIOR.model_copy(update={"motions": motions, "postures": PostureWeights(**weights)}))
    calls: Iterator[int] = iter(())

    def rows(draw: Callable[..., torch.Tensor], shape: tuple[int, ...]) -> torch.Tensor:
        return draw(64, *shape[1:], generator=torch.Generator().manual_seed(next(calls)))[: shape[0]]

    choose = torch.multinomial
    for module in (motions_module, postures, sampler):
        monkeypatch.setattr(module, "normal", lambda *shape, generator: rows(torch.randn, shape))
        monkeypatch.setattr(module, "uniform", lambda *shape, generator: rows(torch.rand, shape))
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
        drawn.append(prior.sample_motion(count, 9, 0.04, torch.Generator(), LAYOUTS[layout]))
    few, more = drawn
    for one, other in zip(few, more, strict=True):
        torch.testing.assert_close(one, other[:5], atol=1e-6, rtol=1e-6)
