"""3D from the keypoints that a detector finds in several views of the same people: a reference to measure lifting by.

It shares the detector's habits: a joint is where the views see it, on average. Mistakes of single views are left out:
a point that disagrees with the other views, and sides that the detector took for each other. Nothing is smoothed.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.pose import bundle
from lib.pose.triangulation import Triangulated, Views, triangulate, triangulate_robustly

TOLERANCE = 25.0  # pixels: how far a view may be off and still count
WIDE = 60.0  # pixels: the same before the cameras are adjusted
EXCHANGED = 0.05  # what an exchange costs, in units of a joint that one view has wrong
CHANGED = 0.02  # what it costs that a view is exchanged in one frame and not in the next
# What the calibration is trusted with: the standard deviations of a turn and of a place.
CALIBRATION = bundle.Prior(turn=0.03, place=0.1)
NOISE = 5.0  # pixels: the scale of a detector's error
CONTROL_NOISE = 1.0  # pixels: that of a point marked by hand
# A detector errs in the same way for many frames on end, so that they say less than as many independent ones.
FRAMES_THAT_COUNT_AS_ONE = 20.0
ADJUSTMENTS = 4
# Two views agree by chance where one is wrong: such points jump by 7 cm from frame to frame, others by 2 (medians).
LEAST_VIEWS = 3


class Keypoints(NamedTuple):
    """What all views see in all frames; confidence 0: not seen, and the ray may be anything."""

    rays: Float[Tensor, "frame joint view 2"]
    confidence: Float[Tensor, "frame joint view"]

    def exchanged(self, other: "Keypoints", where: Bool[Tensor, "#frame #joint view"]) -> "Keypoints":
        """Those of `other` in the views `where` it says so."""
        rays = self.rays.where(~where[..., None], other.rays)
        return Keypoints(rays, self.confidence.where(~where, other.confidence))

    def of(self, joints: Sequence[int]) -> "Keypoints":
        """Those of some joints."""
        chosen = list(joints)
        return Keypoints(self.rays[:, chosen], self.confidence[:, chosen])


class Sides(NamedTuple):
    """What a detector may take for each other: joints that are mistaken together, and for each joint its mirror's."""

    groups: tuple[tuple[int, ...], ...]
    mirror: tuple[int, ...]


class Control(NamedTuple):
    """Fixed points of the room, marked in pictures; rays that are not numbers: hidden."""

    rays: Float[Tensor, "point view 2"]

    @property
    def weights(self) -> Float[Tensor, "point view"]:
        """1 where a view sees a point."""
        return self.rays.isfinite().all(-1).to(self.rays.dtype)


class Reference(NamedTuple):
    """Joints in the world frame, in metres; not a number where not two views agree."""

    positions: Float[Tensor, "frame joint 3"]
    views: Bool[Tensor, "frame joint view"]  # that agree
    errors: Float[Tensor, "frame joint view"]  # pixels, of all views, after exchanges
    exchanged: Bool[Tensor, "frame joint view"]  # taken from the joint's mirror


def reconstruct(views: Views, keypoints: Keypoints, sides: Sides, tolerance: float = TOLERANCE) -> Reference:
    """Triangulate one person's joints, sides told apart view by view and frame by frame."""
    where = find_exchanged_sides(views, keypoints, sides, tolerance)
    found = _triangulate(views, keypoints.exchanged(keypoints.of(sides.mirror), where), tolerance)
    shape = keypoints.confidence.shape
    return Reference(
        found.points.reshape(*shape[:2], 3), found.views.reshape(shape), found.errors.reshape(shape), where
    )


def adjust_cameras(views: Views, keypoints: Keypoints, sides: Sides, control: Control) -> Views:
    """Correct the cameras' places and turns by what they see of a person, and by fixed points of the room.

    Keypoints alone would move the cameras to where the detector's habits, which differ between the front and the back
    of a body, cancel out. Points marked by hand do not have them, but lie in the floor.
    """
    adjusted = views
    for step in range(ADJUSTMENTS):
        tolerance = WIDE if step == 0 else max(TOLERANCE, WIDE / (step + 1))
        where = find_exchanged_sides(adjusted, keypoints, sides, tolerance)
        seen = keypoints.exchanged(keypoints.of(sides.mirror), where)
        found = _triangulate(adjusted, seen, tolerance)
        good = found.points.isfinite().all(-1)
        weights = (seen.confidence.flatten(0, 1) * found.views)[good] / FRAMES_THAT_COUNT_AS_ONE
        fixed = triangulate(adjusted, control.rays, control.weights)
        adjusted, _ = bundle.adjust(
            views,
            torch.cat([found.points[good], fixed]),
            torch.cat([seen.rays.flatten(0, 1)[good], control.rays]),
            torch.cat([weights, control.weights * (NOISE / CONTROL_NOISE) ** 2]),
            NOISE,
            CALIBRATION,
        )
    return adjusted


