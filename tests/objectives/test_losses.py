import math

import pytest
import torch

from lib.objectives import losses
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from lib.runtime.errors import UserError
from lib.runtime.params import section
from tests.settings import PRIOR


@pytest.fixture
def poses() -> torch.Tensor:
    return PosePrior(PRIOR).sample(8, torch.Generator().manual_seed(0)).joints


def test_pose_distance_of_an_offset_of_3_4_0_is_5(poses: torch.Tensor) -> None:
    assert losses.pose_distance(poses + torch.tensor([3.0, 4.0, 0.0]), poses).item() == pytest.approx(5, rel=1e-5)


def test_reconstruction_weighs_joints_by_their_confidence() -> None:
    observed = torch.zeros(1, 2, 2)
    predicted = torch.tensor([[[3.0, 4.0], [100.0, 0.0]]])
    assert losses.reconstruction(predicted, observed, torch.tensor([[1.0, 0.0]])) == 5
    assert losses.reconstruction(predicted, observed, torch.tensor([[0.5, 0.5]])) == 52.5


def test_errors_as_large_as_stated_are_likeliest() -> None:
    """The mean of errors over what is stated, plus its logarithm, has its minimum where they are equal."""
    error = torch.tensor([[0.2, 0.5]])
    assert losses.error_likelihood(2 * error, error).item() == pytest.approx(0.5 + (math.log(0.4) + math.log(1.0)) / 2)
    at = [float(losses.error_likelihood(factor * error, error)) for factor in (0.8, 1.0, 1.25)]
    assert min(at) == at[1]
    stated, error = error.clone().requires_grad_(), error.clone().requires_grad_()
    losses.error_likelihood(2 * stated, error).backward()
    assert error.grad is None and stated.grad is not None and (stated.grad > 0).all()


def test_the_priors_bodies_are_symmetric_and_a_longer_arm_is_not(poses: torch.Tensor) -> None:
    assert losses.symmetry(losses.relative_bone_lengths(poses, H36M), H36M) < 1e-5
    wrist, elbow = H36M.index("left_wrist"), H36M.index("left_elbow")
    longer = poses.clone()
    longer[:, wrist] += 0.5 * (poses[:, wrist] - poses[:, elbow])
    assert losses.symmetry(losses.relative_bone_lengths(longer, H36M), H36M) > 0.01


def test_relative_lengths_do_not_know_the_scale(poses: torch.Tensor) -> None:
    torch.testing.assert_close(losses.relative_bone_lengths(poses, H36M), losses.relative_bone_lengths(3 * poses, H36M))


def test_constancy_sees_a_bone_that_changes_within_a_window(poses: torch.Tensor) -> None:
    lengths = losses.relative_bone_lengths(poses, H36M)
    assert losses.constancy(lengths[:, None].expand(-1, 3, -1)) < 1e-7
    assert losses.constancy(lengths[None]) > 0.01  # eight people are not one


def test_proportions_are_least_at_the_expected_body() -> None:
    prior = PosePrior(PRIOR)
    expected = prior.bones / prior.bones.mean()
    assert losses.proportions(expected[None], prior.bones, 0.1) < 1e-9
    one_sigma = expected * torch.tensor(0.1).exp()
    assert losses.proportions(one_sigma[None], prior.bones, 0.1).item() == pytest.approx(1, rel=1e-4)


def test_smoothness_is_zero_for_constant_velocity_and_not_for_a_jump(poses: torch.Tensor) -> None:
    steps = torch.arange(5.0).view(1, 5, 1, 1)
    moving = poses[:, None] + 0.1 * steps
    assert losses.smoothness(moving, H36M) < 1e-5
    moving[:, 2] += 0.5
    assert losses.smoothness(moving, H36M) > 0.1
    assert losses.smoothness(poses[:, None], H36M) == 0


def test_something_must_say_what_depth_is() -> None:
    weights = dict.fromkeys(losses.LossParams.model_fields, 0.0)
    with pytest.raises(UserError, match="^params.yaml: losses: prior or distillation must be above 0"):
        section(losses.LossParams, "losses", {"losses": {**weights, "symmetry": 1.0}})
    assert section(losses.LossParams, "losses", {"losses": {**weights, "distillation": 1.0}}).prior == 0
