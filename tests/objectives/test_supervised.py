"""Lifting with labels."""

import pytest
import torch

from lib.data.windows import Windows
from lib.objectives.supervised import Supervised
from tests.objectives.knowing import Knowing
from tests.settings import CLEAN, NO_TRANSFORMS, pipeline, synthetic_split, tiny_model, window


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_supervision_by_the_truth_has_no_loss(flip: float) -> None:
    split = synthetic_split(40)
    transforms = NO_TRANSFORMS.model_copy(update={"flip_probability": flip, "rotation_deg": 10.0})
    supervised = Supervised(pipeline(3, transforms=transforms, corruption=CLEAN), 16, body_size=3.5)
    labelled = Windows(split, window(3).clip)[torch.tensor([15, 20])]
    steps = supervised.steps(Knowing(split), iter([labelled]), 1, torch.Generator().manual_seed(0))
    assert next(steps)(Knowing(split))["supervised"] < 1e-3  # metres
    assert next(steps)(tiny_model(3))["supervised"] > 0.05


def test_supervision_needs_labels() -> None:
    supervised = Supervised(pipeline(corruption=CLEAN), 8, body_size=3.5)
    unlabelled = Windows(synthetic_split(60), window(1).clip)[torch.arange(5, 60, 10)]._replace(positions=None)
    with pytest.raises(ValueError, match="needs positions"):
        supervised.label(unlabelled)
