import pytest
import torch

from lib.data.windows import WindowBatch, Windows
from lib.models.lifters import LifterModel, LiftingModel
from lib.objectives.base import Batches
from lib.objectives.lift import DRAWS, REAL_TERMS, RUN, Lift, LiftParams, render_view
from lib.objectives.losses import LossParams
from lib.objectives.plausibility import Plausibility
from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from lib.training.loop import validate
from tests.objectives.knowing import Knowing
from tests.settings import (
    ALL_LOSSES,
    NETWORKS,
    PRIOR,
    TRAINING,
    head_of,
    pipeline,
    synthetic_split,
    tiny_model,
    window,
)


def objective(weights: LossParams = ALL_LOSSES, frames: int = 1, density: Plausibility | None = None) -> Lift:
    params = LiftParams(weights, Batches(8, 8, 1), constant_bone_lengths=True)
    return Lift(pipeline(frames), PosePrior(PRIOR), params, density or Plausibility(len(H36M)))


def clips(frames: int) -> WindowBatch:
    return Windows(synthetic_split(60), window(frames).clip)[torch.arange(5, 60, 10)]


def terms_of(lift: Lift, model: LifterModel) -> dict[str, torch.Tensor]:
    """The terms of a step on eight real and eight drawn windows."""
    generator = torch.Generator().manual_seed(0)
    frames = lift.inputs.window.frames
    pseudo = lift.make_pseudo_labels(tiny_model(frames), clips(frames))
    return lift.terms(model, pseudo, next(lift.draws(8, generator)), generator)


@pytest.mark.parametrize("frames", [1, 5])
def test_every_term_has_a_value_and_a_gradient(frames: int) -> None:
    generator = torch.Generator().manual_seed(0)
    density, model = Plausibility(len(H36M)), tiny_model(frames)
    density.fit(torch.randn(200, len(H36M), 2, generator=generator), 5, 32, generator)
    terms = terms_of(objective(frames=frames, density=density), model)
    assert set(terms) == set(LossParams.model_fields)
    for name, value in terms.items():
        assert value.isfinite()
        (gradient,) = torch.autograd.grad(value, head_of(model).weight, retain_graph=True)
        assert gradient.abs().sum() > 0, name


def test_the_windows_of_a_run_are_flipped_and_rolled_alike() -> None:
    moving = clips(5)
    still = moving.take(torch.arange(len(moving.rays)))
    still.rays[:] = moving.rays[:, :1]
    lift = objective(frames=5)
    real = lift._real_windows(
        lift.make_pseudo_labels(tiny_model(5), still), 64, torch.Generator().manual_seed(0)
    ).middle()
    runs = real.keypoints.flatten(1).unflatten(0, (-1, RUN))
    torch.testing.assert_close(runs, runs[:, :1].expand_as(runs))
    assert runs[:, 0].diff(dim=0).abs().max() > 0.1


@pytest.mark.parametrize("name", LossParams.model_fields)
def test_a_weight_of_zero_turns_a_term_off(name: str) -> None:
    expected = set(LossParams.model_fields) - {name}
    if name == "distillation":
        expected -= {"plausibility"}  # which scores the same poses
    assert set(terms_of(objective(ALL_LOSSES.model_copy(update={name: 0.0})), tiny_model(1))) == expected


def test_draws_of_a_block_are_different_people() -> None:
    draws = objective().draws(4, torch.Generator().manual_seed(0))
    poses = torch.cat([next(draws).pose for _ in range(2 * DRAWS + 1)])
    assert len(poses) == 4 * (2 * DRAWS + 1)
    assert len(poses.flatten(1).unique(dim=0)) == len(poses)


@pytest.mark.parametrize("frames", [1, 5])
def test_a_teacher_that_knows_the_depths_labels_the_true_motion(frames: int) -> None:
    split = synthetic_split(40)
    assert split.positions is not None
    lift = objective(frames=frames)

    pseudo = lift.make_pseudo_labels(Knowing(split), Windows(split, window(40))[torch.tensor([20])])
    turn = pseudo.crops.rotation[0, 20]  # the elevation that it knows is 0
    truth = (split.positions - split.positions[:, :1]) @ turn.mT
    size = lift.prior.body_size / bone_lengths(truth, H36M).sum(-1)
    torch.testing.assert_close(pseudo.level[0], truth * size[:, None, None], atol=3e-3, rtol=0)


def test_the_prior_comes_first_and_learns_bodies_once_it_is_left() -> None:
    prior = PosePrior(PRIOR.model_copy(update={"bone_length_update": 0.5}))
    params = LiftParams(ALL_LOSSES, Batches(8, 8, 1), constant_bone_lengths=False)
    lift = Lift(pipeline(), prior, params, Plausibility(17))
    teacher, model, before = tiny_model(1), tiny_model(1), prior.lengths.clone()
    stream = iter([clips(1)] * 9)
    first = lift.steps(teacher, stream, 1, torch.Generator().manual_seed(0))
    lift.before_epoch(teacher, stream, 1)
    assert set(next(first)(model)) == {"prior", "elevation"}
    assert torch.equal(prior.lengths, before)
    lift.before_epoch(teacher, stream, 2)
    assert not torch.equal(prior.lengths, before)
    assert "distillation" in next(lift.steps(teacher, stream, 2, torch.Generator().manual_seed(0)))(model)


def test_the_total_is_the_weighted_sum() -> None:
    terms = {"prior": torch.tensor(2.0), "symmetry": torch.tensor(3.0)}
    assert objective().total(terms).item() == pytest.approx(0.5)


def test_terms_of_real_2d_alone_cost_nothing_when_off() -> None:
    only_prior = LossParams(**{**dict.fromkeys(LossParams.model_fields, 0.0), "prior": 1.0})
    seen: list[int] = []

    class Counting(torch.nn.Module):
        def forward(self, keypoints: torch.Tensor, confidence: torch.Tensor, scale: torch.Tensor) -> object:
            seen.append(len(keypoints))
            return tiny_model(1)(keypoints, confidence, scale)

    for weights in (only_prior, only_prior.model_copy(update={"symmetry": 1.0})):
        terms_of(objective(weights), Counting())
    assert seen == [8, 16]
    assert set(REAL_TERMS) < set(LossParams.model_fields)


def test_a_drawn_pose_and_its_crop_agree() -> None:
    sample = PosePrior(PRIOR).sample_motion(4, 1, 0.02, torch.Generator().manual_seed(0))
    crops = render_view(sample, "rms")
    in_camera = sample.pose[..., :2] / (sample.pose[..., 2] + sample.root_depth[..., None])[..., None]
    torch.testing.assert_close(crops.keypoints * crops.scale[..., None, None], in_camera)


def test_no_drawn_poses_leave_no_epochs_of_them_alone() -> None:
    lift = objective(ALL_LOSSES.model_copy(update={"prior": 0.0}))
    generator = torch.Generator().manual_seed(0)
    assert "distillation" in next(lift.steps(tiny_model(1), iter([clips(1)]), 1, generator))(tiny_model(1))


def test_validation_does_not_depend_on_what_was_seen_before() -> None:
    lift, held_out, training = objective(), clips(1), TRAINING.model_copy(update={"epochs": 3})
    first = validate(tiny_model(1), lift, held_out, training)
    assert validate(tiny_model(1), lift, held_out, training) == first
    lift.make_pseudo_labels(tiny_model(1), held_out)
    torch.manual_seed(5)
    lift.make_pseudo_labels(LiftingModel(NETWORKS["transformer"], H36M, 1).eval(), held_out)
    assert validate(tiny_model(1), lift, held_out, training) == first