def find_exchanged_sides(
    views: Views, keypoints: Keypoints, sides: Sides, tolerance: float
) -> Bool[Tensor, "frame joint view"]:
    """In which frames and views the detector took left for right, by group of joints."""
    where = torch.zeros_like(keypoints.confidence, dtype=torch.bool)
    for group in sides.groups:
        mirrored = keypoints.of([sides.mirror[joint] for joint in group])
        costs = exchange_costs(views, keypoints.of(group), mirrored, tolerance)
        choices = _choices(len(views.focal))
        chosen = choices[cheapest_path(costs + EXCHANGED * choices.sum(-1), choices, CHANGED)]
        where[:, list(group)] = chosen[:, None]
    return where


def tell_people_apart(
    views: Views, first: Keypoints, second: Keypoints, tolerance: float = TOLERANCE
) -> Bool[Tensor, "frame view"]:
    """In which frames and views two people must be exchanged, so that the same one is first everywhere."""
    both = Keypoints(*(torch.cat(pair, dim=1) for pair in zip(first, second, strict=True)))
    turned = Keypoints(*(torch.cat(pair, dim=1) for pair in zip(second, first, strict=True)))
    choices = _choices(len(views.focal))
    # People do not change places from one frame to the next, so that a change costs as much as all joints wrong.
    return choices[cheapest_path(exchange_costs(views, both, turned, tolerance), choices, 1.0)]


def exchange_costs(
    views: Views, keypoints: Keypoints, others: Keypoints, tolerance: float
) -> Float[Tensor, "frame choice"]:
    """How badly views agree if some of them mean `others`, for each choice of such views.

    The mean over the joints of the confidence of views that do not agree; one that nearly does counts less.
    """
    choices = _choices(len(views.focal))
    where = choices[:, None, None].expand(-1, *keypoints.confidence.shape[:2], -1)
    # All choices at once, as if they were more frames
    every = Keypoints(*(part.expand(len(choices), *part.shape).flatten(0, 1) for part in keypoints))
    others = Keypoints(*(part.expand(len(choices), *part.shape).flatten(0, 1) for part in others))
    seen = every.exchanged(others, where.flatten(0, 1))
    errors = _triangulate(views, seen, tolerance).errors.reshape(seen.confidence.shape)
    off = (errors / tolerance).square().nan_to_num(1.0).clamp(max=1.0)
    return (off * seen.confidence).sum(-1).mean(-1).reshape(len(choices), -1).T


def cheapest_path(
    costs: Float[Tensor, "frame choice"], choices: Bool[Tensor, "choice view"], change: float
) -> Int[Tensor, " frame"]:
    """The choice in each frame, such that their costs and `change` for each view that changes are least (Viterbi)."""
    between = change * (choices[:, None] ^ choices[None]).sum(-1).to(costs.dtype)
    total, came_from = costs[0], []
    for cost in costs[1:]:
        least = (total[:, None] + between).min(0)
        came_from.append(least.indices)
        total = least.values + cost
    path = [total.argmin()]
    for before in reversed(came_from):
        path.append(before[path[-1]])
    return torch.stack(path[::-1])


def _choices(views: int) -> Bool[Tensor, "choice view"]:
    """Every set of views, the empty one first."""
    return torch.tensor(list(itertools.product((False, True), repeat=views)))


def _triangulate(views: Views, seen: Keypoints, tolerance: float) -> Triangulated:
    """All joints of all frames."""
    return triangulate_robustly(
        views, seen.rays.flatten(0, 1), seen.confidence.flatten(0, 1), tolerance, min(LEAST_VIEWS, len(views.focal))
    )
