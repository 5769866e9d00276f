"""Cameras: the radial part against OpenCV, the whole against the formula written out, and its inverse."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.pose.cameras import ASSUMED_FOV_DEG, Camera, assumed_camera, assumption, with_focal
from lib.sources.h36m_cameras import SUBJECTS, cameras
from tests.data.files import reference_projection

subjects, views, seeds = st.sampled_from(SUBJECTS), st.integers(0, 3), st.integers(0, 2**32 - 1)
PLAIN = Camera("plain", (640, 480), focal=(500.0, 510.0), center=(320.0, 240.0))


def points(seed: int, count: int = 20) -> torch.Tensor:
    """Points before a camera, all in an image of 1000 pixels; float64, metres."""
    generator = torch.Generator().manual_seed(seed)
    where = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    depth = 2 + 4 * where[:, 2:]
    return torch.cat([(0.8 * where[:, :2] - 0.4) * depth, depth], dim=-1)


@given(views, seeds)
def test_radial_distortion_is_opencvs(view: int, seed: int) -> None:
    camera = replace(cameras("S1")[view], tangential=(0.0, 0.0))
    matrix = np.array([[camera.focal[0], 0, camera.center[0]], [0, camera.focal[1], camera.center[1]], [0, 0, 1]])
    k1, k2, k3 = camera.radial
    given_points = points(seed)
    expected, _ = cv2.projectPoints(
        given_points.numpy(), np.zeros(3), np.zeros(3), matrix, np.array([k1, k2, 0, 0, k3])
    )
    np.testing.assert_allclose(camera.project(given_points), expected[:, 0], atol=1e-8)


@given(views, seeds)
def test_opencvs_distortion_on_demand(view: int, seed: int) -> None:
    camera = replace(cameras("S1")[view], tangential=(0.01, -0.02), opencv=True)
    matrix = np.array([[camera.focal[0], 0, camera.center[0]], [0, camera.focal[1], camera.center[1]], [0, 0, 1]])
    (k1, k2, k3), (p1, p2) = camera.radial, camera.tangential
    before = points(seed)
    expected, _ = cv2.projectPoints(before.numpy(), np.zeros(3), np.zeros(3), matrix, np.array([k1, k2, p1, p2, k3]))
    np.testing.assert_allclose(camera.project(before), expected[:, 0], atol=1e-8)
    torch.testing.assert_close(camera.to_rays(camera.project(before)), before[:, :2] / before[:, 2:], atol=1e-6, rtol=0)


@given(subjects, views, seeds)
def test_world_to_pixels_is_the_formula(subject: str, view: int, seed: int) -> None:
    camera = cameras(subject)[view]
    world = torch.randn(5, 17, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).clamp(-1, 1)
    expected = reference_projection(world.numpy(), camera)
    np.testing.assert_allclose(camera.project(camera.to_camera(world)), expected, atol=1e-7)


def test_tangential_distortion_by_hand() -> None:
    camera = replace(PLAIN, tangential=(0.01, -0.02))
    # x = 0.3, y = -0.4: r2 = 0.25, a = 1 + 0.003 + 0.008 = 1.011
    pixel = camera.to_pixels(torch.tensor([0.3, -0.4], dtype=torch.float64))
    expected = (500 * (0.3 * 1.011 + 0.01 * 0.25) + 320, 510 * (-0.4 * 1.011 - 0.02 * 0.25) + 240)
    np.testing.assert_allclose(pixel, expected, rtol=1e-12)


def test_opencvs_tangential_part_is_another() -> None:
    camera = replace(PLAIN, tangential=(0.01, -0.02))
    matrix = np.array([[500, 0, 320], [0, 510, 240], [0, 0, 1.0]])
    point = np.array([[0.3, -0.4, 1.0]])
    other, _ = cv2.projectPoints(point, np.zeros(3), np.zeros(3), matrix, np.array([0, 0, 0.01, -0.02]))
    assert np.abs(camera.project(torch.from_numpy(point)).numpy() - other[0]).max() > 1  # pixels


@given(subjects, views, seeds)
def test_rays_undo_the_projection(subject: str, view: int, seed: int) -> None:
    camera = cameras(subject)[view]
    before = points(seed)
    rays = camera.to_rays(camera.project(before))
    torch.testing.assert_close(rays, before[:, :2] / before[:, 2:], atol=1e-7, rtol=0)
    torch.testing.assert_close(camera.to_pixels(rays), camera.project(before), atol=1e-4, rtol=0)


@given(seeds)
def test_pixels_undo_rays_in_single_precision(seed: int) -> None:
    camera = cameras("S9")[2]
    pixels = 1000 * torch.rand(20, 2, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(camera.to_pixels(camera.to_rays(pixels)), pixels, atol=0.02, rtol=0)


def test_a_ray_does_not_depend_on_what_else_is_asked() -> None:
    # Rounding makes some points swing between two places for ever, and the iteration ends sooner where none does.
    camera = cameras("S9")[1]
    pixels = 1000 * torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0))
    some = torch.cat([camera.to_rays(part) for part in pixels.split(50)])
    assert torch.equal(camera.to_rays(pixels), some)


def test_a_plain_camera_by_hand() -> None:
    pixels = PLAIN.project(torch.tensor([[0.0, 0.0, 3.0], [1.0, -1.0, 2.0]]))
    torch.testing.assert_close(pixels, torch.tensor([[320.0, 240.0], [570.0, -15.0]]))


def test_world_to_camera_by_hand() -> None:
    # A camera at x = 2 that looks along -x: its z is the world's -x, its y the world's -z, its x the world's y.
    turn = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # columns: the camera's axes in the world
    camera = replace(PLAIN, orientation=(0.5, -0.5, -0.5, 0.5), position=(2.0, 0.0, 1.0))
    world = torch.tensor([[0.0, 0.5, 1.25]], dtype=torch.float64)
    np.testing.assert_allclose((world.numpy() - [[2.0, 0.0, 1.0]]) @ turn, [[0.5, -0.25, 2.0]])
    np.testing.assert_allclose(camera.to_camera(world), [[0.5, -0.25, 2.0]], atol=1e-12)


@given(subjects, views)
def test_to_camera_keeps_distances(subject: str, view: int) -> None:
    world = points(0)
    moved = cameras(subject)[view].to_camera(world)
    torch.testing.assert_close(torch.cdist(moved, moved), torch.cdist(world, world))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype: torch.dtype) -> None:
    camera = cameras("S1")[0]
    before = points(0).to(dtype)
    assert camera.to_camera(before).dtype == dtype
    assert camera.to_rays(camera.project(before)).dtype == dtype


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920)])
def test_the_assumed_field_of_view_is_along_the_longer_side(size: tuple[int, int]) -> None:
    camera = assumed_camera(size, "phone")
    ends = torch.tensor([[0.0, 0.0], [float(size[0]), float(size[1])]])
    longer = int(size[1] > size[0])
    angles = torch.rad2deg(torch.atan(camera.to_rays(ends)[:, longer]))
    torch.testing.assert_close(angles, torch.tensor([-ASSUMED_FOV_DEG / 2, ASSUMED_FOV_DEG / 2]))


def test_what_is_assumed_is_said_in_one_line() -> None:
    line = assumption(assumed_camera((1920, 1080), "phone"))
    assert "phone" in line and "1663 pixels" in line and "60 degrees" in line and "\n" not in line


@pytest.mark.parametrize("opencv", [False, True])
def test_another_focal_length_divides_rays(opencv: bool) -> None:
    camera = Camera(
        "one", (1000, 800), (1100.0, 1150.0), (490.0, 410.0), (-0.2, 0.2, 0.01), (1e-3, -2e-3), opencv=opencv
    )
    pixels = 700 * torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 100
    torch.testing.assert_close(with_focal(camera, 0.7).to_rays(pixels), camera.to_rays(pixels) / 0.7, atol=1e-7, rtol=0)
