"""Points in space from the rays of several calibrated cameras, robust to cameras that see something else.

Rays are (x, y) = (X, Y) / Z, lens distortion undone (`Camera.to_rays`). Errors are in pixels of a camera without
distortion: a difference of rays times the focal length.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.pose.cameras import Camera
from lib.pose.geometry import quaternion_to_matrix

REFINEMENTS, ROUGH_REFINEMENTS = 5, 1  # steps of Gauss and Newton from the linear solution
NEAREST = 0.1  # metres in front of a camera: a point nearer than that, or behind it, is not seen


class Views(NamedTuple):
    """Where cameras are and how they look: a camera sees X at Y = rotation (X - position), metres."""

    rotation: Float[Tensor, "view 3 3"]
    position: Float[Tensor, "view 3"]
    focal: Float[Tensor, "view 2"]  # pixels

    @classmethod
    def of(cls, cameras: Sequence[Camera]) -> "Views":
        """Those of calibrated cameras, in double precision."""
        orientation = torch.tensor([camera.orientation for camera in cameras], dtype=torch.float64)
        position = torch.tensor([camera.position for camera in cameras], dtype=torch.float64)
        focal = torch.tensor([camera.focal for camera in cameras], dtype=torch.float64)
        return cls(quaternion_to_matrix(orientation).mT, position, focal)

    def to_cameras(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point view 3"]:
        """World frame -> each camera's frame."""
        seen: Tensor = torch.einsum("vij,pvj->pvi", self.rotation, points[:, None] - self.position)
        return seen

    def residuals(
        self, points: Float[Tensor, "point 3"], rays: Float[Tensor, "point view 2"]
    ) -> Float[Tensor, "point view 2"]:
        """Where points are seen minus where they should be, in pixels; not a number behind a camera."""
        seen = self.to_cameras(points)
        depth = seen[..., 2:].where(seen[..., 2:] > NEAREST, torch.nan)
        return (seen[..., :2] / depth - rays) * self.focal

    def jacobian(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point view 2 3"]:
        """How residuals change with the points as the cameras see them, in pixels per metre."""
        x, y, z = self.to_cameras(points).unbind(-1)
        zero = torch.zeros_like(z)
        rows = torch.stack([1 / z, zero, -x / z.square(), zero, 1 / z, -y / z.square()], dim=-1)
        slopes: Tensor = rows.unflatten(-1, (2, 3)) * self.focal[..., None]
        return slopes


class Triangulated(NamedTuple):
    """Points in the world frame, and the views that agree on each of them."""

    points: Float[Tensor, "point 3"]  # metres; not a number where too few agree
    views: Bool[Tensor, "point view"]
    errors: Float[Tensor, "point view"]  # pixels, of all views


def triangulate(
    views: Views,
    rays: Float[Tensor, "point view 2"],
    weights: Float[Tensor, "point view"],
    refinements: int = REFINEMENTS,
) -> Float[Tensor, "point 3"]:
    """The points with the least weighted sum of squared errors; weight 0: not seen, and rays may be anything.

    Linear first, each view's two equations x Z = X and y Z = Y, then Gauss-Newton on pixels (R. Hartley and
    A. Zisserman, Multiple View Geometry, 2nd edition, sections 12.2 and A6.2). Not a number where fewer than two views
    see a point, or where it fails.
    """
    rays = rays.where(weights[..., None] > 0, 0.0)
    scale = weights.sqrt()[..., None] * views.focal
    axes = torch.nn.functional.pad(rays[..., None], (0, 0, 0, 0))  # point view 2 1
    equations = (views.rotation[:, :2] - axes * views.rotation[:, None, 2]) * scale[..., None]
    known = (equations * views.position[:, None]).sum(-1)
    normal = torch.einsum("pvci,pvcj->pij", equations, equations)
    points = _solve(normal, torch.einsum("pvci,pvc->pi", equations, known))
    for _ in range(refinements):
        slopes = views.jacobian(points) @ views.rotation * weights.sqrt()[..., None, None]
        wrong = (views.residuals(points, rays) * weights.sqrt()[..., None]).where(weights[..., None] > 0, 0.0)
        slopes = slopes.where(weights[..., None, None] > 0, 0.0)
        normal = torch.einsum("pvci,pvcj->pij", slopes, slopes)
        points = points - _solve(normal, torch.einsum("pvci,pvc->pi", slopes, wrong))
    return points.where(((weights > 0).sum(-1) >= 2)[:, None], torch.nan)


def triangulate_robustly(
    views: Views,
    rays: Float[Tensor, "point view 2"],
    confidence: Float[Tensor, "point view"],
    tolerance: float,
    least_views: int = 2,
) -> Triangulated:
    """Points from the largest set of views that agree within `tolerance` pixels; confidences are weights.

    Every pair of views proposes a point (there are few views, so that all pairs can be tried); the one that most views
    agree with, by their confidence and by how far they are off, is refined on those views.
    """
    usable = (confidence > 0) & rays.isfinite().all(-1)
    weights = confidence.where(usable, 0.0)
    best = torch.full_like(weights[:, 0], -1.0)
    agreeing = torch.zeros_like(usable)
    for pair in itertools.combinations(range(len(views.focal)), 2):
        chosen = torch.zeros_like(weights)
        chosen[:, pair] = weights[:, pair].where(usable[:, pair].all(-1, keepdim=True), 0.0)
        off = _errors(views, triangulate(views, rays, chosen, ROUGH_REFINEMENTS), rays)
        agree = usable & (off < tolerance)
        # A view that agrees exactly counts its confidence, one at the edge of the tolerance nothing.
        support = (weights * (1 - (off / tolerance).square())).where(agree, 0.0).sum(-1)
        better = (support > best) & agree[:, pair].all(-1)
        best, agreeing = best.where(~better, support), agreeing.where(~better[:, None], agree)
    enough = agreeing.sum(-1) >= least_views
    points = triangulate(views, rays, weights.where(agreeing & enough[:, None], 0.0))
    points = points.where(enough[:, None], torch.nan)
    return Triangulated(points, agreeing & points.isfinite().all(-1, keepdim=True), _errors(views, points, rays))


def _errors(
    views: Views, points: Float[Tensor, "point 3"], rays: Float[Tensor, "point view 2"]
) -> Float[Tensor, "point view"]:
    errors: Tensor = torch.linalg.vector_norm(views.residuals(points, rays), dim=-1)
    return errors


def _solve(normal: Float[Tensor, "point 3 3"], right: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
    """Solve normal equations; not a number where they have no single solution."""
    solution, info = torch.linalg.solve_ex(normal, right)
    points: Tensor = solution.where((info == 0)[:, None], torch.nan)
    return points
