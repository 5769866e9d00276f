"""What every network is: an encoder of windows of points, and a decoder of its latents to numbers."""

from typing import Annotated

from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from lib.runtime.params import Section

Positive = Annotated[int, Field(ge=1, le=16_384)]


class AttentionParams(Section):
    """`model.NAME.SIZE`, as far as networks with attention share it; `width` is a multiple of `heads`."""

    width: Annotated[int, Field(ge=1, le=2048)]  # of a token
    heads: Annotated[int, Field(ge=1, le=128)]
    hidden: Positive  # of a feed-forward layer
    encoder_depth: Annotated[int, Field(ge=1, le=64)]
    decoder_depth: Annotated[int, Field(ge=0, le=64)]
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "AttentionParams":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        return self


class Network(nn.Module):
    """Windows of `frames` frames of a skeleton's points with `coords` coordinates -> `outputs` numbers a window.

    Each network has a class `Params` inside it, and is made as `Network(params, skeleton, frames, coords, outputs)`.
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
