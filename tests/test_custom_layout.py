"""The library with a layout of a user's own: five keypoints in an order of their own, one of them a mixture."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lib.data import store
from lib.data.split import Split
from lib.data.transforms import InputPipeline
from lib.data.windows import Windows
from lib.evaluation import metrics
from lib.evaluation.lifting import evaluate
from lib.evaluation.reconstruction import evaluate_reconstruction
from lib.inference.lifter import Lifter
from lib.models.lifters import LiftingModel
from lib.models.reconstructors import ReconstructionModel
from lib.models.tasks import COORDS, Task, build_model
from lib.objectives import losses
from lib.objectives.mask import Masked
from lib.pose.geometry import bone_lengths, project
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.sequences.bone_lengths import symmetric, typical_lengths
from lib.sequences.depths import refine_depths
from lib.sources.base import PoseSequence
from tests.settings import (
    KNOWN,
    MASKING,
    NETWORKS,
    SMALL,
    TRANSFORMS,
    pipeline,
    synthetic_split,
    tiny_checkpoint,
    window,
)
from tests.synthetic import CAMERA

SKELETON = SMALL.skeleton
KEYPOINTS, BONES = len(SMALL), len(SKELETON.bones)
LENGTHS = (0.5, 0.6, 0.3, 0.6)  # metres, of the bones

every_network = pytest.mark.parametrize("name", NETWORKS)


def people(frames: int, seed: int = 0) -> Tensor:
    """Bones of constant lengths in random directions, 5 m away, in metres."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(frames, BONES, 3, generator=generator), dim=-1)
    joints = {SKELETON.root: torch.tensor([0.3, 0.2, 5.0]).expand(frames, 3)}
    for bone, (child, parent) in enumerate(SKELETON.bones):
        joints[child] = joints[parent] + LENGTHS[bone] * directions[:, bone]
    return torch.stack([joints[joint] for joint in range(KEYPOINTS)], 1)


def sequence(frames: int, seed: int = 0) -> PoseSequence:
    positions = people(frames, seed)
    return PoseSequence(
        "S9", "Walking", CAMERA, 50.0, CAMERA.project(positions), torch.ones(frames, KEYPOINTS), positions
    )


@pytest.fixture
def split(tmp_path: Path) -> Split:
    store.write(tmp_path / "poses.h5", {"test": [sequence(20), sequence(9, seed=1)]}, SMALL)
    return store.read_split(tmp_path / "poses.h5", "test", "needed")


def test_its_sides_are_known() -> None:
    mirrored = [SMALL.keypoints[keypoint] for keypoint in SKELETON.mirror]
    assert mirrored == ["root", "chest", "right_hand", "head", "left_hand"]
    assert SKELETON.mirror_bones == (0, 3, 2, 1)


def test_the_store_keeps_it(split: Split) -> None:
    assert split.layout == SMALL and split.skeleton == SKELETON
    assert split.positions is not None and split.keypoints.shape == (29, KEYPOINTS, 2)
    assert torch.equal(split.positions[:20], people(20))
    torch.testing.assert_close(split.rays, project(split.positions), atol=1e-5, rtol=0)


@every_network
@pytest.mark.parametrize("task", COORDS)
def test_every_network_reads_it_for_every_task(name: str, task: Task) -> None:
    torch.manual_seed(0)
    coords = COORDS[task]
    model = build_model(task, NETWORKS[name], SMALL, 3, KNOWN)
    given = torch.randn(2, 3, KEYPOINTS, coords), torch.ones(2, 3, KEYPOINTS), torch.full((2, 3), 0.1)
    if isinstance(model, LiftingModel):
        points = JOINTS + KEYPOINTS
        shapes = [tuple(part.shape) for part in model(*given, SMALL)]
        assert shapes == [(2, points), (2, points, 2), (2, points), (2, 3)]
    else:
        assert model(*given).shape == (2, 3, KEYPOINTS, coords)


@every_network
def test_a_lifter_lifts_a_split_of_it(name: str, split: Split) -> None:
    torch.manual_seed(0)
    checkpoint = replace(
        tiny_checkpoint(frames=3),
        model=NETWORKS[name].dump(),
        layout=SMALL,
        weights=LiftingModel(NETWORKS[name], 3, KNOWN).state_dict(),
    )
    lifted = Lifter(checkpoint, torch.device("cpu")).lift(split, batch_size=8)
    assert lifted.keypoints.shape == (29, KEYPOINTS, 3) and lifted.keypoints.isfinite().all()
    assert lifted.joints.shape == (29, JOINTS, 3) and lifted.joints.isfinite().all()
    assert lifted.joints[:, H36M.root].abs().max() < 1e-6
    result = evaluate(split, lifted, "root_depth", 2.0)
    assert result.per_joint["joint"].tolist() == list(SMALL.landmarks)


def masking_in(layout: Layout, coords: int) -> Masked:
    inputs: InputPipeline = pipeline(3, transforms=TRANSFORMS, layout=layout)
    return Masked(coords, inputs, MASKING, windows=64, epochs=1)


