"""Lifting with labels."""

import pytest
import torch

from lib.data.windows import Windows
from lib.objectives.supervised import STATED, Supervised
from lib.pose.layout import Layout
from lib.pose.layouts import LAYOUTS
from tests.objectives.knowing import Knowing
from tests.settings import (
    CLEAN,
    CORRUPTION,
    KNOWN,
    NO_TRANSFORMS,
    TRANSFORMS,
    pipeline,
    synthetic_split,
    tiny_model,
    window,
)


@pytest.mark.parametrize("layout", KNOWN, ids=[layout.name for layout in KNOWN])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_supervision_by_the_truth_has_no_loss(layout: Layout, flip: float) -> None:
    split = synthetic_split(40, layout=layout)
    transforms = NO_TRANSFORMS.model_copy(update={"flip_probability": flip, "rotation_deg": 10.0})
    inputs = pipeline(3, transforms=transforms, corruption=CLEAN, layout=layout)
    supervised = Supervised(inputs, 16, body_size=3.5)
    labelled = Windows(split, window(3).clip)[torch.tensor([15, 20])]
    steps = supervised.steps(Knowing(split), iter([labelled]), 1, torch.Generator().manual_seed(0))
    assert next(steps)(Knowing(split))["supervised"] < 1e-3  # metres
    assert next(steps)(tiny_model(3))["supervised"] > 0.05


@pytest.mark.parametrize("name", ["h36m", "body_25"])
def test_labels_teach_the_errors_that_are_stated(name: str) -> None:
    layout = LAYOUTS[name]
    supervised = Supervised(pipeline(3, transforms=TRANSFORMS, corruption=CORRUPTION, layout=layout), 32, body_size=3.5)
    clips = Windows(synthetic_split(40, layout=layout), window(3).clip)[torch.tensor([15, 20])]
    model = tiny_model(3)
    terms = supervised.terms(model, supervised.label(clips), torch.Generator().manual_seed(0))
    before = supervised.total({**terms, "stated": torch.tensor(0.0)})
    assert float(supervised.total(terms).detach()) == pytest.approx(float((before + STATED * terms["stated"]).detach()))
    terms["stated"].backward()
    assert model.network.head.head.weight.grad is None  # they disturb nothing
    gradient = next(model.error_head[-1].parameters()).grad  # of its weight
    assert gradient is not None
    taught = {point for point, row in enumerate(gradient) if row.abs().sum() > 0}
    assert taught == {17 + slot for slot in layout.slots} | (set(range(17)) if name == "h36m" else set())


@pytest.mark.parametrize("name", ["h36m", "body_25"])
def test_labels_teach_the_points_of_their_layout(name: str) -> None:
    """The joints too if they are Human3.6M's; else only what the layout marks."""
    layout = LAYOUTS[name]
    supervised = Supervised(pipeline(3, transforms=TRANSFORMS, corruption=CORRUPTION, layout=layout), 32, body_size=3.5)
    clips = Windows(synthetic_split(40, layout=layout), window(3).clip)[torch.tensor([15, 20])]
    model = tiny_model(3)
    terms = supervised.terms(model, supervised.label(clips), torch.Generator().manual_seed(0))
    terms["supervised"].backward()
    gradient = model.network.head.head.weight.grad
    assert gradient is not None
    taught = gradient[3:].abs().sum(1).unflatten(0, (-1, 3))[..., 0] > 0  # the depth of each point
    joints = {point for point in range(17) if taught[point]}
    keypoints = {point - 17 for point in range(17, len(taught)) if taught[point]}
    assert keypoints == set(layout.slots)
    assert joints == (set(range(1, 17)) if name == "h36m" else set())


def test_supervision_needs_labels() -> None:
    supervised = Supervised(pipeline(corruption=CLEAN), 8, body_size=3.5)
    unlabelled = Windows(synthetic_split(60), window(1).clip)[torch.arange(5, 60, 10)]._replace(positions=None)
    with pytest.raises(ValueError, match="needs positions"):
        supervised.label(unlabelled)
