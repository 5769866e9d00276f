"""What the training loop and fine-tuning ask of every objective."""

from itertools import islice

import pytest
import torch

from lib.data.windows import Windows
from lib.models.tasks import build_model
from lib.objectives.base import Batches, LiftedExamples, Objective, ObjectiveContext
from lib.objectives.catalog import OBJECTIVES
from lib.plotting.examples import draw_examples
from lib.pose.layouts import H36M_LAYOUT
from lib.prior.sampler import PosePrior
from tests.settings import ALL_LOSSES, KNOWN, MASKING, NETWORKS, PRIOR, pipeline, synthetic_split, tiny_model, window

every_objective = pytest.mark.parametrize("name", OBJECTIVES)


def made(name: str) -> Objective:
    return OBJECTIVES[name].make(
        ObjectiveContext(
            train=synthetic_split(60),
            inputs=pipeline(3),
            prior=PosePrior(PRIOR),
            losses=ALL_LOSSES.model_copy(update={"plausibility": 0.0}),  # a density takes a thousand steps to learn
            masking=MASKING,
            batches=Batches(8, 4, 0),
            epochs=2,
            constant_bone_lengths=True,
            seed=0,
            device=torch.device("cpu"),
        )
    )


@every_objective
def test_every_objective_is_one(name: str) -> None:
    objective = made(name)
    assert isinstance(objective, Objective)
    assert isinstance(objective.for_validation(), Objective)
    assert objective.windows == 12


def test_what_lacks_a_method_is_no_objective() -> None:
    assert not isinstance(object(), Objective)


@every_objective
def test_every_objective_trains_a_model_of_its_task_and_shows_it(name: str) -> None:
    """Without positions, where it claims no labels."""
    torch.manual_seed(0)
    objective, kind = made(name), OBJECTIVES[name]
    model = build_model(kind.task, NETWORKS["transformer"], H36M_LAYOUT, 3, KNOWN)
    clips = Windows(synthetic_split(60), window(3).clip)[torch.arange(5, 60, 10)]
    if not kind.labels:
        clips = clips._replace(positions=None)
    objective.before_epoch(model, iter([clips]), 1)
    for terms_of in islice(objective.steps(model, iter([clips] * 2), 1, torch.Generator().manual_seed(0)), 2):
        loss = objective.total(terms_of(model))
        loss.backward()
        assert loss.isfinite() and loss > 0
    assert all(parameter.grad is not None for parameter in model.network.encoder.parameters())
    examples = objective.examples(model, clips.take(torch.arange(3)))
    assert isinstance(examples, LiftedExamples) == (kind.task == "lifting")
    assert len(draw_examples(examples).get_axes()) >= 2 * 3


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if kind.labels])
def test_an_objective_that_claims_labels_needs_them(name: str) -> None:
    clips = Windows(synthetic_split(60), window(3).clip)[torch.arange(5, 60, 10)]._replace(positions=None)
    steps = made(name).steps(tiny_model(3), iter([clips]), 1, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="need(s)? positions"):
        next(steps)
