"""Bones keep their lengths: what a whole sequence says about a body, put into each of its frames.

A lifter sees a window and cannot know the lengths of a person's bones: where a bone points along the line of sight, an
error of its length is a large error of its depth. Over a sequence lengths are the same, so that depths can be
corrected afterwards, without any label.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.pose.skeleton import Skeleton
from lib.sequences.medians import weighted_medians
from lib.sequences.rows import Tree, norm, rows_of

LEAST_ACROSS = 0.02  # weight of a bone that points along the line of sight, where 1 is one that lies across
UNSEEN = 1e-9  # what a frame that shows nobody counts for: the guess that there is where a body was never seen
REMEMBERED = 0.95  # of what was seen of a body, each time that some is seen anew


def typical_lengths(
    pose: Float[Tensor, "*batch frame joint 3"],
    skeleton: Skeleton,
    detected: Bool[Tensor, "*batch frame"] | None = None,
) -> tuple[Float[Tensor, "*batch bone"], Float[Tensor, "*batch bone"]]:
    """Bone lengths over frames, relative to their sum, and how much they are to be trusted: the frames' weights.

    Poses are root-centred, in the crop frame. Lengths are medians, in which frames count by how far a bone lies across
    the line of sight: there, what is seen and not the depth determines its length. Frames that are not `detected` have
    poses that are guesses, and count for next to nothing.
    """
    child, parent = _ends(skeleton)
    bone = pose[..., child, :] - pose[..., parent, :]
    length: Tensor = torch.linalg.vector_norm(bone, dim=-1).clamp_min(1e-6)
    weight = (1 - (bone[..., 2] / length).square()).clamp_min(LEAST_ACROSS).square()
    if detected is not None:
        weight = torch.where(detected[..., None], weight, UNSEEN * weight)
    relative, order = (length / length.sum(-1, keepdim=True)).sort(dim=-2)
    below = weight.gather(-2, order).cumsum(-2)
    middle = (below >= below[..., -1:, :] / 2).float().argmax(-2, keepdim=True)
    return relative.gather(-2, middle).squeeze(-2), below[..., -1, :]


def sequence_lengths(
    pose: Float[Tensor, "frame joint 3"],
    skeleton: Skeleton,
    detected: Bool[Tensor, " frame"],
    lengths: Sequence[int],
) -> Float[Tensor, "sequence bone"]:
    """The lengths of `typical_lengths` in sequences of so many frames each, back to back, of finite poses."""
    x, y, z = Tree.of(skeleton, pose.device).bones(rows_of(pose))
    length = norm(x, y, z).clamp_min(1e-6)
    weight = (1 - (z / length).square()).clamp_min(LEAST_ACROSS).square()
    weight = torch.where(detected, weight, UNSEEN * weight)
    return weighted_medians(length / length.sum(0), weight, lengths)


def symmetric(lengths: Float[Tensor, "*batch bone"], skeleton: Skeleton) -> Float[Tensor, "*batch bone"]:
    """Lengths with left like right, relative to their sum."""
    both = lengths + lengths[..., torch.tensor(skeleton.mirror_bones, device=lengths.device)]
    return both / both.sum(-1, keepdim=True)


class BoneLengthMemory:
    """The relative bone lengths of the person in each sequence, from whatever was seen of it so far."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self._sum = self._weight = torch.zeros(0, len(skeleton.bones))

    def state_dict(self) -> dict[str, Tensor]:
        """What was seen."""
        return {"sum": self._sum, "weight": self._weight}

    def load_state_dict(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Know what was seen by the time of a state."""
        self._sum, self._weight = (state[name].to(device) for name in ("sum", "weight"))

    def update(
        self,
        sequence: Int[Tensor, " clip"],
        pose: Float[Tensor, "clip frame joint 3"],
        detected: Bool[Tensor, "clip frame"] | None = None,
    ) -> Float[Tensor, "clip bone"]:
        """Add clips to what was seen of their sequences, and return the lengths known by then.

        Poses, and which frames are `detected`, are as for `typical_lengths`. The clips of a sequence count by their
        weights; old ones fade. What is not finite is not remembered.
        """
        lengths, weight = typical_lengths(pose, self.skeleton, detected)
        finite = (lengths * weight).isfinite()
        lengths, weight = lengths.where(finite, 0.0), weight.where(finite, 0.0)
        missing = int(sequence.max()) + 1 - len(self._sum)
        if missing > 0:
            more = lengths.new_zeros(missing, lengths.shape[-1])
            self._sum, self._weight = (torch.cat([part.to(more), more]) for part in (self._sum, self._weight))
        kept = torch.ones_like(self._sum[:, :1]).index_fill_(0, sequence, REMEMBERED)
        self._sum = (kept * self._sum).index_add(0, sequence, lengths * weight)
        self._weight = (kept * self._weight).index_add(0, sequence, weight)
        return symmetric(self._sum[sequence] / self._weight[sequence], self.skeleton)


def _ends(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """The child and the parent joint of every bone."""
    child, parent = zip(*skeleton.bones, strict=True)
    return list(child), list(parent)
