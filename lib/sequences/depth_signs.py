"""Towards the camera or away: the sign of a limb's depth, decided over a whole sequence.

What a camera sees of a bone of known length leaves two places for its far end: in front of and behind the point of its
line of sight that is nearest to the near end. A bone goes from one to the other only through the picture's plane, where
both are one. So signs are a chain over time: every frame's own depth speaks for its sign, and a change costs as much as
the bone is out of the plane when it happens. The most probable chain is found by A. Viterbi's algorithm (IEEE Trans.
Information Theory 1967).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.pose.skeleton import H36M
from lib.sequences.noise import Timing
from lib.sequences.rows import norm, points_of, rows_of

CHANGE = 100.0  # what a change of sign costs at a depth as large as the bone, where a frame's own depth is worth 1
# Joints at the far end of limbs' bones, from the trunk outwards.
LIMBS = [H36M.index(f"{side}_{name}") for name in ("knee", "elbow", "ankle", "wrist") for side in ("left", "right")]


def with_constant_signs(
    joints: Float[Tensor, "frame joint 3"], timing: Timing, known: Bool[Tensor, "frame joint"] | None = None
) -> Float[Tensor, "frame joint 3"]:
    """Joints of Human3.6M whose limbs have the depth signs of the most probable chain.

    Poses are root-centred, as a camera sees them that looks at the root, in units of the root's distance; sequences lie
    back to back. Bones keep their lengths, and joints their lines of sight. Joints that are not `known` say nothing;
    bones to those that are known in no frame of a sequence stay as they are.
    """
    placed = rows_of(joints) + joints.new_tensor([0.0, 0.0, 1.0])[:, None, None]  # from the camera
    parents = [H36M.parents[child] for child in LIMBS]
    ends, sights = placed[:, LIMBS], placed[:, LIMBS] / norm(*placed[:, LIMBS]).clamp_min(1e-12)
    bones = ends - placed[:, parents]
    lengths = norm(*bones).clamp_min(1e-6)
    depths = (bones * sights).sum(0) / lengths
    known = torch.ones_like(joints[..., 0], dtype=torch.bool) if known is None else known
    known = known[:, LIMBS].mT
    decided = torch.cat([part.any(1, keepdim=True).expand_as(part) for part in known.split(timing.lengths, 1)], 1)
    signs = _chains(torch.where(known, depths, 0.0), timing.lengths)
    for limb, (child, parent) in enumerate(zip(LIMBS, parents, strict=True)):
        sight, near_end = sights[:, limb], placed[:, parent]
        nearest = (near_end * sight).sum(0)
        across = near_end.square().sum(0) - nearest.square()
        along = nearest + signs[limb] * (lengths[limb].square() - across).clamp_min(0).sqrt()
        placed[:, child] = torch.where(decided[limb], along * sight, near_end + bones[:, limb])
    return points_of(placed - placed[:, :1])


def _chains(depth: Float[Tensor, "bone frame"], lengths: Sequence[int]) -> Float[Tensor, "bone frame"]:
    """The most probable signs of each bone in each sequence: 1 or -1."""
    alike: dict[int, list[int]] = {}  # sequences, none twice as long as another: all take the memory of the longest
    for number, length in enumerate(lengths):
        alike.setdefault(length.bit_length(), []).append(number)
    if len(alike) < 2:
        return _chains_abreast(depth, lengths)
    signs, frames = torch.empty_like(depth), torch.arange(depth.shape[1], device=depth.device).split(list(lengths))
    for some in alike.values():
        at = torch.cat([frames[number] for number in some])
        signs[:, at] = _chains_abreast(depth[:, at], [lengths[number] for number in some])
    return signs


def _chains_abreast(depth: Float[Tensor, "bone frame"], lengths: Sequence[int]) -> Float[Tensor, "bone frame"]:
    """The same, step by step of all sequences at once."""
    # Steps that depend on each other and are tiny: NumPy's overhead is a tenth of torch's.
    depths = depth.mT.cpu().numpy()
    begins = np.cumsum([0, *lengths])[:-1]
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    step = np.arange(len(depths)) - begins[sequence]
    cost, size = np.zeros_like(depths), np.abs(depths)
    cost[:-1] = CHANGE * np.square(np.minimum(size[1:], size[:-1]))  # of a change to the next frame
    # How much better the best chain that is now away is than the best one towards: at most what a change costs, before
    # the frame itself speaks.
    better = np.zeros((max(lengths), len(lengths), depths.shape[1]), depths.dtype)
    most = np.zeros_like(better)
    better[step, sequence], most[step, sequence] = 2 * depths, cost
    bounded = np.empty_like(better[0])
    for now, before, high, low in zip(better[1:], better[:-1], most, -most, strict=False):
        np.minimum(before, high, out=bounded)
        np.maximum(bounded, low, out=bounded)
        np.add(now, bounded, out=now)
    ahead = better[step, sequence]
    away, free = ahead >= 0, np.abs(ahead) <= cost
    free[begins + lengths - 1] = False
    # What is free is as in the next frame; the last frame of a sequence is not.
    frames = np.where(free, len(free), np.arange(len(free), dtype=np.int32)[:, None])
    decisive = np.minimum.accumulate(frames[::-1])[::-1]
    return 2 * torch.from_numpy(np.take_along_axis(away, decisive, 0)).mT.to(depth) - 1
