"""The transformer of body blocks: a joint's token holds its whole window, so that time costs next to nothing."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.models.base import AttentionParams, Network
from lib.models.blocks import BodyBlock
from lib.models.heads import BodyHead
from lib.models.tokens import feature_count, window_features
from lib.pose.skeleton import Skeleton


class Transformer(Network):
    """Body blocks on a token a joint."""

    class Params(AttentionParams):
        """`model.transformer.SIZE`: tokens are a joint's, feed-forward layers the whole body's."""

    def __init__(self, params: Params, skeleton: Skeleton, frames: int, coords: int, outputs: int) -> None:
        super().__init__()
        self.encoder = _Encoder(params, skeleton, frames, coords)
        self.decoder = nn.Sequential(
            *_blocks(params, skeleton, params.decoder_depth), BodyHead(len(skeleton) * params.width, outputs)
        )


class _Encoder(nn.Module):
    """Points and their confidence -> a latent for every joint."""

    def __init__(self, params: Transformer.Params, skeleton: Skeleton, frames: int, coords: int) -> None:
        super().__init__()
        self.embed = nn.Linear(feature_count(frames, coords), params.width)
        self.joint_embedding = nn.Parameter(0.02 * torch.randn(len(skeleton), params.width))
        self.blocks = nn.Sequential(*_blocks(params, skeleton, params.encoder_depth))

    def forward(
        self,
        points: Float[Tensor, "batch frame joint coord"],
        confidence: Float[Tensor, "batch frame joint"],
        scale: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch joint width"]:
        tokens = self.embed(window_features(points, confidence, scale)) + self.joint_embedding
        encoded: Tensor = self.blocks(tokens)
        return encoded


def _blocks(params: Transformer.Params, skeleton: Skeleton, depth: int) -> list[BodyBlock]:
    return [BodyBlock(skeleton, params.width, params.heads, params.hidden, params.dropout) for _ in range(depth)]
