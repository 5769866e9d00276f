"""Bundle adjustment: correct where cameras are and how they are turned, by points that several of them see.

Source: B. Triggs et al., Bundle adjustment: a modern synthesis, Vision Algorithms 1999: sections 3 (robust errors), 6.1
(the Schur complement) and 9 (a prior of the cameras in place of a fixed gauge).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.triangulation import Views

STEPS = 100
ENOUGH = 1e-8  # relative gain of a step that ends it
LEAST_DAMPING, MOST_DAMPING = 1e-9, 1e6


class Prior(NamedTuple):
    """How far calibrated cameras may be off: standard deviations. It also holds place, turn and scale of the whole."""

    turn: float  # radians about each axis
    place: float  # metres along each axis


class _System(NamedTuple):
    """The normal equations of one step: camera parameters, points, and what couples them."""

    cameras: Float[Tensor, "view 6 6"]
    cameras_right: Float[Tensor, "view 6"]
    points: Float[Tensor, "point 3 3"]
    points_right: Float[Tensor, "point 3"]
    coupling: Float[Tensor, "point view 6 3"]


def adjust(
    views: Views,
    points: Float[Tensor, "point 3"],
    rays: Float[Tensor, "point view 2"],
    weights: Float[Tensor, "point view"],
    noise: float,
    prior: Prior,
) -> tuple[Views, Float[Tensor, "point 3"]]:
    """Cameras and points with the least robust reprojection error; focal lengths stay.

    Args:
        views: the cameras as calibrated.
        points: a first guess in the world frame, in metres.
        rays: where each view sees each point.
        weights: 0 where a view does not see a point.
        noise: pixels; the error from which on a ray counts less and less (Cauchy's loss).
        prior: how far the calibration may be off.
    """
    start, damping = views, 1e-3
    rays = rays.where(weights[..., None] > 0, 0.0)
    cost = _cost(start, views, points, rays, weights, noise, prior)
    for _ in range(STEPS):
        system = _linearise(start, views, points, rays, weights, noise, prior)
        while True:
            moved = _apply(views, points, *_step(system, damping))
            new = _cost(start, *moved, rays, weights, noise, prior)
            if new < cost or damping > MOST_DAMPING:
                break
            damping *= 10
        if not new < cost:
            break
        gain, cost, (views, points) = float((cost - new) / cost), new, moved
        damping = max(damping / 10, LEAST_DAMPING)
        if gain < ENOUGH:
            break
    return views, points


def _cost(
    start: Views,
    views: Views,
    points: Float[Tensor, "point 3"],
    rays: Float[Tensor, "point view 2"],
    weights: Float[Tensor, "point view"],
    noise: float,
    prior: Prior,
) -> Float[Tensor, ""]:
    """Half of twice the negative log-likelihood: Cauchy's loss of the rays, squares of what the prior holds."""
    squared = (views.residuals(points, rays) / noise).square().sum(-1)
    turn, place = _away(start, views)
    held = (turn / prior.turn).square().sum() + (place / prior.place).square().sum()
    seen = (weights * squared.log1p()).where(weights > 0, 0.0).sum()  # not a number, and so no gain, behind a camera
    return (seen + held) / 2


def _linearise(
    start: Views,
    views: Views,
    points: Float[Tensor, "point 3"],
    rays: Float[Tensor, "point view 2"],
    weights: Float[Tensor, "point view"],
    noise: float,
    prior: Prior,
) -> _System:
    """The normal equations, each ray weighted as Cauchy's loss does where it is now."""
    wrong = views.residuals(points, rays) / noise
    robust = (weights / (1 + wrong.square().sum(-1))).where(weights > 0, 0.0)
    wrong = wrong.where(weights[..., None] > 0, 0.0)
    slopes = views.jacobian(points) / noise
    by_point = slopes @ views.rotation
    # A small turn w after the camera's own moves a seen point Y by w x Y; a step of the camera moves it the other way.
    by_camera = torch.cat([-slopes @ _cross(views.to_cameras(points)), -by_point], dim=-1)
    held = torch.tensor([prior.turn**-2] * 3 + [prior.place**-2] * 3, dtype=points.dtype)
    cameras = torch.einsum("pv,pvci,pvcj->vij", robust, by_camera, by_camera) + held.diag()
    cameras_right = torch.einsum("pv,pvci,pvc->vi", robust, by_camera, wrong) + held * torch.cat(
        _away(start, views), dim=-1
    )
    return _System(
        cameras,
        cameras_right,
        torch.einsum("pv,pvci,pvcj->pij", robust, by_point, by_point),
        torch.einsum("pv,pvci,pvc->pi", robust, by_point, wrong),
        torch.einsum("pv,pvci,pvcj->pvij", robust, by_camera, by_point),
    )


def _step(system: _System, damping: float) -> tuple[Float[Tensor, "view 6"], Float[Tensor, "point 3"]]:
    """Solve for the cameras first, the points eliminated (Schur complement), then for each point."""
    views = len(system.cameras)
    points = torch.linalg.inv(_damped(system.points, damping))
    eliminated = system.coupling @ points[:, None]
    blocks = -torch.einsum("pvik,pwjk->viwj", eliminated, system.coupling)
    each = torch.arange(views)
    blocks[each, :, each] += _damped(system.cameras, damping)
    right = system.cameras_right - torch.einsum("pvik,pk->vi", eliminated, system.points_right)
    cameras = -torch.linalg.solve(blocks.reshape(views * 6, views * 6), right.flatten()).reshape(views, 6)
    rest = system.points_right + torch.einsum("pvik,vi->pk", system.coupling, cameras)
    return cameras, -(points @ rest[..., None])[..., 0]


def _damped(matrices: Float[Tensor, "*batch n n"], damping: float) -> Float[Tensor, "*batch n n"]:
    diagonal = matrices.diagonal(dim1=-2, dim2=-1)
    return matrices + (damping * diagonal + 1e-12).diag_embed()


def _apply(
    views: Views, points: Float[Tensor, "point 3"], cameras: Float[Tensor, "view 6"], steps: Float[Tensor, "point 3"]
) -> tuple[Views, Float[Tensor, "point 3"]]:
    turn = torch.linalg.matrix_exp(_cross(cameras[:, :3]))
    return Views(turn @ views.rotation, views.position + cameras[:, 3:], views.focal), points + steps


def _away(start: Views, views: Views) -> tuple[Float[Tensor, "view 3"], Float[Tensor, "view 3"]]:
    """How far cameras are from where they were: a rotation vector in radians, and metres.

    The vector is that of small turns, the skew part of the rotation matrix.
    """
    turn = views.rotation @ start.rotation.mT
    skew = (turn - turn.mT) / 2
    return torch.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], dim=-1), views.position - start.position


def _cross(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The matrices of the cross product with vectors from the left."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    matrices: Tensor = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    return matrices
