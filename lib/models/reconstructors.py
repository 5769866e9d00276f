"""Reconstruction: a network that reads windows of points, some of them hidden, and gives all of them back."""

from jaxtyping import Float
from torch import Tensor, nn

from lib.models.networks import Architecture
from lib.skeleton import H36M


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
        """Every point of the windows; where `confidence` is 0 a point is hidden, and its coordinates reach nothing."""
        numbers: Tensor = self.network(points, confidence, scale)
        return numbers.view(-1, self.frames, len(H36M), self.coords)
