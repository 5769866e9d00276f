"""What every network is: an encoder of windows of points, and a decoder of its latents to numbers."""

from jaxtyping import Float
from torch import Tensor, nn


class Network(nn.Module):
    """Windows of `frames` frames of points with `coords` coordinates -> `outputs` numbers a window.

    A network of its own has a class `Params` inside it, and is made as `Network(params, frames, coords, outputs)`.
    """

    encoder: nn.Module  # (points, confidence, scale) -> latents: (batch, token, width)
    decoder: nn.Sequential  # latents -> numbers, in float32; its last part is a `BodyHead`

    def forward(
        self,
        points: Float[Tensor, "batch frame joint coord"],
        confidence: Float[Tensor, "batch frame joint"],
        scale: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch output"]:
        """Read windows; `confidence` is 0 where a joint is hidden, up to 1 where it is certain."""
        outputs: Tensor = self.decoder(self.encoder(points, confidence, scale))
        return outputs
