"""The transformer of body blocks: a joint's token holds its whole window, so that time costs next to nothing."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.models.base import AttentionParams, Network
from lib.models.blocks import BodyBlock
from lib.models.heads import BodyHead
from lib.models.tokens import feature_count, window_features
from lib.pose.skeleton import H36M


class Transformer(Network):
    """Body blocks on a token a joint."""

    class Params(AttentionParams):
        """`model.transformer.SIZE`: tokens are a joint's, feed-forward layers the whole body's."""

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
