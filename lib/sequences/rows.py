"""Poses of many frames as rows: a row a coordinate of a joint, whose frames lie side by side in memory.

What lies side by side is computed together, which takes a fraction of the time of points that lie side by side.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.pose.skeleton import Skeleton


def rows_of(points: Float[Tensor, "frame joint 3"]) -> Float[Tensor, "3 joint frame"]:
    """The rows of points; no copy of what `points_of` gives."""
    return points.permute(2, 1, 0).contiguous()


def points_of(rows: Float[Tensor, "3 joint frame"]) -> Float[Tensor, "frame joint 3"]:
    """The same numbers where they are, as points."""
    return rows.permute(2, 1, 0)


class Tree(NamedTuple):
    """A skeleton's bones, to take them out of rows."""

    skeleton: Skeleton
    child: Int[Tensor, " bone"]
    parent: Int[Tensor, " bone"]

    @classmethod
    def of(cls, skeleton: Skeleton, device: torch.device) -> "Tree":
        """Of a skeleton, on a device."""
        child, parent = torch.tensor(skeleton.bones, device=device).unbind(1)
        return cls(skeleton, child, parent)

    def ends(self, joints: Float[Tensor, "joint frame"]) -> tuple[Tensor, Tensor]:
        """The rows of each bone's child and of its parent."""
        return joints.index_select(0, self.child), joints.index_select(0, self.parent)

    def bones(self, rows: Float[Tensor, "3 joint frame"]) -> list[Tensor]:
        """X, y and z of bones from parent to child."""
        return [child - parent for child, parent in map(self.ends, rows)]


def norm(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """As torch.linalg.vector_norm of vectors, on CPUs to the last bit: it rounds once less, and its roots are exact."""
    squares = torch.addcmul(torch.addcmul(x * x, y, y), z, z)
    if squares.device.type == "mps":  # which has no float64
        return squares.sqrt()
    return squares.double().sqrt().to(squares.dtype)


def sizes(rows: Float[Tensor, "3 joint frame"], tree: Tree) -> Float[Tensor, " frame"]:
    """The sum of bone lengths in each frame, as that of `lib.pose.geometry.bone_lengths` to the last bit."""
    lengths = norm(*tree.bones(rows))
    return lengths.mT.contiguous().sum(-1)
