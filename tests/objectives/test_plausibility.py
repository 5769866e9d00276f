import math
from dataclasses import replace

import pytest
import torch

from lib.objectives.plausibility import COMPONENTS, Plausibility, fit_plausibility
from lib.objectives.views import view_rays
from lib.pose.crops import perspective_crops
from lib.pose.layouts import H36M_LAYOUT
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from tests.settings import PRIOR, synthetic_split


def crops(count: int, seed: int) -> torch.Tensor:
    sample = PosePrior(PRIOR).sample_motion(count, 1, 0.02, torch.Generator().manual_seed(seed))
    return perspective_crops(view_rays(sample, H36M_LAYOUT)).keypoints[:, 0]


def fitted(steps: int) -> Plausibility:
    torch.manual_seed(0)
    density = Plausibility(len(H36M))
    density.fit(crops(2000, seed=0), steps, 256, torch.Generator().manual_seed(0))
    return density


def test_people_are_likelier_than_scrambled_people_and_noise() -> None:
    density, people = fitted(steps=60), crops(500, seed=1)
    scrambled = people[:, torch.randperm(len(H36M), generator=torch.Generator().manual_seed(0))]
    noise = torch.randn(people.shape, generator=torch.Generator().manual_seed(0))
    likely = density(people).median()
    assert likely + 1 < density(scrambled).median()
    assert likely + 1 < density(noise).median()


def test_learning_lowers_the_loss_and_freezes() -> None:
    torch.manual_seed(0)
    density = Plausibility(len(H36M))
    losses = density.fit(crops(2000, seed=0), 60, 256, torch.Generator().manual_seed(0))
    assert sum(losses[-10:]) / 10 < losses[0] - 0.1
    assert not any(parameter.requires_grad for parameter in density.parameters())


def test_the_density_integrates_the_change_of_volume() -> None:
    density = fitted(steps=20)
    people = crops(1, seed=2)[0].double()
    density.double()

    def latent(components: torch.Tensor) -> torch.Tensor:
        for coupling in density.couplings:
            components, _ = coupling(components)
        return components

    start = (people.flatten() - density.mean) @ density.basis
    jacobian = torch.autograd.functional.jacobian(latent, start)
    end = latent(start)
    gaussian = -0.5 * (end.square().sum() + COMPONENTS * math.log(math.tau))
    expected = -(gaussian + torch.linalg.slogdet(jacobian).logabsdet) / COMPONENTS
    torch.testing.assert_close(density(people), expected)


@pytest.mark.parametrize("frames", [3, 100])
def test_few_whole_bodies_are_no_density_of_their_own(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.objectives.plausibility.STEPS", 2)
    split = synthetic_split(frames)
    confidence = split.confidence.clone()
    confidence[2:, H36M.index("left_wrist")] = 0  # all but two
    density = fit_plausibility(replace(split, confidence=confidence), "rms", 0, torch.device("cpu"))
    assert density(crops(20, seed=1)).isfinite().all()
