"""The transformer of body blocks: a joint's token holds its whole window, so that time costs next to nothing."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from lib.models.base import Network
from lib.models.blocks import BodyBlock
from lib.models.heads import BodyHead
from lib.models.tokens import feature_count, window_features
from lib.params import Section
from lib.skeleton import H36M

Positive = Annotated[int, Field(ge=1)]


class Transformer(Network):
    """Body blocks on a token a joint."""

    class Params(Section):
        """`model.transformer.SIZE`; `width` is a multiple of `heads`."""

        width: Positive  # of a joint's token
        heads: Positive
        hidden: Positive  # of the body's feed-forward layer
        encoder_depth: Positive
        decoder_depth: Annotated[int, Field(ge=0)]
        dropout: Annotated[float, Field(ge=0, lt=1)]

        @model_validator(mode="after")
        def _heads_divide_width(self) -> "Transformer.Params":
            if self.width % self.heads:
                raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
            return self

    def __init__(self, params: Params, frames: int, coords: int, outputs: int) -> None:
        super().__init__()
        self.encoder = _Encoder(params, frames, coords)
        self.decoder = nn.Sequential(
            *_blocks(params, params.decoder_depth), BodyHead(len(H36M) * params.width, outputs)
        )


class _Encoder(nn.Module):
    """Points and their confidence -> a latent for every joint."""

    def __init__(self, params: Transformer.Params, frames: int, coords: int) -> None:
        super().__init__()
        self.embed = nn.Linear(feature_count(frames, coords), params.width)
        self.joint_embedding = nn.Parameter(0.02 * torch.randn(len(H36M), params.width))
        self.blocks = nn.Sequential(*_blocks(params, params.encoder_depth))

    def forward(
        self,
        points: Float[Tensor, "batch frame joint coord"],
        confidence: Float[Tensor, "batch frame joint"],
        scale: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch joint width"]:
        tokens = self.embed(window_features(points, confidence, scale)) + self.joint_embedding
        encoded: Tensor = self.blocks(tokens)
        return encoded


def _blocks(params: Transformer.Params, depth: int) -> list[BodyBlock]:
    return [BodyBlock(H36M, params.width, params.heads, params.hidden, params.dropout) for _ in range(depth)]
