"""Cameras that were moved and turned a little are put back, by points that they see."""

import pytest
import torch
from torch import Tensor

from lib.pose.alignment import align_similarity
from lib.pose.bundle import Prior, adjust
from lib.pose.triangulation import Views, triangulate
from tests.pose.test_triangulation import VIEWS, points

PRIOR = Prior(turn=0.05, place=0.1)


def disturbed(seed: int, turn: float = 0.02, place: float = 0.03) -> Views:
    generator = torch.Generator().manual_seed(seed)
    vectors = turn * torch.randn(4, 3, generator=generator, dtype=torch.float64)
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(4, 3, 3)
    moved = VIEWS.position + place * torch.randn(4, 3, generator=generator, dtype=torch.float64)
    return Views(torch.linalg.matrix_exp(skew) @ VIEWS.rotation, moved, VIEWS.focal)


def exact_rays(world: Tensor) -> Tensor:
    return VIEWS.residuals(world, torch.zeros(len(world), 4, 2, dtype=torch.float64)) / VIEWS.focal


def errors(views: Views, world: Tensor, rays: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(views.residuals(world, rays), dim=-1)
    return norms


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_cameras_again_but_for_where_the_whole_is(seed: int) -> None:
    start, world = disturbed(seed), points(60)
    rays, weights = exact_rays(world), torch.ones(60, 4, dtype=torch.float64)
    first = triangulate(start, rays, weights)
    assert errors(start, first, rays).mean() > 5
    views, found = adjust(start, first, rays, weights, noise=1.0, prior=PRIOR)
    assert errors(views, found, rays).max() < 0.05
    # No picture says where the room is or how large: points and places agree after a similarity
    everything, truth = torch.cat([found, views.position]), torch.cat([world, VIEWS.position])
    torch.testing.assert_close(align_similarity(everything, truth), truth, atol=2e-3, rtol=0)
    # The prior keeps it near to where the calibration has it
    assert (views.position - VIEWS.position).norm(dim=-1).max() < 0.1


def test_wrong_rays_hardly_count() -> None:
    start, world = disturbed(3), points(80)
    rays, weights = exact_rays(world), torch.ones(80, 4, dtype=torch.float64)
    rays[::8, 1] += 0.2
    views, found = adjust(start, triangulate(start, rays, weights), rays, weights, noise=1.0, prior=PRIOR)
    good = torch.arange(80) % 8 != 0
    assert errors(views, found, rays)[good].max() < 0.5


def test_hidden_rays_may_be_anything() -> None:
    start, world = disturbed(4), points(60)
    rays, weights = exact_rays(world), torch.ones(60, 4, dtype=torch.float64)
    weights[::2, 0] = 0
    hidden = rays.clone()
    hidden[::2, 0] = torch.nan
    first = triangulate(start, rays, weights)
    with_nan, without = (adjust(start, first, each, weights, 1.0, PRIOR) for each in (hidden, rays))
    for one, other in zip((*with_nan[0], with_nan[1]), (*without[0], without[1]), strict=True):
        assert one.equal(other)


def test_a_tight_prior_leaves_the_cameras_where_they_are() -> None:
    start, world = disturbed(5), points(30)
    rays, weights = exact_rays(world), torch.ones(30, 4, dtype=torch.float64)
    views, _ = adjust(start, triangulate(start, rays, weights), rays, weights, 1.0, Prior(turn=1e-7, place=1e-7))
    torch.testing.assert_close(views.rotation, start.rotation, atol=1e-6, rtol=0)
    torch.testing.assert_close(views.position, start.position, atol=1e-6, rtol=0)


def test_rotations_stay_rotations() -> None:
    start, world = disturbed(6, turn=0.05), points(30)
    rays, weights = exact_rays(world), torch.ones(30, 4, dtype=torch.float64)
    views, _ = adjust(start, triangulate(start, rays, weights), rays, weights, 1.0, PRIOR)
    torch.testing.assert_close(views.rotation @ views.rotation.mT, torch.eye(3, dtype=torch.float64).expand(4, 3, 3))
