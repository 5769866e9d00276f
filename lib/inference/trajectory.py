"""Where people are: from poses of unknown size to motions in metres, and from before a camera to on a floor.

A lifted pose is in units of the root's distance, so that bones of a known size tell the distance. How long all bones
are together is the same in all frames of a person, and what that says is smoothed over time.

In the world frame feet stand on the floor and slide less: where an ankle is low and slow, the person is moved along
the line of sight, so that what is seen stays where it is seen, until it hardly moves.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from lib.inference.uprightness import ANKLE_JOINTS
from lib.sequences.noise import Timing, smooth

SIZE_SECONDS = 0.15  # standard deviation of the Gaussian that smooths a body's size in the picture
ANKLE_HEIGHT = 0.08  # metres of an ankle's centre above the floor, of somebody who stands
LOW_SHARE = 0.33  # of the frames: the lower ankle is on the floor in more of them
SLOW, LOW = 0.35, 0.06  # metres a second, and above the floor: where an ankle's weight falls to 1/e
# Weights of squares of metres, at RATE frames a second, where that of a person who is moved is 1:
STANDS = 500.0  # an ankle that stands, and moves
ON_FLOOR = 30.0  # one that stands, and is not on the floor
SMOOTH = 30.0  # a person who is moved more in one frame than in the next
RATE = 50.0
STILL = 0.1  # an ankle stands whose weight is above


def root_distances(
    size: Float[Tensor, " frame"], body_size: float, timing: Timing, seconds: float = SIZE_SECONDS
) -> Float[Tensor, " frame"]:
    """Metres from the camera to the root, of lifted bones that add up to `size` (units of that distance)."""
    log = size.clamp_min(1e-12).log()[:, None, None]
    return body_size / (smooth(log, timing, seconds) if seconds > 0 else log)[:, 0, 0].exp()


class World(NamedTuple):
    """From the camera frame to the world frame (`lib.inference.motion`)."""

    rotation: Float[Tensor, "3 3"]
    shift: Float[Tensor, "3"]  # metres, added afterwards

    def points(self, camera: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Points in the world frame."""
        return camera @ self.rotation.mT + self.shift


def world_rotation(up: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:
    """The turn from the camera frame to y up, x to the right as the camera sees it, and z towards the camera."""
    towards = up.new_tensor([0.0, 0.0, -1.0])
    if float((up @ towards).abs()) > 0.999:  # straight from above: what is up in the picture is away; from below: near
        towards = up.new_tensor([0.0, -1.0 if up[2] > 0 else 1.0, 0.0])
    x = normalize(torch.linalg.cross(up, towards), dim=0)
    return torch.stack([x, up, torch.linalg.cross(x, up)])


def floor_height(joints: Float[Tensor, "frame joint 3"]) -> float:
    """Of somebody whose y is up: below the lower ankle of frames in which it is low."""
    lower = joints[:, list(ANKLE_JOINTS), 1].amin(-1)
    return float(lower.quantile(LOW_SHARE)) - ANKLE_HEIGHT


def planted(
    joints: Float[Tensor, "frame joint 3"], camera: Float[Tensor, "3"], times: Float[Tensor, " frame"]
) -> Float[Tensor, "frame 3"]:
    """By how much to move a person of the world frame in each frame, so that feet stand where they stand.

    Along the line of sight from `camera` alone. Linear least squares: ankles that are low and slow shall not move and
    shall be on the floor, and the person shall be moved little, and smoothly.
    """
    ankles, sight = joints[:, list(ANKLE_JOINTS)], normalize(joints[:, 0] - camera, dim=-1)
    if len(joints) < 2:
        return torch.zeros_like(sight)
    step, seconds = ankles.diff(dim=0), times.diff().float().clamp_min(1e-3)[:, None]
    height = ankles[..., 1] - ANKLE_HEIGHT
    low = (-(height.clamp_min(0) / LOW).square()).exp()
    still = (
        torch.minimum(low[1:], low[:-1]) * (-(torch.linalg.vector_norm(step, dim=-1) / seconds / SLOW).square()).exp()
    )
    on_floor = ON_FLOOR * low * (torch.cat([still[:1], still]) > STILL)
    # Unknown are the moves m along the sight s. The squares that are summed, of each frame and the one before:
    # STANDS still |step + m s - m' s'|^2, SMOOTH (m - m')^2, ON_FLOOR low (height + m s_y)^2, m^2.
    often = (RATE * seconds[:, 0]).square().reciprocal()
    stands, smooth = STANDS * still * often[:, None], SMOOTH * often
    now, before = sight[1:], sight[:-1]
    coupled = stands.sum(-1) + smooth
    slid = (stands[..., None] * step).sum(1)
    diagonal = 1 + on_floor.sum(-1) * sight[:, 1].square()
    force = -(on_floor * height).sum(-1) * sight[:, 1]
    diagonal[1:] += coupled
    diagonal[:-1] += coupled
    force[1:] -= (now * slid).sum(-1)
    force[:-1] += (before * slid).sum(-1)
    beside = -stands.sum(-1) * (now * before).sum(-1) - smooth
    from scipy.linalg import solveh_banded  # noqa: PLC0415 - a fifth of a second, for the world frame alone

    bands = np.stack([np.concatenate([[0.0], beside.double().numpy()]), diagonal.double().numpy()])
    move = torch.from_numpy(solveh_banded(bands, force.double().numpy())).to(sight)
    return move[:, None] * sight
