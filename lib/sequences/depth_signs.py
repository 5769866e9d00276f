"""Towards the camera or away: the sign of a limb's depth, decided over a whole sequence.

What a camera sees of a bone of known length leaves two places for its far end: in front of and behind the point of its
line of sight that is nearest to the near end. A bone goes from one to the other only through the picture's plane, where
both are one. So signs are a chain over time: every frame's own depth speaks for its sign, and a change costs as much as
the bone is out of the plane when it happens. The most probable chain is found by A. Viterbi's algorithm (IEEE Trans.
Information Theory 1967).
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.pose.skeleton import H36M
from lib.sequences.noise import Timing

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
    joints = joints + joints.new_tensor([0.0, 0.0, 1.0])  # from the camera
    parents = [H36M.parents[child] for child in LIMBS]
    bones = joints[:, LIMBS] - joints[:, parents]
    lengths = torch.linalg.vector_norm(bones, dim=-1).clamp_min(1e-6)
    depths = (bones * torch.nn.functional.normalize(joints[:, LIMBS], dim=-1)).sum(-1) / lengths
    known = torch.ones_like(joints[..., 0], dtype=torch.bool) if known is None else known
    decided = torch.cat([part.any(0).expand_as(part) for part in timing.split(known)])
    signs = _chains(torch.where(known[:, LIMBS], depths, 0.0), timing)
    limbs = zip(LIMBS, parents, bones.unbind(1), lengths.unbind(1), signs.unbind(1), strict=True)
    for child, parent, bone, length, sign in limbs:
        sight, near_end = torch.nn.functional.normalize(joints[:, child], dim=-1), joints[:, parent]
        nearest = (near_end * sight).sum(-1)
        across = near_end.square().sum(-1) - nearest.square()
        along = nearest + sign * (length.square() - across).clamp_min(0).sqrt()
        placed = torch.where(decided[:, child, None], along[:, None] * sight, near_end + bone)
        joints = joints.index_copy(1, torch.tensor([child], device=joints.device), placed[:, None])
    return joints - joints[:, :1]


def _chains(depth: Float[Tensor, "frame bone"], timing: Timing) -> Float[Tensor, "frame bone"]:
    """The most probable signs of each bone in each sequence: 1 or -1."""
    # Steps that depend on each other and are tiny: NumPy's overhead is a tenth of torch's.
    padded = torch.nn.utils.rnn.pad_sequence(list(timing.split(depth)), batch_first=True).transpose(0, 1).cpu().numpy()
    cost = CHANGE * np.square(np.minimum(np.abs(padded[1:]), np.abs(padded[:-1])))
    away, towards = padded[0], -padded[0]
    to_away, to_towards = np.zeros(cost.shape, bool), np.zeros(cost.shape, bool)
    for step, (now, change) in enumerate(zip(padded[1:], cost, strict=True)):
        from_towards, from_away = towards - change, away - change
        np.greater(from_towards, away, out=to_away[step])  # it has changed, to be away now
        np.greater(from_away, towards, out=to_towards[step])
        away, towards = np.maximum(away, from_towards) + now, np.maximum(towards, from_away) - now
    is_away = np.empty(padded.shape, bool)
    is_away[-1] = away >= towards
    for step in range(len(cost) - 1, -1, -1):
        is_away[step] = is_away[step + 1] ^ np.where(is_away[step + 1], to_away[step], to_towards[step])
    chains = 2 * torch.from_numpy(is_away).transpose(0, 1).to(depth) - 1
    return torch.cat([chain[:length] for chain, length in zip(chains, timing.lengths, strict=True)])