@every_network
@pytest.mark.parametrize("task", ["reconstruction_2d", "reconstruction_3d"])
def test_a_masked_model_learns_to_fill_its_windows(name: str, task: Task) -> None:
    torch.manual_seed(0)
    objective = masking_in(SMALL, COORDS[task])
    model = build_model(task, NETWORKS[name], SMALL, 3, KNOWN)
    assert isinstance(model, ReconstructionModel)
    generator = torch.Generator().manual_seed(0)
    clips = Windows(synthetic_split(60, layout=SMALL), window(3).clip)[torch.tensor([20, 40])]
    steps = objective.steps(None, itertools.repeat(clips), 1, generator)
    optimizer, losses_seen = torch.optim.Adam(model.parameters(), 3e-3), []
    for _, step in zip(range(60), steps, strict=False):
        loss = objective.total(step(model))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses_seen.append(float(loss.detach()))
    assert sum(losses_seen[-10:]) < 0.8 * sum(losses_seen[:10])


@pytest.mark.parametrize("task", ["reconstruction_2d", "reconstruction_3d"])
def test_a_masked_model_is_measured_by_the_keypoints_of_its_layout(task: Task) -> None:
    weights = build_model(task, NETWORKS["transformer"], SMALL, 3, KNOWN).state_dict()
    checkpoint = replace(tiny_checkpoint(frames=3, task=task), layout=SMALL, weights=weights)
    split = synthetic_split(40, layout=SMALL)
    result = evaluate_reconstruction(checkpoint, split, split, torch.device("cpu"), 100)
    assert set(result.table["joint"]) == set(SMALL.landmarks) - {"pelvis"}
    assert result.examples.skeleton == SKELETON
    assert result.examples.output.shape[-2:] == (KEYPOINTS, COORDS[task])
    with pytest.raises(UserError, match=r"does not know the layout 'h36m' of the data"):
        evaluate_reconstruction(checkpoint, synthetic_split(40), synthetic_split(40), torch.device("cpu"), 100)


def test_a_body_that_the_prior_draws_is_marked_as_it_says() -> None:
    split = synthetic_split(30, layout=SMALL)
    joints = synthetic_split(30)  # the same person without offsets
    assert split.positions is not None and joints.positions is not None
    at = {name: joints.positions[:, H36M.index(name)] for name in H36M.names}
    expected = [
        at["pelvis"],
        0.3 * at["spine"] + 0.7 * at["thorax"],
        at["left_wrist"],
        at["head"],
        at["right_wrist"],
    ]
    assert split.positions.shape == (30, KEYPOINTS, 3)
    bones = [(1, 0), (3, 0), (2, 4)]
    for one, other in bones:
        length = (split.positions[:, one] - split.positions[:, other]).norm(dim=-1)
        true = (expected[one] - expected[other]).norm(dim=-1)
        assert (length - true).abs().max() < 0.12  # spreads are a centimetre


def test_losses_of_its_bones_by_hand() -> None:
    pose = people(4)
    lengths = losses.relative_bone_lengths(pose, SKELETON)
    assert lengths.shape == (4, BONES)
    assert losses.symmetry(lengths, SKELETON) < 1e-6
    assert losses.smoothness(pose[:1].expand(1, 5, -1, -1), SKELETON) < 1e-6
    longer = pose.clone()
    longer[:, 2] += pose[:, 2] - pose[:, 0]  # the left arm is as long again
    left, right = (bone_lengths(longer, SKELETON)[:, bone] for bone in (1, 3))
    torch.testing.assert_close(left, 2 * right)
    expected = (left - right) / bone_lengths(longer, SKELETON).mean(-1)
    assert losses.symmetry(losses.relative_bone_lengths(longer, SKELETON), SKELETON).item() == pytest.approx(
        float(expected.mean()), rel=1e-4
    )


def test_metrics_of_its_bones_by_hand() -> None:
    pose = people(4)
    assert metrics.bone_symmetry_error(pose, SKELETON).shape == (4, 1)  # one pair: the arms
    assert metrics.bone_symmetry_error(pose, SKELETON).max() < 1e-3
    assert metrics.bone_constancy_error(pose, SKELETON).max() < 1e-3
    longer = pose.clone()
    longer[:, 2] += 0.1 * (pose[:, 2] - pose[:, 0])
    torch.testing.assert_close(
        metrics.bone_symmetry_error(longer, SKELETON), torch.full((4, 1), 100 * 0.1 / 1.05), rtol=1e-3, atol=0
    )
    assert metrics.bone_constancy_error(torch.stack([pose[0], longer[0]]), SKELETON).min() > 0.5


def test_known_lengths_bring_its_depths_nearer_to_the_truth() -> None:
    positions = people(200)
    root_depth = positions[:, :1, 2:]
    true = (positions - positions[:, :1]) / root_depth
    rays = project(true + torch.tensor([0.0, 0.0, 1.0]))
    off = 0.003 * torch.randn(200, KEYPOINTS, generator=torch.Generator().manual_seed(0))
    off[:, SKELETON.root] = 0
    depth = true[..., 2] + 1 + off
    wrong = torch.cat([rays * depth[..., None], depth[..., None] - 1], -1)
    lengths = bone_lengths(true, SKELETON)
    lengths = lengths / lengths.sum(-1, keepdim=True)
    better = refine_depths(wrong, lengths, torch.zeros(KEYPOINTS), SKELETON)
    before, after = ((part - true).norm(dim=-1).mean() for part in (wrong, better))
    assert after < 0.8 * before
    torch.testing.assert_close(symmetric(typical_lengths(true, SKELETON)[0], SKELETON), lengths[0], atol=1e-4, rtol=0)
