"""Reconstruction: a network that reads windows of points, some of them hidden, and gives all of them back."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.models.base import WindowShape
from lib.models.completion import Completion
from lib.models.networks import Architecture
from lib.pose.layout import Layout

# (points, confidence, scale) -> points: a ReconstructionModel, or what a strategy wraps it in.
Reconstructor = Callable[[Tensor, Tensor, Tensor], Tensor]


GUESSED = 0.1  # the network's confidence in points that it was not shown
STILL = 0.005  # what a joint moves at least, in units of the window's scale


class ReconstructionModel(nn.Module):
    """Windows of points with `coords` coordinates -> the same windows, whole: 2D-2D or 3D-3D."""

    def __init__(
        self, architecture: Architecture, layout: Layout, frames: int, coords: int, layouts: Sequence[Layout]
    ) -> None:
        """For points in `layout`; the network has parts for all of `layouts`, as a lifter's has."""
        super().__init__()
        self.layout, self.frames, self.coords = layout, frames, coords
        self.completion = Completion(frames)
        self.network = architecture.build(WindowShape(frames, coords, layouts), frames * len(layout) * coords)

    def forward(
        self,
        points: Float[Tensor, "batch frame joint coord"],
        confidence: Float[Tensor, "batch frame joint"],
        scale: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch frame joint coord"]:
        """Every point of the windows; where `confidence` is 0 a point is hidden, and its coordinates reach nothing.

        The network sees where hidden points probably are and says how far they are from there, in units of how much
        a joint moves; it finds joints that were never seen from the root on.
        """
        probable: Tensor = self.completion(points, confidence)
        known = (confidence > 0).any(1, keepdim=True)
        guessed = known & (confidence <= 0)
        off: Tensor = self.network(probable, confidence.masked_fill(guessed, GUESSED), scale, self.layout)
        path = probable.detach()
        moves = (path - path.mean(1, keepdim=True)).square().mean((1, 3), keepdim=True).sqrt()
        unit = torch.where(known[..., None], moves + STILL, 1.0)
        return probable + unit * off.view(-1, self.frames, len(self.layout), self.coords)
