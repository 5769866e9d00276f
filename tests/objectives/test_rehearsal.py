"""Labels and what pre-training did, side by side."""

import pytest
import torch

from lib.data.windows import ClipStream
from lib.objectives.base import Batches
from lib.objectives.lift import Lift, LiftParams
from lib.objectives.rehearsal import Rehearsed
from lib.objectives.supervised import STATED, Supervised
from lib.prior.sampler import PosePrior
from tests.settings import ALL_LOSSES, CLEAN, NO_TRANSFORMS, PRIOR, pipeline


def test_the_total_of_labels_and_rehearsal_by_hand() -> None:
    inputs = pipeline(3, transforms=NO_TRANSFORMS, corruption=CLEAN)
    supervised = Supervised(inputs, 8, body_size=3.5)
    lift = Lift(inputs, PosePrior(PRIOR), LiftParams(ALL_LOSSES, Batches(8, 8, 0), constant_bone_lengths=False))
    both = Rehearsed(supervised, lift, ClipStream([], torch.device("cpu")), 0.5)
    labelled = {"supervised": torch.tensor(2.0), "stated": torch.tensor(-1.0)}
    terms = {**labelled, "prior": torch.tensor(3.0), "distillation": torch.tensor(1.0)}
    assert both.total(terms) == pytest.approx(2 - STATED + 0.5 * 0.1 * (3 + 1))
    assert both.for_validation() is supervised  # validation reads labels alone
    assert both.for_validation().total(labelled) == pytest.approx(2 - STATED)
