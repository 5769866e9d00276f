import pytest
import torch

from lib.anatomy import PosePrior
from lib.data.windows import WindowBatch, WindowParams, Windows
from lib.losses import LossParams
from lib.objectives import REAL_TERMS, Lift, see
from tests.settings import ALL_LOSSES, CLEAN, CORRUPTION, NO_TRANSFORMS, PRIOR, TRANSFORMS, synthetic_split, tiny_model


def real_batch(frames: int) -> WindowBatch:
    return Windows(synthetic_split(20), WindowParams(frames=frames, dilation=1, stride=1))[torch.arange(8)]


@pytest.mark.parametrize("frames", [1, 5])
def test_every_term_has_a_value_and_a_gradient(frames: int) -> None:
    model = tiny_model(frames)
    objective = Lift(PosePrior(PRIOR), ALL_LOSSES, TRANSFORMS, CORRUPTION, frames, 50.0)
    terms = objective.terms(model, tiny_model(frames), real_batch(frames), 8, torch.Generator().manual_seed(0))
    assert set(terms) == set(LossParams.model_fields)
    for name, value in terms.items():
        assert value.isfinite()
        if frames > 1 or name not in ("constancy", "smoothness"):
            (gradient,) = torch.autograd.grad(value, model.decoder.head.weight, retain_graph=True)
            assert gradient.abs().sum() > 0, name


@pytest.mark.parametrize("name", LossParams.model_fields)
def test_a_weight_of_zero_turns_a_term_off(name: str) -> None:
    weights = ALL_LOSSES.model_copy(update={name: 0.0})
    objective = Lift(PosePrior(PRIOR), weights, TRANSFORMS, CORRUPTION, 1, 50.0)
    terms = objective.terms(tiny_model(1), tiny_model(1), real_batch(1), 8, torch.Generator().manual_seed(0))
    assert set(terms) == set(LossParams.model_fields) - {name}


def test_the_total_is_the_weighted_sum() -> None:
    objective = Lift(PosePrior(PRIOR), ALL_LOSSES, NO_TRANSFORMS, CLEAN, 1, 50.0)
    assert objective.total({"prior": torch.tensor(2.0), "symmetry": torch.tensor(3.0)}).item() == pytest.approx(0.5)


def test_terms_of_real_2d_alone_cost_nothing_when_off() -> None:
    only_prior = LossParams(**{**dict.fromkeys(LossParams.model_fields, 0.0), "prior": 1.0})
    seen: list[int] = []

    class Counting(torch.nn.Module):
        def forward(self, keypoints: torch.Tensor, confidence: torch.Tensor, scale: torch.Tensor) -> object:
            seen.append(len(keypoints))
            return tiny_model(1)(keypoints, confidence, scale)

    for weights in (only_prior, only_prior.model_copy(update={"symmetry": 1.0})):
        objective = Lift(PosePrior(PRIOR), weights, NO_TRANSFORMS, CLEAN, 1, 50.0)
        objective.terms(Counting(), tiny_model(1), real_batch(1), 8, torch.Generator().manual_seed(0))
    assert seen == [8, 16]
    assert set(REAL_TERMS) < set(LossParams.model_fields)


def test_a_drawn_pose_and_its_crop_agree() -> None:
    sample = PosePrior(PRIOR).sample_motion(4, 1, 50.0, torch.Generator().manual_seed(0))
    crops = see(sample, "rms")
    in_camera = sample.pose[..., :2] / (sample.pose[..., 2] + sample.root_depth[..., None])[..., None]
    torch.testing.assert_close(crops.keypoints * crops.scale[..., None, None], in_camera)
