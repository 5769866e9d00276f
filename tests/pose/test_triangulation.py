"""Synthetic cameras around a room: exact points, a view that is wrong, too few views, and scipy as an oracle."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

from lib.pose.cameras import Camera
from lib.pose.geometry import matrix_to_quaternion, quaternion_to_matrix
from lib.pose.triangulation import Views, triangulate, triangulate_robustly


def ring(count: int = 4, distance: float = 4.0, height: float = 1.5) -> list[Camera]:
    """Cameras on a circle, all looking at (0, 0, 1); focal lengths differ."""
    cameras = []
    for number in range(count):
        angle = math.tau * number / count + 0.3
        place = torch.tensor([distance * math.cos(angle), distance * math.sin(angle), height], dtype=torch.float64)
        forward = torch.nn.functional.normalize(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64) - place, dim=0)
        right = torch.nn.functional.normalize(
            torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)), dim=0
        )
        axes = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=-1)
        w, x, y, z = matrix_to_quaternion(axes).tolist()
        px, py, pz = place.tolist()
        focal = 1000.0 + 100 * number
        cameras.append(
            Camera(
                f"c{number}",
                (1000, 1000),
                (focal, focal),
                (500.0, 500.0),
                orientation=(w, x, y, z),
                position=(px, py, pz),
            )
        )
    return cameras


def points(count: int = 50, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 3, generator=generator, dtype=torch.float64) - 0.5) * 2 + torch.tensor([0.0, 0.0, 1.0])


def seen(cameras: list[Camera], world: Tensor) -> Tensor:
    """Exact rays: point view 2."""
    rays = [camera.to_camera(world) for camera in cameras]
    return torch.stack([ray[:, :2] / ray[:, 2:] for ray in rays], dim=1)


CAMERAS = ring()
VIEWS = Views.of(CAMERAS)


def test_views_see_as_their_cameras_do() -> None:
    world = points(5)
    expected = torch.stack([camera.to_camera(world) for camera in CAMERAS], dim=1)
    torch.testing.assert_close(VIEWS.to_cameras(world), expected)


def test_residuals_are_in_pixels() -> None:
    world = points(5)
    off = VIEWS.residuals(world, seen(CAMERAS, world) - 0.01)
    torch.testing.assert_close(off, (0.01 * VIEWS.focal).expand(5, -1, -1))


def test_exact_rays_give_exact_points_whatever_the_weights_and_the_hidden_views() -> None:
    world, weights = points(), torch.rand(50, 4, dtype=torch.float64) + 0.1
    weights[::3, 1] = 0
    rays = seen(CAMERAS, world)
    rays[::3, 1] = torch.nan
    torch.testing.assert_close(triangulate(VIEWS, rays, weights), world, atol=1e-8, rtol=0)


def test_one_view_or_none_determines_nothing() -> None:
    world, weights = points(2), torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.float64)
    assert not triangulate(VIEWS, seen(CAMERAS, world), weights).isfinite().any(-1).any()


def test_noisy_rays_give_what_scipy_finds() -> None:
    generator = torch.Generator().manual_seed(1)
    world, weights = points(6), torch.rand(6, 4, generator=generator, dtype=torch.float64)
    rays = seen(CAMERAS, world) + 0.02 * torch.randn(6, 4, 2, generator=generator, dtype=torch.float64)
    found = triangulate(VIEWS, rays, weights)
    for number in range(6):

        def wrong(place: np.ndarray, number: int = number) -> np.ndarray:  # type: ignore[type-arg]
            errors = VIEWS.residuals(torch.from_numpy(place)[None], rays[number, None])[0]
            return (errors * weights[number, :, None].sqrt()).flatten().numpy()

        expected = least_squares(wrong, world[number].numpy(), xtol=1e-14, ftol=1e-14).x
        np.testing.assert_allclose(found[number].numpy(), expected, atol=1e-6)


def test_a_view_that_is_wrong_is_left_out() -> None:
    world, rays = points(40), seen(CAMERAS, points(40))
    which = torch.arange(40) % 4
    rays[torch.arange(40), which] += torch.tensor([0.08, -0.05])  # about 100 pixels
    found = triangulate_robustly(VIEWS, rays, torch.ones(40, 4, dtype=torch.float64), tolerance=20.0)
    torch.testing.assert_close(found.points, world, atol=1e-8, rtol=0)
    expected = torch.ones(40, 4, dtype=torch.bool)
    expected[torch.arange(40), which] = False
    assert found.views.equal(expected)
    assert found.errors[~expected].min() > 20 and found.errors[expected].max() < 1e-4


def test_views_without_confidence_or_rays_do_not_count() -> None:
    world, confidence = points(3), torch.ones(3, 4, dtype=torch.float64)
    rays = seen(CAMERAS, world)
    confidence[0, 2] = 0
    rays[0, 2] = 0.3
    rays[1, 3] = torch.nan
    found = triangulate_robustly(VIEWS, rays, confidence, tolerance=20.0)
    torch.testing.assert_close(found.points, world, atol=1e-8, rtol=0)
    assert found.views.tolist() == [[True, True, False, True], [True, True, True, False], [True] * 4]


@pytest.mark.parametrize(("views", "least", "determined"), [(4, 3, True), (3, 3, True), (2, 3, False), (2, 2, True)])
def test_too_few_views_determine_nothing(views: int, least: int, determined: bool) -> None:
    world, confidence = points(3), torch.zeros(3, 4, dtype=torch.float64)
    confidence[:, :views] = 0.8
    found = triangulate_robustly(VIEWS, seen(CAMERAS, world), confidence, 20.0, least)
    assert bool(found.points.isfinite().all()) is determined
    assert found.views.sum(-1).tolist() == [views if determined else 0] * 3


def test_a_point_behind_a_camera_has_no_error_there() -> None:
    behind = torch.tensor([[9.0, 9.0, 1.0]], dtype=torch.float64)
    errors = VIEWS.residuals(behind, torch.zeros(1, 4, 2, dtype=torch.float64))
    assert errors.isnan().any() and errors.isfinite().any()


def test_the_slopes_are_those_of_the_residuals() -> None:
    world, rays = points(3), seen(CAMERAS, points(3))
    slopes = VIEWS.jacobian(world) @ VIEWS.rotation
    for axis in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[axis] = 1e-6
        numeric = (VIEWS.residuals(world + step, rays) - VIEWS.residuals(world - step, rays)) / 2e-6
        torch.testing.assert_close(slopes[..., axis], numeric, atol=1e-4, rtol=1e-6)


def test_quaternions_and_matrices_are_inverse() -> None:
    quaternions = torch.nn.functional.normalize(torch.randn(20, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    quaternions = quaternions.where(quaternions[:, :1] >= 0, -quaternions)
    torch.testing.assert_close(matrix_to_quaternion(quaternion_to_matrix(quaternions)), quaternions, atol=1e-5, rtol=0)
    half_turn = matrix_to_quaternion(torch.diag(torch.tensor([1.0, -1.0, -1.0])))
    torch.testing.assert_close(half_turn.abs(), torch.tensor([0.0, 1.0, 0.0, 0.0]))
