import torch

from lib.prior.kinematics import Angles
from lib.prior.sampler import PosePrior
from tests.settings import PRIOR


def test_angles_go_to_a_vector_and_back() -> None:
    angles = PosePrior(PRIOR).sample_angles(5, torch.Generator().manual_seed(0))
    for got, expected in zip(Angles.from_vector(angles.vector()), angles, strict=True):
        assert torch.equal(got, expected)
