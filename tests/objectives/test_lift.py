import dataclasses

import pytest
import torch

from lib.data.windows import WindowBatch, Windows
from lib.models.lifters import LifterModel, LiftingModel
from lib.objectives.base import Batches
from lib.objectives.lift import REAL_TERMS, RUN, Lift, LiftParams
from lib.objectives.losses import LossParams
from lib.objectives.plausibility import Plausibility
from lib.objectives.pseudo_labels import PseudoLabels
from lib.objectives.views import DRAWS, Views, view_rays
from lib.pose.geometry import bone_lengths
from lib.pose.landmarks import JOINT_OF, JOINTS
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
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


def novel_views(lift: Lift, pseudo: PseudoLabels, layout: Layout = H36M_LAYOUT, windows: int = 64) -> Views:
    return lift._novel_views(pseudo, windows, layout, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("frames", [1, 5])
def test_every_term_has_a_value_and_a_gradient(frames: int) -> None:
    generator = torch.Generator().manual_seed(0)
    density, model = Plausibility(len(H36M)), tiny_model(frames)
    density.fit(torch.randn(200, len(H36M), 2, generator=generator), 5, 32, generator)
    terms = terms_of(objective(frames=frames, density=density), model)
    assert set(terms) == set(LossParams.model_fields)
    for name, value in terms.items():
        assert value.isfinite()
        of_errors = next(model.error_head[-1].parameters())  # its weight
        parts = torch.autograd.grad(value, [head_of(model).weight, of_errors], retain_graph=True, allow_unused=True)
        lifting, stating = (part is not None and bool(part.abs().sum() > 0) for part in parts)
        assert (lifting, stating) == (name != "error", name == "error"), name  # stated errors disturb nothing


def test_the_windows_of_a_run_are_flipped_and_rolled_alike() -> None:
    moving = clips(5)
    still = moving.take(torch.arange(len(moving.rays)))
    still.rays[:] = moving.rays[:, :1]
    lift = objective(frames=5)
    pseudo = lift.make_pseudo_labels(tiny_model(5), still)
    real = lift._real_windows(pseudo, 64, torch.Generator().manual_seed(0))
    runs = real.rays[:, 2].flatten(1).unflatten(0, (-1, RUN))
    torch.testing.assert_close(runs, runs[:, :1].expand_as(runs))
    assert runs[:, 0].diff(dim=0).abs().max() > 0.01


@pytest.mark.parametrize("name", LossParams.model_fields)
def test_a_weight_of_zero_turns_a_term_off(name: str) -> None:
    expected = set(LossParams.model_fields) - {name}
    if name == "distillation":
        expected -= {"plausibility"}  # which scores the same poses
    assert set(terms_of(objective(ALL_LOSSES.model_copy(update={name: 0.0})), tiny_model(1))) == expected


def test_draws_of_a_block_are_different_people() -> None:
    draws = objective().draws(4, torch.Generator().manual_seed(0))
    poses = torch.cat([next(draws).sample.joints for _ in range(2 * DRAWS + 1)])
    assert len(poses) == 4 * (2 * DRAWS + 1)
    assert len(poses.flatten(1).unique(dim=0)) == len(poses)


@pytest.mark.parametrize("frames", [1, 5])
def test_a_teacher_that_knows_the_depths_labels_the_true_motion(frames: int) -> None:
    split = synthetic_split(40)
    assert split.positions is not None
    lift = objective(frames=frames)

    pseudo = lift.make_pseudo_labels(Knowing(split), Windows(split, window(40))[torch.tensor([20])])
    truth = split.positions - split.positions[:, :1]  # whose camera is level
    size = (lift.prior.body_size / bone_lengths(truth, H36M).sum(-1))[:, None, None]
    level = pseudo.level[0, :, :JOINTS]
    torch.testing.assert_close(level, truth * size, atol=3e-3, rtol=0)
    torch.testing.assert_close(pseudo.level[0, :, JOINTS:], level)  # Human3.6M's keypoints are its joints


def test_the_prior_comes_first_and_learns_bodies_once_it_is_left() -> None:
    prior = PosePrior(PRIOR.model_copy(update={"bone_length_update": 0.5}))
    params = LiftParams(ALL_LOSSES, Batches(8, 8, 1), constant_bone_lengths=False)
    lift = Lift(pipeline(), prior, params, Plausibility(17))
    teacher, model, before = tiny_model(1), tiny_model(1), prior.lengths.clone()
    stream = iter([clips(1)] * 9)
    first = lift.steps(teacher, stream, 1, torch.Generator().manual_seed(0))
    lift.before_epoch(teacher, stream, 1)
    assert set(next(first)(model)) == {"prior", "vertical", "error"}
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
        def forward(
            self, keypoints: torch.Tensor, confidence: torch.Tensor, scale: torch.Tensor, layout: Layout
        ) -> object:
            seen.append(len(keypoints))
            return tiny_model(1)(keypoints, confidence, scale, layout)

    for weights in (only_prior, only_prior.model_copy(update={"symmetry": 1.0})):
        terms_of(objective(weights), Counting())
    assert seen == [8, 8, 8]
    assert set(REAL_TERMS) < set(LossParams.model_fields)


def test_a_drawn_pose_and_its_rays_agree() -> None:
    sample = PosePrior(PRIOR).sample_motion(4, 1, 0.02, torch.Generator().manual_seed(0))
    in_camera = sample.joints[..., :2] / (sample.joints[..., 2] + sample.root_depth[..., None])[..., None]
    rays = view_rays(sample, H36M_LAYOUT)
    torch.testing.assert_close(rays.rays, in_camera)
    assert (rays.std == 0).all()


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
    lift.make_pseudo_labels(LiftingModel(NETWORKS["transformer"], 1, tuple(LAYOUTS.values())).eval(), held_out)
    assert validate(tiny_model(1), lift, held_out, training) == first


def with_hidden(names: tuple[str, ...], frames: int = 1) -> WindowBatch:
    hidden = torch.tensor([name in names for name in H36M.names])
    some = clips(frames)
    return some._replace(confidence=some.confidence.masked_fill(hidden, 0.0))


def test_what_real_2d_hides_stays_hidden_from_other_sides_and_counts_by_the_teachers_certainty() -> None:
    lift, names = objective(), ("left_knee", "left_ankle", "head")
    pseudo = lift.make_pseudo_labels(tiny_model(1), with_hidden(names))
    views = novel_views(lift, pseudo)
    hidden = ~views.rays.std[:, 0].isfinite()
    order = torch.tensor(H36M.mirror)
    expected = torch.tensor([name in names for name in H36M.names])
    flipped = (hidden == expected[order]).all(-1)
    assert ((hidden == expected).all(-1) | flipped).all()
    assert 10 < flipped.sum() < 54  # about half are mirrored
    weight = views.weight
    assert weight is not None
    assert (weight[:, JOINTS:][~hidden] == 1).all()
    assert (weight[:, :JOINTS][~hidden] == 1).all()
    assert (weight[:, JOINTS:][hidden] < 1).all()


def test_novel_views_are_marked_as_any_layout_marks_them() -> None:
    lift = objective()
    names = ("left_knee", "left_ankle", "right_knee", "right_ankle", "neck", "head")
    pseudo = lift.make_pseudo_labels(tiny_model(1), with_hidden(names))
    same = novel_views(lift, pseudo)
    for layout in LAYOUTS.values():
        views = novel_views(lift, pseudo, layout)
        assert views.rays.layout == layout and views.sample.keypoints.shape[2] == len(layout)
        bones = [bone_lengths(one.sample.joints, H36M).sort(0).values for one in (views, same)]
        torch.testing.assert_close(*bones)  # of the same people
        hidden = [not seen for seen in views.rays.std.isfinite().all(0)[0]]
        expected = [H36M.names[JOINT_OF[slot]] in names for slot in layout.slots]
        assert hidden == expected
        weight = views.weight
        assert weight is not None and (weight[:, JOINTS:][:, hidden] < 1).all()
        assert (weight[:, JOINTS:][:, [not one for one in hidden]] == 1).all()


def test_data_that_lack_a_joint_hide_nothing_that_another_layout_marks_there() -> None:
    coco = LAYOUTS["coco"]
    lift = objective()
    lift.inputs = pipeline(1, layout=coco)
    some = Windows(synthetic_split(60, layout=coco), window(1).clip)[torch.arange(5, 60, 10)]
    pseudo = lift.make_pseudo_labels(tiny_model(1), some)
    views = novel_views(lift, pseudo, H36M_LAYOUT)
    assert views.rays.std.isfinite().all()  # the spine, which COCO does not mark, is the teacher's guess
    weight, spine = views.weight, H36M.index("spine")
    assert weight is not None and (weight[:, spine] < 1).all() and (weight[:, H36M.index("left_knee")] == 1).all()


def test_draws_are_of_other_layouts_as_often_as_asked() -> None:
    lift = objective()
    lift.prior = PosePrior(PRIOR.model_copy(update={"other_layouts_probability": 0.5}))
    draws = lift.draws(2, torch.Generator().manual_seed(0))
    names = [next(draws).rays.layout.name for _ in range(200)]
    assert 70 < names.count("h36m") < 130
    assert set(names) == set(LAYOUTS)
    lift.prior = PosePrior(PRIOR.model_copy(update={"other_layouts_probability": 0.0}))
    draws = lift.draws(2, torch.Generator().manual_seed(0))
    assert {next(draws).rays.layout.name for _ in range(20)} == {"h36m"}


def test_views_are_judged_together_as_each_by_itself() -> None:
    lift, model = objective(ALL_LOSSES), tiny_model(1)
    clean = dataclasses.replace(lift.inputs.corruption, noise_std=(0.0,) * 17, hidden=0.0, clean=1.0)
    lift.inputs = dataclasses.replace(lift.inputs, corruption=clean)
    generator = torch.Generator().manual_seed(0)
    for layout in (H36M_LAYOUT, LAYOUTS["coco"]):
        drawn = (lift.prior.sample_motion(count, 1, 0.02, generator, layout) for count in (4, 3))
        parts = [Views(sample, view_rays(sample, layout)) for sample in drawn]
        together = lift._judged(model, parts, generator)
        for one, judged in zip(parts, together, strict=True):
            (alone,) = lift._judged(model, [one], generator)
            torch.testing.assert_close(judged.distance, alone.distance)
            torch.testing.assert_close(judged.pose, alone.pose)
