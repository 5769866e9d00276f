import pytest
import torch

from lib.data.store import Split
from lib.data.transforms import mirror, normalize
from lib.data.windows import WindowBatch, Windows
from lib.models.lifters import Lifted, LifterModel, LiftingModel
from lib.objectives.lift import DRAWS, REAL_TERMS, RUN, Batches, Lift, see
from lib.objectives.losses import LossParams
from lib.objectives.plausibility import Plausibility
from lib.objectives.supervised import Supervised
from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from lib.sequences.bone_lengths import Bodies
from lib.training.loop import validate
from tests.settings import (
    ALL_LOSSES,
    CLEAN,
    CORRUPTION,
    NETWORKS,
    NO_TRANSFORMS,
    PRIOR,
    TRAINING,
    TRANSFORMS,
    head_of,
    synthetic_split,
    tiny_model,
    window,
)


def objective(weights: LossParams = ALL_LOSSES, frames: int = 1, density: Plausibility | None = None) -> Lift:
    density = density or Plausibility(len(H36M))
    batches, bodies = Batches(8, 8, 1), Bodies()
    return Lift(PosePrior(PRIOR), weights, TRANSFORMS, CORRUPTION, window(frames), batches, 50.0, density, bodies)


def clips(frames: int) -> WindowBatch:
    return Windows(synthetic_split(60), window(frames).clip)[torch.arange(5, 60, 10)]


def terms_of(lift: Lift, model: LifterModel) -> dict[str, torch.Tensor]:
    """The terms of a step on eight real and eight drawn windows."""
    generator = torch.Generator().manual_seed(0)
    observed = lift.observe(tiny_model(lift.window.frames), clips(lift.window.frames))
    return lift.terms(model, observed, next(lift.draws(8, generator)), generator)


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
    real = lift._real_windows(lift.observe(tiny_model(5), still), 64, torch.Generator().manual_seed(0)).middle()
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


class Knowing(torch.nn.Module):
    """Knows the depths of a split: finds a window's middle frame, plain, mirrored or rolled, by its keypoints."""

    def __init__(self, split: Split) -> None:
        super().__init__()
        assert split.positions is not None
        plain = normalize(
            WindowBatch(split.rays[:, None], split.confidence[:, None], torch.arange(len(split.rays))), "rms"
        )
        axis = torch.nn.functional.normalize(split.positions[:, :1], dim=-1)
        depth = (split.positions * axis).sum(-1)
        relative = (depth / depth[:, :1] - 1) / plain.scale
        self.views = torch.cat([plain.keypoints[:, 0], mirror(plain).keypoints[:, 0]])
        self.depths = torch.cat([relative, relative[:, torch.tensor(H36M.mirror)]])

    def forward(self, keypoints: torch.Tensor, confidence: torch.Tensor, scale: torch.Tensor) -> Lifted:
        middle = scale.shape[1] // 2
        # A roll about the axis is a complex factor, which the size of the inner product forgets.
        seen, views = (torch.view_as_complex(part.contiguous()) for part in (keypoints[:, middle], self.views))
        found = (seen @ views.mH).abs().argmax(1)
        nothing = torch.zeros_like(scale[:, middle])
        return Lifted(self.depths[found], torch.zeros(len(found), 17, 2), nothing)


@pytest.mark.parametrize("frames", [1, 5])
def test_a_teacher_that_knows_the_depths_observes_the_true_motion(frames: int) -> None:
    split = synthetic_split(40)
    assert split.positions is not None
    lift = objective(frames=frames)

    observed = lift.observe(Knowing(split), Windows(split, window(40))[torch.tensor([20])])
    turn = observed.crops.rotation[0, 20]  # the elevation that it knows is 0
    truth = (split.positions - split.positions[:, :1]) @ turn.mT
    size = lift.prior.body_size / bone_lengths(truth).sum(-1)
    torch.testing.assert_close(observed.level[0], truth * size[:, None, None], atol=3e-3, rtol=0)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_supervision_by_the_truth_has_no_loss(flip: float) -> None:
    split = synthetic_split(40)
    transforms = NO_TRANSFORMS.model_copy(update={"flip": flip, "rotation_deg": 10.0})
    supervised = Supervised(3.5, transforms, CLEAN, window(3), 16)
    labelled = Windows(split, window(3).clip)[torch.tensor([15, 20])]
    steps = supervised.steps(Knowing(split), iter([labelled]), 1, torch.Generator().manual_seed(0))
    assert next(steps)(Knowing(split))["supervised"] < 1e-3  # metres
    assert next(steps)(tiny_model(3))["supervised"] > 0.05


def test_supervision_needs_labels() -> None:
    supervised = Supervised(3.5, TRANSFORMS, CLEAN, window(1), 8)
    unlabelled = clips(1)._replace(positions=None)
    with pytest.raises(ValueError, match="needs positions"):
        supervised.label(unlabelled)


def test_the_prior_comes_first_and_learns_bodies_once_it_is_left() -> None:
    prior = PosePrior(PRIOR.model_copy(update={"bone_learning": 0.5}))
    lift = Lift(prior, ALL_LOSSES, TRANSFORMS, CORRUPTION, window(1), Batches(8, 8, 1), 50.0, Plausibility(17))
    teacher, model, before = tiny_model(1), tiny_model(1), prior.lengths.clone()
    stream = iter([clips(1)] * 9)
    first = lift.steps(teacher, stream, 1, torch.Generator().manual_seed(0))
    lift.adapt(teacher, stream, 1)
    assert set(next(first)(model)) == {"prior", "elevation"}
    assert torch.equal(prior.lengths, before)
    lift.adapt(teacher, stream, 2)
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
    sample = PosePrior(PRIOR).sample_motion(4, 1, 50.0, torch.Generator().manual_seed(0))
    crops = see(sample, "rms")
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
    lift.observe(tiny_model(1), held_out)
    torch.manual_seed(5)
    lift.observe(LiftingModel(NETWORKS["transformer"], 1).eval(), held_out)
    assert validate(tiny_model(1), lift, held_out, training) == first
