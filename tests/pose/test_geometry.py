"""Geometry: properties on random poses, scipy for alignment, and figures by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation

from lib.pose.alignment import align_scale, align_similarity
from lib.pose.geometry import (
    bone_lengths,
    homogeneous,
    project,
    quaternion_to_matrix,
    root_centred,
    rotate,
    rotation_about,
)
from lib.pose.skeleton import H36M
from tests.pose.poses import is_rotation, poses

seeds = st.integers(0, 2**32 - 1)


@given(st.sampled_from("xyz"), st.floats(-10, 10))
def test_rotation_about_is_scipys(axis: str, angle: float) -> None:
    matrix = rotation_about(axis, torch.tensor(angle, dtype=torch.float64))
    assert is_rotation(matrix)
    np.testing.assert_allclose(matrix, Rotation.from_euler(axis, angle).as_matrix(), atol=1e-12)


@given(seeds, st.floats(0.1, 10))
def test_quaternion_to_matrix_is_scipys(seed: int, length: float) -> None:
    quaternion = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    quaternion = length * torch.nn.functional.normalize(quaternion, dim=-1)
    matrix = quaternion_to_matrix(quaternion)
    assert is_rotation(matrix)
    expected = Rotation.from_quat(quaternion.flatten(0, 1).numpy()[:, [1, 2, 3, 0]]).as_matrix()  # scipy: w last
    np.testing.assert_allclose(matrix.flatten(0, 1), expected, atol=1e-12)


def test_a_quarter_turn_by_hand() -> None:
    turned = rotate(rotation_about("z", torch.tensor(math.pi / 2)), torch.tensor([[1.0, 0.0, 2.0]]))
    torch.testing.assert_close(turned, torch.tensor([[0.0, 1.0, 2.0]]))


@given(seeds)
def test_projection_and_homogeneous_rays(seed: int) -> None:
    points = poses(seed, 3)
    torch.testing.assert_close(homogeneous(project(points)) * points[..., 2:], points)


def test_bone_lengths_by_hand() -> None:
    pose = torch.zeros(17, 3)
    pose[H36M.index("head")] = torch.tensor([3.0, 4.0, 0.0])  # a leaf: its own bone alone
    expected = [5.0 if child == H36M.index("head") else 0.0 for child, _ in H36M.bones]
    torch.testing.assert_close(bone_lengths(pose, H36M), torch.tensor(expected))


@given(seeds, st.floats(0.1, 10))
def test_align_scale_is_least_squares(seed: int, factor: float) -> None:
    pose, target = poses(seed, 2).chunk(2)
    torch.testing.assert_close(align_scale(pose / factor, pose), pose)
    aligned = align_scale(pose, target)
    best, _, _, _ = np.linalg.lstsq(pose.reshape(-1, 1).numpy(), target.reshape(-1).numpy(), rcond=None)
    torch.testing.assert_close(aligned, pose * float(best[0]))


def umeyama(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """The same by scipy: orthogonal Procrustes, and where that reflects, scipy's best rotation."""
    p, t = predicted - predicted.mean(0), target - target.mean(0)
    rotation, _ = orthogonal_procrustes(p, t)  # p @ rotation ~ t
    if np.linalg.det(rotation) < 0:
        rotation = Rotation.align_vectors(t, p)[0].as_matrix().T
    turned = p @ rotation
    scale = (turned * t).sum() / (p**2).sum()
    return np.asarray(scale * turned + target.mean(0))


@given(seeds, st.booleans())
def test_align_similarity_is_scipys(seed: int, mirrored: bool) -> None:
    predicted, target = poses(seed, 2)
    if mirrored:  # the nearest orthogonal matrix is then a reflection, which is no way to move a body
        target = predicted * torch.tensor([-1.0, 1.0, 1.0]) + 0.1 * target
    aligned = align_similarity(predicted, target)
    np.testing.assert_allclose(aligned, umeyama(predicted.numpy(), target.numpy()), atol=1e-6)


@given(seeds, st.floats(0.2, 5))
def test_align_similarity_undoes_a_similarity_and_never_a_reflection(seed: int, scale: float) -> None:
    pose = poses(seed, 2, 2)
    quaternion = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    moved = scale * rotate(quaternion_to_matrix(quaternion), pose) + 3.0
    torch.testing.assert_close(align_similarity(moved, pose), pose)
    mirrored = pose * torch.tensor([-1.0, 1.0, 1.0])
    assert ((align_similarity(mirrored, pose) - pose).norm(dim=-1).mean(-1) > 0.01).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes_stay(dtype: torch.dtype) -> None:
    pose = poses(0, 2).to(dtype)
    results = (project(pose), bone_lengths(pose, H36M), root_centred(pose, H36M))
    assert {result.dtype for result in (*results, align_similarity(pose, pose), align_scale(pose, pose))} == {dtype}


def test_alignment_is_certain_where_directions_are_equally_good() -> None:
    """A mirrored pose and points on a line have several rotations that are about as good; one point has all."""
    pose = poses(3, 300)
    line = pose[:10, :, :1] * torch.tensor([1.0, 2.0, 3.0])
    for predicted, target in ((pose * torch.tensor([-1.0, 1.0, 1.0]), pose), (line, pose[:10]), (pose[:10], line)):
        error = (align_similarity(predicted.float(), target.float()) - target).norm(dim=-1).mean(-1)
        p, t = (part - part.mean(-2, keepdim=True) for part in (predicted, target))
        u, singular, vh = torch.linalg.svd(p.mT @ t)
        sign = torch.ones_like(singular)
        sign[:, 2] = torch.linalg.det(u @ vh)
        factor = (sign * singular).sum(-1) / p.square().sum((-2, -1))
        best = factor[:, None, None] * (p @ (u * sign[:, None]) @ vh)
        torch.testing.assert_close(error, (best - t).norm(dim=-1).mean(-1), atol=1e-5, rtol=1e-4)
    assert align_similarity(0 * line, line).isfinite().all()
