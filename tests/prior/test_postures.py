"""Postures: joint angles that a body can have."""

import torch

from lib.prior.kinematics import LIMITS
from lib.prior.sampler import PosePrior
from tests.settings import PRIOR


def test_sampled_angles_keep_to_the_joints_limits() -> None:
    angles = PosePrior(PRIOR).postures.sample(4096, torch.Generator().manual_seed(0))
    for name, limits in LIMITS.items():
        low, high = torch.tensor(limits).float().deg2rad().unbind(-1)
        sampled = getattr(angles, name)
        assert (sampled >= low - 1e-6).all()
        assert (sampled <= high + 1e-6).all()
