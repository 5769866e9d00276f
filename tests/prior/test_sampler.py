import pytest
import torch

from lib.pose.geometry import project
from lib.pose.skeleton import H36M
from lib.prior.bodies import SEGMENTS
from lib.prior.motions import MotionWeights
from lib.prior.postures import PostureWeights
from lib.prior.sampler import PosePrior, PriorParams
from lib.runtime.errors import UserError
from lib.runtime.params import section
from tests.settings import PRIOR


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


def test_lengths_are_learned_from_the_proportions_of_poses() -> None:
    people, prior = (PosePrior(PRIOR.model_copy(update={"bone_length_update": 1.0})) for _ in range(2))
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
