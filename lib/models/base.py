"""What every network is: an encoder of windows of points, and a decoder of its latents to numbers."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from lib.models.heads import BodyHead
from lib.pose.layout import Layout
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


class WindowShape(NamedTuple):
    """What the windows hold that a network reads."""

    frames: int
    coords: int  # of each point
    layouts: Sequence[Layout]  # in one of which the points are


class Network(nn.Module):
    """Windows of points -> `outputs` numbers a window.

    Each network has a class `Params` inside it, and is made as `Network(params, windows, outputs)`.
    """

    encoder: nn.Module  # (points, confidence, scale, layout) -> latents: (batch, token, width)
    decoder: nn.Sequential  # latents -> numbers, in float32; its last part is a `BodyHead`

    def forward(
        self,
        points: Float[Tensor, "batch frame keypoint coord"],
        confidence: Float[Tensor, "batch frame keypoint"],
        scale: Float[Tensor, "batch frame"],
        layout: Layout,
    ) -> Float[Tensor, "batch output"]:
        """Read windows; `confidence` is 0 where a point is hidden, up to 1 where it is certain."""
        outputs: Tensor = self.head(self.latents(points, confidence, scale, layout))
        return outputs

    @property
    def head(self) -> BodyHead:
        """The last part of the decoder."""
        head = self.decoder[-1]
        assert isinstance(head, BodyHead)
        return head

    def latents(
        self,
        points: Float[Tensor, "batch frame keypoint coord"],
        confidence: Float[Tensor, "batch frame keypoint"],
        scale: Float[Tensor, "batch frame"],
        layout: Layout,
    ) -> Float[Tensor, "batch token width"]:
        """What the head reads."""
        latents: Tensor = self.decoder[:-1](self.encoder(points, confidence, scale, layout))
        return latents
