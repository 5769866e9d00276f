"""Criteria without labels: each sees its fault, and an objective measures checkpoints as a validation does."""

from dataclasses import replace

import pytest
import torch

from lib.data.split import Split
from lib.data.windows import Windows
from lib.experiments.criteria import (
    Predictions,
    knees_bent_forward,
    objective_criteria,
    pose_criteria,
    pose_distance,
)
from lib.objectives.base import Batches
from lib.objectives.lift import Lift, LiftParams
from lib.objectives.losses import LossParams
from lib.pose.geometry import rotation_about
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from lib.training.loop import validate
from tests.settings import CLEAN, NO_TRANSFORMS, PRIOR, TRAINING, pipeline, synthetic_split, tiny_model, window


def recorded(actions: tuple[str, str] = ("Walk", "Walk")) -> Split:
    """Two sequences of nine frames that cameras may have recorded together."""
    split = synthetic_split(9, 9)
    return replace(split, table=split.table.assign(action=actions))


def predictions(pose: torch.Tensor) -> Predictions:
    return Predictions(pose, pose, pose)


def test_a_motionless_body_that_all_views_agree_on_has_no_fault() -> None:
    split = synthetic_split(1, 1)
    assert split.positions is not None
    pose = split.positions - split.positions[:, :1]
    assert float(knees_bent_forward(pose, H36M).max()) < 0.1  # the prior's knees have limits
    left, right = pose[:1].expand(9, -1, -1), (pose[:1] @ rotation_about("y", torch.tensor(1.0)).mT).expand(9, -1, -1)
    found = pose_criteria(predictions(torch.cat([left, 3 * right])), recorded())
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=2e-3)
    assert "other cameras" in found
    alone = pose_criteria(predictions(torch.cat([left, right])), recorded(("Walk", "Sit")))
    assert "other cameras" not in alone


@pytest.mark.parametrize(
    ("name", "joint", "frames"),
    [
        ("mirrored view", "one_way", slice(None)),
        ("refinement", "refined", slice(None)),
        ("symmetry", "windows", slice(None)),
        ("constancy", "windows", slice(4, 9)),
        ("acceleration", "windows", slice(4, 5)),
        ("other cameras", "refined", slice(0, 9)),
    ],
)
def test_each_criterion_sees_its_fault(name: str, joint: str, frames: slice) -> None:
    split = synthetic_split(1)
    assert split.positions is not None
    pose = (split.positions - split.positions[:, :1]).expand(18, -1, -1)
    bad = pose.clone()
    bad[frames, 3] += torch.tensor([0.0, 0.1, 0.1])  # an ankle
    good = pose_criteria(predictions(pose), recorded())
    assert pose_criteria(predictions(pose)._replace(**{joint: bad}), recorded())[name] > good[name] + 0.5


def test_knees_bend_backwards() -> None:
    pose = torch.zeros(17, 3)
    for side, x in (("left", 0.1), ("right", -0.1)):  # who faces the camera has the left on its right
        for joint, y, z in (("hip", 0.0, 0.0), ("knee", 0.4, 0.0), ("ankle", 0.7, 0.3)):
            pose[H36M.index(f"{side}_{joint}")] = torch.tensor([x, y, z])
    assert knees_bent_forward(pose, H36M).tolist() == pytest.approx([0.0, 0.0])
    pose[H36M.index("left_ankle"), 2] = -0.3
    turned = pose @ rotation_about("y", torch.tensor(2.0)).mT
    assert knees_bent_forward(turned, H36M).tolist() == pytest.approx([0.5**0.5, 0.0], abs=1e-6)


def test_distances_have_the_unit_of_a_metre_of_bones() -> None:
    split = synthetic_split(1)
    assert split.positions is not None
    pose = split.positions - split.positions[:, :1]
    assert pose_distance(pose, 2 * pose, H36M) == pytest.approx(0, abs=1e-3)
    turned = pose * torch.tensor([-1.0, 1.0, -1.0])  # half a turn: twice the distance from the axis
    size = 1000 / sum(float((pose[0, child] - pose[0, parent]).norm()) for child, parent in H36M.bones)
    expected = 2 * size * pose[..., ::2].norm(dim=-1).mean()
    assert float(pose_distance(pose, turned, H36M)) == pytest.approx(float(expected), rel=1e-4)


def lift() -> Lift:
    weights = {**dict.fromkeys(LossParams.model_fields, 0.0), "prior": 1.0, "distillation": 1.0}
    params = LiftParams(LossParams(**weights), Batches(8, 8, 1), constant_bone_lengths=True)
    return Lift(pipeline(transforms=NO_TRANSFORMS, corruption=CLEAN), PosePrior(PRIOR), params)


def test_with_itself_as_teacher_a_model_has_the_losses_of_validation() -> None:
    clips = Windows(synthetic_split(30, 30), window(1).clip)[torch.tensor([8, 38])]
    model, other = tiny_model(1).eval(), tiny_model(1).eval()
    torch.nn.init.normal_(next(other.parameters()), generator=torch.Generator().manual_seed(1))
    objective = lift()
    by_other, own = (objective_criteria(objective, model, teacher, clips) for teacher in (other, model))
    validated = validate(model, lift(), clips, TRAINING)
    assert {f"validation/{name}": pytest.approx(value) for name, value in own.items()} == {
        name: value for name, value in validated.items() if name != "validation/total"
    }
    assert by_other["prior"] == pytest.approx(own["prior"])
    assert by_other["distillation"] != pytest.approx(own["distillation"], rel=1e-3)
