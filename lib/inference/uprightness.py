"""Where up is, by how people stand: on average their centre of mass is above their feet."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from lib.pose.layout import Layout
from lib.pose.skeleton import H36M

LEAST_SECONDS = 0.5  # of standing: less says nothing
TOLD_STD, BALANCE_STD, SHARED_STD = 8.0, 3.5, 1.5  # degrees: the lifter's up, a sequence's balance, what all share
UPRIGHT = math.cos(math.radians(40))  # people count as upright who are balanced along what the lifter tells

# Shares of a body's mass, those of segments halved between their ends: D. A. Winter, Biomechanics and Motor Control of
# Human Movement, 4th edition, table 4.1 (trunk 0.497, head and neck 0.081, arm 0.05, thigh 0.1, shank and foot 0.061).
_MASS = {"pelvis": 0.35, "thorax": 0.25, "head": 0.08}
_SIDE_MASS = {"elbow": 0.05, "knee": 0.08, "ankle": 0.03}
_MASSES = torch.tensor([_MASS.get(name, _SIDE_MASS.get(name.partition("_")[2], 0.0)) for name in H36M.names])
FOOT_AHEAD = 0.07  # metres from the ankle forward to the middle of the foot: half of its length less a quarter
ANKLES = ("left_ankle", "right_ankle")
ANKLE_JOINTS = tuple(H36M.index(name) for name in ANKLES)
_SIDES = [[H36M.index(f"{side}_{name}") for name in ("hip", "shoulder")] for side in ("left", "right")]


class Stance(NamedTuple):
    """How somebody stands before a camera over a sequence."""

    balance: Float[Tensor, "frame 3"]  # from the feet to the centre of mass, of length 1
    told: Float[Tensor, "frame 3"]  # up, as the lifter tells it
    seen: Bool[Tensor, " frame"]
    standing: Bool[Tensor, " frame"]  # both ankles are seen of somebody upright; none if they are few


def stance(
    joints: Float[Tensor, "frame joint 3"],
    told: Float[Tensor, "frame 3"],
    visible: Bool[Tensor, "frame keypoint"],
    layout: Layout,
    fps: float,
) -> Stance:
    """How somebody stands; joints in metres, and the direction up that the lifter tells, are in any one frame."""
    balance, marked = _balance(joints), set(ANKLES) <= set(layout.landmarks)
    ankles = [layout.landmarks.index(name) for name in ANKLES if marked]
    standing = visible[:, ankles].all(-1) & marked & ((balance * told).sum(-1) > UPRIGHT)
    standing &= standing.sum() >= fps * LEAST_SECONDS
    return Stance(balance, told, visible.any(-1), standing)


def up_direction(stances: Sequence[Stance]) -> tuple[Float[Tensor, "3"], float]:
    """The direction up, and the standard deviation of its error in degrees: what is told, and each one's balance."""
    seen = [one.told[one.seen] for one in stances if one.seen.any()]
    directions = [middle(torch.cat(seen)) if seen else torch.tensor([0.0, -1.0, 0.0])]
    directions += [middle(one.balance[one.standing]) for one in stances if one.standing.any()]
    weights = torch.tensor([TOLD_STD**-2] + [BALANCE_STD**-2] * (len(directions) - 1))
    return normalize(weights @ torch.stack(directions), dim=0), math.sqrt(1 / float(weights.sum()) + SHARED_STD**2)


def middle(directions: Float[Tensor, "frame 3"]) -> Float[Tensor, "3"]:
    """The median direction."""
    return normalize(directions.median(0).values, dim=0)


def _balance(joints: Float[Tensor, "frame joint 3"]) -> Float[Tensor, "frame 3"]:
    left, right = (joints[:, side].sum(1) for side in _SIDES)
    up = (_MASSES[:, None] * joints).sum(1) - joints[:, list(ANKLE_JOINTS)].mean(1)
    forward = normalize(torch.linalg.cross(left - right, up), dim=-1)
    return normalize(up - FOOT_AHEAD * forward, dim=-1)
