"""Perspective crops: exact under perspective, and what a mirrored scene or a hidden joint makes of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lib.objectives.lift import render_view
from lib.pose.crops import Crops, Normalization, crop_scale, flip_some, mirror, perspective_crops, unproject_crop
from lib.pose.geometry import homogeneous, project, rotate, rotation_about
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from tests.pose.poses import is_rotation, poses
from tests.settings import PRIOR

seeds = st.integers(0, 2**32 - 1)
NORMALIZATIONS = ("rms", "max")


def crop_of(rays: Tensor, normalization: Normalization = "rms") -> Crops:
    """The crops of people whose joints are all seen."""
    return perspective_crops(rays, torch.ones_like(rays[..., 0]), H36M, normalization)


def drawn() -> Crops:
    """Windows of the prior's motion."""
    return render_view(PosePrior(PRIOR).sample_motion(16, 3, 50.0, torch.Generator().manual_seed(0)), "rms")


@given(seeds, st.sampled_from(NORMALIZATIONS))
def test_the_crop_unprojects_exactly_with_the_true_depth(seed: int, normalization: Normalization) -> None:
    pose = poses(seed, 2, 3)
    crop = crop_of(project(pose), normalization)
    turned = rotate(crop.rotation, pose)  # into the crop frame
    root = turned[..., [H36M.root], :]
    depth = (turned[..., 2] / root[..., 2] - 1) / crop.scale[..., None]
    relative = unproject_crop(crop.keypoints, crop.scale, depth)
    torch.testing.assert_close(relative, (turned - root) / root[..., 2:])


@given(seeds, st.sampled_from(NORMALIZATIONS))
def test_the_crop_is_centred_scaled_and_a_turned_camera(seed: int, normalization: Normalization) -> None:
    rays = project(poses(seed, 2, 3))
    crop = crop_of(rays, normalization)
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
    crop = crop_of(project(pose))
    vertical = rotate(crop.rotation, torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(vertical[..., 0], torch.zeros_like(vertical[..., 0]))


@given(seeds)
def test_the_crop_of_a_mirrored_view_is_the_mirrored_crop(seed: int) -> None:
    rays = project(poses(seed, 5))
    flip = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    crop, mirrored = crop_of(rays), crop_of((rays * flip)[..., H36M.mirror, :])
    torch.testing.assert_close(mirrored.keypoints, (crop.keypoints * flip)[..., H36M.mirror, :])
    torch.testing.assert_close(mirrored.scale, crop.scale)


@given(seeds)
def test_the_crop_does_not_depend_on_where_the_camera_pans(seed: int) -> None:
    pose = poses(seed, 3)
    pose = pose - pose[..., [H36M.root], :] + torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64)  # root on the axis
    panned = rotate(rotation_about("y", torch.tensor(0.4, dtype=torch.float64)), pose)
    crop, other = crop_of(project(pose)), crop_of(project(panned))
    torch.testing.assert_close(crop.keypoints, other.keypoints)


def test_flipping_twice_is_the_identity() -> None:
    once = mirror(drawn(), H36M)
    assert not torch.equal(once.keypoints, drawn().keypoints)
    for got, expected in zip(mirror(once, H36M), drawn(), strict=True):
        torch.testing.assert_close(got, expected)


def test_a_flip_is_what_a_mirrored_scene_shows() -> None:
    sample = PosePrior(PRIOR).sample(16, torch.Generator().manual_seed(0))
    points = sample.pose + torch.stack([torch.full((16,), 0.7), torch.zeros(16), sample.root_depth], -1)[:, None]
    mirrored = points[:, torch.tensor(H36M.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    expected = crop_of(project(mirrored)[:, None])
    got = mirror(crop_of(project(points)[:, None]), H36M)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_the_chosen_windows_are_flipped_and_the_others_stay() -> None:
    chosen = torch.arange(16) % 3 == 0
    some, plain, flipped = flip_some(drawn(), chosen, H36M), drawn(), mirror(drawn(), H36M)
    for got, stays, turns in zip(some, plain, flipped, strict=True):
        assert torch.equal(got[~chosen], stays[~chosen])
        assert torch.equal(got[chosen], turns[chosen])


def test_hidden_joints_have_no_part_in_the_scale() -> None:
    rays = project(poses(0, 300))
    hidden = torch.rand(300, 17, generator=torch.Generator().manual_seed(0)) < 0.1
    hidden[:, H36M.root] = False
    moved = torch.where(hidden[..., None], rays + 9, rays)
    one, other = (perspective_crops(part, (~hidden).to(rays), H36M) for part in (rays, moved))
    assert torch.equal(one.scale, other.scale)
    assert not torch.equal(crop_of(rays).scale, crop_of(moved).scale)  # so that this test can tell


def test_the_unit_of_a_crop_by_hand() -> None:
    rays = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [9.0, 9.0]]])
    seen = torch.tensor([[True, True, True, False]])
    assert crop_scale(rays, "rms", seen).item() == pytest.approx(((25 + 1) / 3) ** 0.5)
    assert crop_scale(rays, "max", seen).item() == 5
    assert crop_scale(rays, "max").item() == pytest.approx(162**0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes_stay(dtype: torch.dtype) -> None:
    crop = crop_of(project(poses(0, 2).to(dtype)))
    pose = unproject_crop(crop.keypoints, crop.scale, crop.scale[:, None].expand(2, 17))
    assert {result.dtype for result in (*crop, pose)} == {dtype}
