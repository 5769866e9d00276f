import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lib.evaluation import metrics
from lib.pose.alignment import CHUNK, align_similarity
from lib.pose.geometry import quaternion_to_matrix, rotate
from lib.pose.skeleton import H36M


def _poses(*batch: int, seed: int = 0) -> Tensor:
    """Root-centred random poses, in mm and double precision."""
    poses = torch.randn(*batch, 17, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 300
    return poses - poses[..., H36M.root, None, :]


def test_an_offset_of_3_4_0_mm_is_5_mm() -> None:
    target = _poses(4)
    errors = metrics.mpjpe(target + target.new_tensor([3.0, 4.0, 0.0]), target)
    assert errors.shape == (4, 17)
    torch.testing.assert_close(errors, torch.full_like(errors, 5.0))


def test_errors_are_those_of_a_written_out_reference() -> None:
    predicted, target = _poses(3, 2), _poses(3, 2, seed=1)
    errors = metrics.mpjpe(predicted, target)
    scaled = metrics.n_mpjpe(predicted, target)
    for i, j, joint in itertools.product(range(3), range(2), range(17)):
        p, t = predicted[i, j], target[i, j]
        factor = sum(float(a * b) for a, b in zip(p.flatten(), t.flatten(), strict=True)) / float((p * p).sum())
        for actual, s in ((errors, 1.0), (scaled, factor)):
            expected = math.sqrt(sum((s * float(p[joint, k]) - float(t[joint, k])) ** 2 for k in range(3)))
            assert float(actual[i, j, joint]) == pytest.approx(expected, rel=1e-9)


def test_n_mpjpe_does_not_know_scale() -> None:
    target = _poses(5)
    assert metrics.n_mpjpe(target * 0.3, target).max() < 1e-9


def test_distances_after_alignment_are_those_of_the_aligned_poses() -> None:
    predicted, target = _poses(CHUNK + 3), _poses(CHUNK + 3, seed=1)  # more than are aligned at a time
    expected = (align_similarity(predicted, target) - target).norm(dim=-1)
    torch.testing.assert_close(metrics.p_mpjpe(predicted, target), expected)


@pytest.mark.parametrize("mirrored", [False, True])
def test_alignment_is_that_of_scipy_with_reflection_forbidden(mirrored: bool) -> None:
    target = _poses(20, seed=1)
    predicted = target.flip(-1) + 0.3 * _poses(20) if mirrored else target + _poses(20)
    aligned = align_similarity(predicted, target)
    signs = set()
    for p, t, ours in zip(predicted.numpy(), target.numpy(), aligned.numpy(), strict=True):
        p0, t0 = p - p.mean(0), t - t.mean(0)
        rotation, _ = scipy.linalg.orthogonal_procrustes(p0, t0)
        signs.add(np.sign(np.linalg.det(rotation)))
        if np.linalg.det(rotation) < 0:  # flip the direction in which the two agree least
            u, _, vh = np.linalg.svd(p0.T @ t0)
            rotation = u @ np.diag([1.0, 1.0, -1.0]) @ vh
        turned = p0 @ rotation
        expected = turned * (turned * t0).sum() / (turned**2).sum() + t.mean(0)
        np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert signs == {-1.0} or not mirrored  # the case is tried


def test_without_reflection_p_mpjpe_has_the_disparity_of_scipys_procrustes() -> None:
    target = _poses(1)[0]
    predicted = target + 0.2 * _poses(1, seed=1)[0]
    standard, aligned, disparity = scipy.spatial.procrustes(target.numpy(), predicted.numpy())
    size = np.linalg.norm(target.numpy() - target.numpy().mean(0))
    errors = metrics.p_mpjpe(predicted, target).numpy()
    np.testing.assert_allclose(errors, np.linalg.norm(standard - aligned, axis=1) * size, rtol=1e-6)
    assert (errors**2).sum() == pytest.approx(disparity * size**2, rel=1e-6)


numbers = st.floats(-1.0, 1.0)


@given(
    seed=st.integers(0, 1000),
    quaternion=st.tuples(numbers, numbers, numbers, numbers).filter(lambda q: sum(x * x for x in q) > 0.01),
    scale=st.floats(0.1, 10.0),
    shift=st.tuples(numbers, numbers, numbers),
)
def test_p_mpjpe_does_not_know_similarities(
    seed: int, quaternion: tuple[float, ...], scale: float, shift: tuple[float, ...]
) -> None:
    predicted, target = _poses(2, seed=seed), _poses(2, seed=seed + 1)
    rotation = quaternion_to_matrix(predicted.new_tensor(quaternion))
    moved = scale * rotate(rotation, predicted) + 1000 * predicted.new_tensor(shift)
    torch.testing.assert_close(metrics.p_mpjpe(moved, target), metrics.p_mpjpe(predicted, target))
    assert metrics.p_mpjpe(scale * rotate(rotation, target) + 1, target).max() < 1e-6


@given(seed=st.integers(0, 1000), axis=st.integers(0, 2))
def test_a_mirrored_pose_is_wrong(seed: int, axis: int) -> None:
    target = _poses(1, seed=seed)
    mirrored = target.clone()
    mirrored[..., axis] *= -1
    assert metrics.p_mpjpe(mirrored, target).mean() > 10


def test_float32_is_as_good_as_float64() -> None:
    predicted, target = _poses(2000), _poses(2000, seed=1)
    single = metrics.p_mpjpe(predicted.float(), target.float())
    torch.testing.assert_close(single.double(), metrics.p_mpjpe(predicted, target), atol=0.05, rtol=1e-3)


def test_flat_and_collapsed_poses_have_finite_errors() -> None:
    target = _poses(3)
    flat = target.clone()
    flat[0, :, 2] = 0
    flat[1, :, 1:] = 0
    flat[2] = 0
    for metric in (metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe):
        assert metric(flat, target).isfinite().all()


def test_more_noise_is_worse() -> None:
    target, noise = _poses(200), _poses(200, seed=1)
    for metric in (metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe):
        errors = [float(metric(target + level * noise, target).mean()) for level in (0.01, 0.1, 0.3)]
        assert errors == sorted(errors)


def test_velocity_errors_are_in_units_a_second() -> None:
    target = _poses(1).expand(4, 17, 3)
    moving = target + torch.arange(4.0, dtype=target.dtype)[:, None, None] * target.new_tensor([3.0, 4.0, 0.0])
    errors = metrics.mpjve(moving, target, fps=50.0)
    assert errors.shape == (3, 17)
    torch.testing.assert_close(errors, torch.full_like(errors, 250.0))
    assert metrics.mpjve(target + 7, target, fps=50.0).max() == 0  # a constant offset moves nothing


def test_pck_and_auc_are_those_of_a_loop_over_thresholds() -> None:
    errors = torch.tensor([[0.0, 2.5, 5.0, 149.9, 150.0, 400.0]])
    assert metrics.pck(errors).tolist() == [[100, 100, 100, 100, 0, 0]]
    expected = [100 * sum(e < 5 * step for step in range(31)) / 31 for e in errors[0].tolist()]
    assert metrics.auc(errors)[0].tolist() == pytest.approx(expected)
    assert expected[0] == pytest.approx(100 * 30 / 31)


def _with_lengths(**lengths: float) -> Tensor:
    """A pose whose bones have length 1, but for those that `lengths` names by their child, each along an axis."""
    pose = torch.zeros(17, 3)
    for number, (child, parent) in enumerate(H36M.bones):
        pose[child] = pose[parent]
        pose[child, number % 3] += lengths.get(H36M.names[child], 1.0)
    return pose


def test_bone_symmetry_error_compares_left_and_right() -> None:
    assert metrics.bone_symmetry_error(_with_lengths(), H36M).max() == 0
    errors = metrics.bone_symmetry_error(_with_lengths(left_knee=1.1, right_knee=0.9, head=3.0), H36M)
    assert errors.shape == (6,)  # hip, thigh, shank, shoulder, upper arm, forearm
    assert sorted(errors.tolist()) == pytest.approx([0, 0, 0, 0, 0, 20], abs=1e-4)


def test_bone_constancy_error_is_relative_to_the_size_of_each_frame() -> None:
    pose = _with_lengths()
    assert metrics.bone_constancy_error(torch.stack([pose, 3 * pose, 0.2 * pose]), H36M).max() < 1e-4
    # Two bones trade 10 %: the total stays, so that their deviation is 10 % of their mean and all others' is none.
    pair = torch.stack([_with_lengths(head=1.1, left_knee=0.9), _with_lengths(head=0.9, left_knee=1.1)])
    errors = metrics.bone_constancy_error(pair, H36M)
    assert sorted(errors.tolist()) == pytest.approx([0.0] * 14 + [10, 10], abs=1e-3)
