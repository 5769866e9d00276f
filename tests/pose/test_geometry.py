"""Geometry: properties on random poses, scipy for alignment, and figures by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation
from torch import Tensor

from lib.pose.geometry import (
    align_scale,
    align_similarity,
    bone_lengths,
    homogeneous,
    perspective_crop,
    project,
    quaternion_to_matrix,
    rotate,
    rotation_about,
    unproject_crop,
)
from lib.pose.skeleton import H36M

seeds = st.integers(0, 2**32 - 1)
NORMALIZATIONS = ("rms", "max")


def poses(seed: int, *batch: int) -> Tensor:
    """Poses of about 1 m in front of a camera, 2 to 6 m away and anywhere in a wide view; float64, metres."""
    generator = torch.Generator().manual_seed(seed)
    body = 0.4 * torch.randn(*batch, 17, 3, generator=generator, dtype=torch.float64).clamp(-2, 2)
    where = torch.rand(*batch, 1, 3, generator=generator, dtype=torch.float64)
    depth = 2 + 4 * where[..., 2:]
    return body + torch.cat([(2 * where[..., :2] - 1) * depth, depth], dim=-1)


def is_rotation(matrix: Tensor) -> bool:
    identity = torch.eye(3, dtype=matrix.dtype).expand_as(matrix)
    return torch.allclose(matrix @ matrix.mT, identity, atol=1e-6) and bool((torch.linalg.det(matrix) > 0).all())


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


@given(seeds, st.sampled_from(NORMALIZATIONS))
def test_the_crop_unprojects_exactly_with_the_true_depth(seed: int, normalization: str) -> None:
    pose = poses(seed, 2, 3)
    crop = perspective_crop(project(pose), normalization)
    turned = rotate(crop.rotation, pose)  # into the crop frame
    root = turned[..., [H36M.root], :]
    depth = (turned[..., 2] / root[..., 2] - 1) / crop.scale[..., None]
    relative = unproject_crop(crop.keypoints, crop.scale, depth)
    torch.testing.assert_close(relative, (turned - root) / root[..., 2:])


@given(seeds, st.sampled_from(NORMALIZATIONS))
def test_the_crop_is_centred_scaled_and_a_turned_camera(seed: int, normalization: str) -> None:
    rays = project(poses(seed, 2, 3))
    crop = perspective_crop(rays, normalization)
    assert is_rotation(crop.rotation)
    torch.testing.assert_close(crop.keypoints[..., H36M.root, :], torch.zeros(2, 3, 2, dtype=torch.float64))
    lengths = crop.keypoints.norm(dim=-1)
    size = lengths.square().mean(-1).sqrt() if normalization == "rms" else lengths.amax(-1)
    torch.testing.assert_close(size, torch.ones_like(size))
    # Turned back, the crop's rays are the camera's.
    turned = homogeneous(crop.keypoints * crop.scale[..., None, None])
    torch.testing.assert_close(project(rotate(crop.rotation.mT, turned)), rays)


@given(seeds)
def test_a_level_camera_sees_the_vertical_upright(seed: int) -> None:
    pose = poses(seed, 4)
    crop = perspective_crop(project(pose))
    vertical = rotate(crop.rotation, torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(vertical[..., 0], torch.zeros_like(vertical[..., 0]))


@given(seeds)
def test_the_crop_of_a_mirrored_view_is_the_mirrored_crop(seed: int) -> None:
    rays = project(poses(seed, 5))
    flip = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    crop, mirrored = perspective_crop(rays), perspective_crop((rays * flip)[..., H36M.mirror, :])
    torch.testing.assert_close(mirrored.keypoints, (crop.keypoints * flip)[..., H36M.mirror, :])
    torch.testing.assert_close(mirrored.scale, crop.scale)


@given(seeds)
def test_the_crop_does_not_depend_on_where_the_camera_pans(seed: int) -> None:
    pose = poses(seed, 3)
    pose = pose - pose[..., [H36M.root], :] + torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64)  # root on the axis
    panned = rotate(rotation_about("y", torch.tensor(0.4, dtype=torch.float64)), pose)
    crop, other = perspective_crop(project(pose)), perspective_crop(project(panned))
    torch.testing.assert_close(crop.keypoints, other.keypoints)


def test_bone_lengths_by_hand() -> None:
    pose = torch.zeros(17, 3)
    pose[H36M.index("head")] = torch.tensor([3.0, 4.0, 0.0])  # a leaf: its own bone alone
    expected = [5.0 if child == H36M.index("head") else 0.0 for child, _ in H36M.bones]
    torch.testing.assert_close(bone_lengths(pose), torch.tensor(expected))


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
    crop = perspective_crop(project(pose))
    results = (*crop, unproject_crop(crop.keypoints, crop.scale, crop.scale[:, None].expand(2, 17)), bone_lengths(pose))
    assert {result.dtype for result in (*results, align_similarity(pose, pose), align_scale(pose, pose))} == {dtype}
