"""The library with a skeleton that is not Human3.6M's: five joints, one of its bones without a side."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lib.data import store
from lib.evaluation import metrics
from lib.evaluation.lifting import evaluate
from lib.inference.lifter import Lifter
from lib.models.lifters import LiftingModel
from lib.models.tasks import COORDS, Task, build_model
from lib.objectives import losses
from lib.pose.geometry import bone_lengths, project
from lib.sequences.bone_lengths import refine_depths, symmetric, typical_lengths
from lib.sources.base import PoseSequence
from tests.settings import NETWORKS, SMALL, tiny_checkpoint
from tests.synthetic import CAMERA

JOINTS, BONES = len(SMALL), len(SMALL.bones)
LENGTHS = (0.5, 0.6, 0.3, 0.6)  # metres, of the bones

every_network = pytest.mark.parametrize("name", NETWORKS)


def people(frames: int, seed: int = 0) -> Tensor:
    """Bones of constant lengths in random directions, 5 m away, in metres."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(frames, BONES, 3, generator=generator), dim=-1)
    joints = {SMALL.root: torch.tensor([0.3, 0.2, 5.0]).expand(frames, 3)}
    for bone, (child, parent) in enumerate(SMALL.bones):
        joints[child] = joints[parent] + LENGTHS[bone] * directions[:, bone]
    return torch.stack([joints[joint] for joint in range(JOINTS)], 1)


def sequence(frames: int, seed: int = 0) -> PoseSequence:
    positions = people(frames, seed)
    return PoseSequence("S9", "Walking", CAMERA, 50.0, CAMERA.project(positions), torch.ones(frames, JOINTS), positions)


@pytest.fixture
def split(tmp_path: Path) -> store.Split:
    store.write(tmp_path / "poses.h5", {"test": [sequence(20), sequence(9, seed=1)]}, SMALL)
    return store.read_split(tmp_path / "poses.h5", "test", "needed")


def test_its_sides_are_known() -> None:
    assert [SMALL.names[joint] for joint in SMALL.mirror] == ["pelvis", "chest", "right_hand", "head", "left_hand"]
    assert SMALL.mirror_bones == (0, 3, 2, 1)


def test_the_store_keeps_it(split: store.Split) -> None:
    assert split.skeleton == SMALL
    assert split.positions is not None and split.keypoints.shape == (29, JOINTS, 2)
    assert torch.equal(split.positions[:20], people(20))
    torch.testing.assert_close(split.rays, project(split.positions), atol=1e-5, rtol=0)


@every_network
@pytest.mark.parametrize("task", COORDS)
def test_every_network_reads_it_for_every_task(name: str, task: Task) -> None:
    torch.manual_seed(0)
    coords = COORDS[task]
    model = build_model(task, NETWORKS[name], SMALL, frames=3)
    output = model(torch.randn(2, 3, JOINTS, coords), torch.ones(2, 3, JOINTS), torch.full((2, 3), 0.1))
    shapes = [(2, JOINTS), (2, JOINTS, 2), (2,)] if isinstance(model, LiftingModel) else [(2, 3, JOINTS, coords)]
    assert [tuple(part.shape) for part in (output if isinstance(model, LiftingModel) else [output])] == shapes


@every_network
def test_a_lifter_lifts_a_split_of_it(name: str, split: store.Split) -> None:
    torch.manual_seed(0)
    checkpoint = replace(
        tiny_checkpoint(frames=3),
        model=NETWORKS[name].dump(),
        skeleton=SMALL,
        weights=LiftingModel(NETWORKS[name], SMALL, 3).state_dict(),
    )
    lifted = Lifter(checkpoint, torch.device("cpu")).lift(split, batch_size=8)
    assert lifted.shape == (29, JOINTS, 3) and lifted.isfinite().all()
    assert lifted[:, SMALL.root].abs().max() < 1e-6
    result = evaluate(split, lifted, "root_depth", 2.0)
    assert result.per_joint["joint"].tolist() == list(SMALL.names)


def test_losses_of_its_bones_by_hand() -> None:
    pose = people(4)
    lengths = losses.relative_bone_lengths(pose, SMALL)
    assert lengths.shape == (4, BONES)
    assert losses.symmetry(lengths, SMALL) < 1e-6
    assert losses.smoothness(pose[:1].expand(1, 5, -1, -1), SMALL) < 1e-6
    longer = pose.clone()
    longer[:, 2] += pose[:, 2] - pose[:, 1]  # the left arm is as long again
    left, right = (bone_lengths(longer, SMALL)[:, bone] for bone in (1, 3))
    torch.testing.assert_close(left, 2 * right)
    expected = (left - right) / bone_lengths(longer, SMALL).mean(-1)
    assert losses.symmetry(losses.relative_bone_lengths(longer, SMALL), SMALL).item() == pytest.approx(
        float(expected.mean()), rel=1e-4
    )


def test_metrics_of_its_bones_by_hand() -> None:
    pose = people(4)
    assert metrics.bone_symmetry_error(pose, SMALL).shape == (4, 1)  # one pair: the arms
    assert metrics.bone_symmetry_error(pose, SMALL).max() < 1e-3
    assert metrics.bone_constancy_error(pose, SMALL).max() < 1e-3
    longer = pose.clone()
    longer[:, 2] += 0.1 * (pose[:, 2] - pose[:, 1])
    torch.testing.assert_close(
        metrics.bone_symmetry_error(longer, SMALL), torch.full((4, 1), 100 * 0.1 / 1.05), rtol=1e-3, atol=0
    )
    assert metrics.bone_constancy_error(torch.stack([pose[0], longer[0]]), SMALL).min() > 0.5


def test_known_lengths_bring_its_depths_nearer_to_the_truth() -> None:
    positions = people(200)
    root_depth = positions[:, :1, 2:]
    true = (positions - positions[:, :1]) / root_depth
    rays = project(true + torch.tensor([0.0, 0.0, 1.0]))
    off = 0.003 * torch.randn(200, JOINTS, generator=torch.Generator().manual_seed(0))
    off[:, SMALL.root] = 0
    depth = true[..., 2] + 1 + off
    wrong = torch.cat([rays * depth[..., None], depth[..., None] - 1], -1)
    lengths = bone_lengths(true, SMALL)
    lengths = lengths / lengths.sum(-1, keepdim=True)
    better = refine_depths(wrong, lengths, torch.zeros(JOINTS), SMALL)
    before, after = ((part - true).norm(dim=-1).mean() for part in (wrong, better))
    assert after < 0.8 * before
    torch.testing.assert_close(symmetric(typical_lengths(true, SMALL)[0], SMALL), lengths[0], atol=1e-4, rtol=0)
