"""Reconstruction: a network that reads windows of points, some of them hidden, and gives all of them back."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.models.networks import Architecture
from lib.skeleton import H36M

# (points, confidence, scale) -> points: a ReconstructionModel, or what a strategy wraps it in.
Reconstructor = Callable[[Tensor, Tensor, Tensor], Tensor]


class ReconstructionModel(nn.Module):
    """Windows of points with `coords` coordinates -> the same windows, whole: 2D-2D or 3D-3D."""

    def __init__(self, architecture: Architecture, frames: int, coords: int) -> None:
        super().__init__()
        self.frames, self.coords = frames, coords
        self.network = architecture.build(frames, coords, outputs=frames * len(H36M) * coords)

    def forward(
        self,
        points: Float[Tensor, "batch frame joint coord"],
        confidence: Float[Tensor, "batch frame joint"],
        scale: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch frame joint coord"]:
        """Every point of the windows; where `confidence` is 0 a point is hidden, and its coordinates reach nothing.

        The network says how far points are from where a straight line in time has them, which is where they were seen,
        or from the root if a joint was never seen.
        """
        nowhere = points.new_zeros(len(H36M), self.coords)
        off: Tensor = self.network(points, confidence, scale)
        return interpolated(points, confidence, nowhere) + off.view(-1, self.frames, len(H36M), self.coords)


def interpolated(
    points: Float[Tensor, "batch frame joint coord"],
    confidence: Float[Tensor, "batch frame joint"],
    fallback: Float[Tensor, "joint coord"],
) -> Float[Tensor, "batch frame joint coord"]:
    """Hidden points on the straight line between a joint's visible frames; constant beyond the first and the last.

    A joint that no frame shows is where `fallback` has it.
    """
    seen = confidence > 0
    frames = seen.shape[1]
    number = torch.arange(frames, device=seen.device)[:, None].expand_as(seen)
    before = torch.where(seen, number, -1).cummax(1).values
    after = torch.where(seen, number, frames).flip(1).cummin(1).values.flip(1)
    first, last = before.clamp_min(0), after.clamp_max(frames - 1)
    first, last = torch.where(before < 0, last, first), torch.where(after >= frames, first, last)
    part = ((number - first) / (last - first).clamp_min(1))[..., None]
    at_first, at_last = (points.gather(1, index[..., None].expand_as(points)) for index in (first, last))
    line = at_first + part * (at_last - at_first)
    filled: Tensor = torch.where(seen.any(1, keepdim=True)[..., None], line, fallback)
    return filled
