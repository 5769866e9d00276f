"""What detectors do not see: parts of bodies that are hidden as they are in life, for training.

A joint may be missed anywhere and at any time. Beyond that, whole limbs are hidden by things and by other people, a
face by its own head when it looks away, an arm or a leg by the trunk, and whatever lies beyond the picture's edge;
mostly for longer than a window lasts, sometimes for a part of it. The root is hidden as any other joint.
"""

from functools import cache
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from lib.pose.crops import Rays
from lib.pose.landmarks import side_of
from lib.pose.layout import Layout
from lib.pose.skeleton import H36M
from lib.runtime.params import Section

_FACE = ("nose", "eye", "ear", "eye_inner", "eye_outer", "mouth")
_HEAD = (*_FACE, "head_top", "head", "neck")
_FOOT, _HAND = ("ankle", "heel", "big_toe", "small_toe"), ("wrist", "thumb", "index", "pinky")
_LEG, _ARM = ("knee", *_FOOT), ("elbow", *_HAND)
# What is hidden together: landmarks without their side; of both sides, or of either.
_OF_BOTH = (_FACE, _HEAD, ("spine", *_HEAD), _FOOT, _LEG, ("pelvis", "hip", *_LEG), ("pelvis", "spine"), _HAND, _ARM)
_OF_EITHER = (_FOOT, _LEG, ("hip", *_LEG), _HAND, _ARM, ("shoulder", *_ARM), ("shoulder", *_ARM, "hip", *_LEG))
_EDGES = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]])  # below, to the right, to the left, above
_EDGE_WEIGHTS = torch.tensor([0.6, 0.15, 0.15, 0.1])
LEAST_SEEN = 4  # keypoints of a window that stay


class _Parts(NamedTuple):
    """What of a layout's keypoints is hidden together."""

    groups: Bool[Tensor, "group keypoint"]
    face: Bool[Tensor, " keypoint"]  # that a head hides which looks away
    sides: Bool[Tensor, "side keypoint"]  # the arm and the leg of the left and of the right


@cache
def _parts(layout: Layout) -> _Parts:
    keypoints = [side_of(name) for name in layout.landmarks]

    def among(names: tuple[str, ...], *sides: str) -> list[bool]:
        return [rest in names and (not sides or side in sides) for side, rest in keypoints]

    groups = [among(names) for names in _OF_BOTH]
    groups += [among(names, "", side) for names in _OF_EITHER for side in ("left", "right")]
    sides = [among((*_ARM, *_LEG), side) for side in ("left", "right")]
    face = among(("nose", "eye", "eye_inner", "eye_outer", "mouth"))
    return _Parts(torch.tensor([group for group in groups if any(group)]), torch.tensor(face), torch.tensor(sides))


_SHOULDERS = [H36M.index(f"{side}_shoulder") for side in ("left", "right")]
Share = Annotated[float, Field(ge=0, le=1)]


class OcclusionParams(Section):
    """`data.occlusion`: how probable it is that something is hidden in a window that training reads."""

    part: Share  # of the body: a limb, both legs, the head, ...; half as often, a second one
    joints: Share  # a quarter of all joints
    edge: Share  # what is beyond an edge of the picture
    away: Share  # the face of somebody who looks away
    far_side: Share  # the arm and the leg on the far side
    whole_window: Share  # of what is hidden: as long as the window lasts; else for a part of it


def occluded(
    windows: Rays,
    joints: Float[Tensor, "batch frame joint 3"] | None,
    params: OcclusionParams,
    generator: torch.Generator,
) -> Bool[Tensor, "batch frame keypoint"]:
    """Which keypoints are hidden.

    `joints` are Human3.6M's, in the camera frame, relative to any point; without them nobody is known to look away, and
    no side to be the far one. Windows in which fewer than LEAST_SEEN keypoints would be left stay as they are.
    """
    rays, marked, parts = windows.rays, windows.std.isfinite(), _parts(windows.layout)
    count, frames, keypoints = marked.shape
    device = rays.device

    def happens(share: float) -> Tensor:
        return torch.rand(count, 1, generator=generator, device=device) < share

    groups = parts.groups.to(device)
    together = torch.zeros(count, keypoints, dtype=torch.bool, device=device)
    for share in (params.part, params.part / 2):
        chosen = torch.randint(len(groups), (count,), generator=generator, device=device)
        together |= groups[chosen] & happens(share)
    together |= (torch.rand(count, keypoints, generator=generator, device=device) < 0.25) & happens(params.joints)
    if joints is not None:
        left, right = (joints[..., shoulder, :].mean(1) for shoulder in _SHOULDERS)
        far = parts.sides.to(device)[(left[:, 2] < right[:, 2]).long()]
        together |= far & happens(params.far_side)
        to_left, up = left - right, (joints[..., H36M.index("head"), :] - joints[..., H36M.index("thorax"), :]).mean(1)
        looks_away = torch.linalg.cross(to_left, up)[:, 2:] > 0  # left times up is forward
        together |= looks_away & parts.face.to(device) & happens(params.away)
    hidden = together[:, None] | (_beyond_edge(rays, marked, generator) & happens(params.edge)[..., None])
    hidden = hidden & (happens(params.whole_window) | _stretch(count, frames, generator))[..., None]
    left_over = (marked & ~hidden).any(1).sum(-1) >= LEAST_SEEN
    return hidden & left_over[:, None, None]


def _beyond_edge(rays: Tensor, marked: Tensor, generator: torch.Generator) -> Bool[Tensor, "batch frame keypoint"]:
    """What lies beyond an edge that cuts off a tenth to two thirds of the body, as far as it extends in the window."""
    count, device = len(rays), rays.device
    edge = torch.multinomial(_EDGE_WEIGHTS.to(device), count, replacement=True, generator=generator)
    place = (rays * _EDGES.to(device)[edge][:, None, None]).sum(-1)
    low = torch.where(marked, place, torch.inf).amin((1, 2))
    high = torch.where(marked, place, -torch.inf).amax((1, 2))
    kept = 0.33 + 0.57 * torch.rand(count, generator=generator, device=device)
    limit = (low + kept * (high - low)).nan_to_num(torch.inf, torch.inf, torch.inf)
    return place > limit[:, None, None]


def _stretch(count: int, frames: int, generator: torch.Generator) -> Bool[Tensor, "batch frame"]:
    """A part of each window, anywhere in it."""
    ends = torch.randint(frames, (count, 2, 1), generator=generator, device=generator.device)
    number = torch.arange(frames, device=generator.device)
    return (number >= ends.amin(1)) & (number <= ends.amax(1))
