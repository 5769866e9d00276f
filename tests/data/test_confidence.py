"""What confidences are worth: judged by the noise that is seen in the 2D."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lib.data.confidence import CORRELATION_SECONDS, DOUBTED, keypoint_noise, ray_std
from lib.data.split import Split
from tests.settings import synthetic_split

LENGTHS = (400, 300)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def random_confidence(split: Split, low: float = 0.3) -> Tensor:
    return low + (1 - low) * torch.rand(split.confidence.shape, generator=seeded())


def noisy(split: Split, std: Tensor | float) -> Split:
    """With noise of a standard deviation a keypoint and frame, which lasts as detectors' does."""
    noise = torch.randn(split.rays.shape, generator=seeded())
    kept = math.exp(-0.02 / CORRELATION_SECONDS)
    for frame in range(1, len(noise)):
        noise[frame] = kept * noise[frame - 1] + math.sqrt(1 - kept**2) * noise[frame]
    return replace(split, rays=split.rays + torch.as_tensor(std)[..., None] * noise)


def std_of(split: Split, confidence: Tensor) -> Tensor:
    return ray_std(split.rays, confidence, split.timing)


def test_exact_2d_is_exact_whatever_its_confidences_are() -> None:
    split = synthetic_split(*LENGTHS)
    assert std_of(split, split.confidence).max() < 5e-4
    assert std_of(split, random_confidence(split)).max() < 5e-4


def test_without_a_change_of_confidence_each_keypoint_has_its_noise() -> None:
    size = torch.linspace(0.001, 0.005, 17)
    split = noisy(synthetic_split(*LENGTHS), size.expand(700, 17))
    for level in (1.0, 0.4):
        found = std_of(split, level * split.confidence)
        assert torch.equal(found, keypoint_noise(split.rays, split.confidence, split.timing).expand(700, 17))
        torch.testing.assert_close(found[0], size, rtol=0.15, atol=0)


def test_where_noise_grows_as_confidence_falls_so_does_the_standard_deviation() -> None:
    clean = synthetic_split(*LENGTHS)
    confidence = random_confidence(clean)
    split = noisy(clean, 0.001 / confidence)
    found = std_of(split, confidence)
    low, high = confidence < 0.4, confidence > 0.9
    assert found[low].mean() > 2 * found[high].mean()
    ranked = found[:, 0][confidence[:, 0].argsort()]
    assert ranked[:100].mean() > ranked[300:400].mean() > ranked[-100:].mean()


def test_a_meaningless_confidence_adds_nothing_to_noise() -> None:
    clean = synthetic_split(*LENGTHS)
    split = noisy(clean, 0.003 * torch.ones(700, 17))
    base = keypoint_noise(split.rays, split.confidence, split.timing)
    found = std_of(split, random_confidence(clean))
    assert (found / base).mean() < 1.35


def test_half_the_confidence_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it means what it says: noise, and DOUBTED of the body's extent, in quadrature."""
    monkeypatch.setattr("lib.data.confidence._meaning", lambda *_: 1.0)
    split = synthetic_split(*LENGTHS)
    confidence = split.confidence.clone()
    confidence[10, 3] = 0.5
    found = std_of(split, confidence)
    extent = (split.rays[10] - split.rays[10].mean(0)).square().sum(-1).mean().sqrt()
    base = keypoint_noise(split.rays, split.confidence, split.timing)
    expected = (base[3].square() + (DOUBTED * extent).square()).sqrt()
    assert found[10, 3].item() == pytest.approx(float(expected), rel=1e-3)
    assert torch.equal(found[11], base)


def test_hidden_keypoints_reach_nothing() -> None:
    clean = synthetic_split(*LENGTHS)
    confidence = random_confidence(clean)
    hidden = torch.rand(700, 17, generator=torch.Generator().manual_seed(1)) < 0.2
    confidence = confidence.masked_fill(hidden, 0.0)
    split = noisy(clean, 0.001 / random_confidence(clean))
    moved = replace(split, rays=torch.where(hidden[..., None], split.rays + 9, split.rays))
    one, other = std_of(split, confidence), std_of(moved, confidence)
    assert one.isfinite().all()
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("lengths", [(1,), (2,), (3,), (2, 1)])
def test_a_few_frames_have_standard_deviations(lengths: tuple[int, ...]) -> None:
    split = synthetic_split(*lengths)
    for confidence in (split.confidence, random_confidence(split), torch.zeros_like(split.confidence)):
        found = std_of(split, confidence)
        assert found.shape == confidence.shape and found.isfinite().all() and (found >= 0).all()


def test_a_split_has_them_once() -> None:
    split = synthetic_split(20)
    assert split.std is split.std
    assert torch.equal(split.std, std_of(split, split.confidence))
