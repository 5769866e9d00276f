"""A Vision Transformer over keypoints: tubelets, the patches of a joint's path, in place of an image's patches.

Source: A. Dosovitskiy et al., An image is worth 16x16 words, ICLR 2021; tubelets: A. Arnab et al., ViViT, ICCV 2021;
stochastic depth: G. Huang et al., Deep networks with stochastic depth, ECCV 2016.
"""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from lib.models.attention import Attention
from lib.models.base import AttentionParams, Network, WindowShape
from lib.models.heads import BodyHead
from lib.models.tokens import BodyTokens
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout


class Vit(Network):
    """Plain transformer blocks on a token a tubelet, and a class token."""

    class Params(AttentionParams):
        """`model.vit.SIZE`: tokens are a tubelet's, feed-forward layers each token's."""

        drop_path: Annotated[float, Field(ge=0, lt=1)]  # that the encoder's last block is skipped; earlier ones less
        patch_frames: Annotated[int, Field(ge=1, le=512)]  # of a tubelet; 1: a token for every joint and frame
        positions: Literal["learned", "sinusoidal"]  # of tubelets in time; joints always learn theirs
        pool: Literal["class", "mean"]  # what speaks for the whole window beside its joints

    def __init__(self, params: Params, windows: WindowShape, outputs: int) -> None:
        super().__init__()
        self.encoder = _Encoder(params, windows)
        self.decoder = nn.Sequential(
            *(Block(params, 0.0) for _ in range(params.decoder_depth)), BodyHead((JOINTS + 1) * params.width, outputs)
        )


class _Encoder(nn.Module):
    """Points and their confidence -> a latent for every joint, the mean of its tubelets', and one for the window."""

    def __init__(self, params: Vit.Params, windows: WindowShape) -> None:
        super().__init__()
        frames, coords, layouts = windows
        self.patch, self.pool = min(params.patch_frames, frames), params.pool
        patches = math.ceil(frames / self.patch)
        self.missing = patches * self.patch - frames  # frames that fill the last tubelet, hidden
        self.tokens = BodyTokens(params.width, self.patch, coords, layouts)
        if params.positions == "learned":
            self.time = nn.Parameter(0.02 * torch.randn(patches, 1, params.width))
        else:
            self.register_buffer("time", _sinusoids(patches, params.width)[:, None], persistent=False)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, params.width))
        last = max(params.encoder_depth - 1, 1)
        self.blocks = nn.Sequential(
            *(Block(params, params.drop_path * number / last) for number in range(params.encoder_depth))
        )

    def forward(
        self,
        points: Float[Tensor, "batch frame keypoint coord"],
        confidence: Float[Tensor, "batch frame keypoint"],
        scale: Float[Tensor, "batch frame"],
        layout: Layout,
    ) -> Float[Tensor, "batch token width"]:
        count = points.shape[0]  # not len(points), which exports would take for a constant
        patches = self._patches(points, confidence, scale)
        tubelets = self.tokens(*patches, layout)
        tubelets = tubelets.unflatten(0, (count, -1)) + self.time
        joints = tubelets.shape[2]
        encoded = self.blocks(torch.cat([self.class_token.expand(count, -1, -1), tubelets.flatten(1, 2)], 1))
        of_joints = encoded[:, 1:].unflatten(1, (-1, joints)).mean(1)
        window = encoded[:, :1] if self.pool == "class" else of_joints.mean(1, keepdim=True)
        return torch.cat([window, of_joints], 1)

    def _patches(self, points: Tensor, confidence: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        """Every tubelet's frames; those of a window follow each other."""
        parts: tuple[Tensor, ...] = points, confidence, scale
        if self.missing:
            last = (part[:, -1:].expand(-1, self.missing, *part.shape[2:]) for part in (points, scale))
            hidden = torch.zeros_like(confidence[:, :1]).expand(-1, self.missing, -1)
            ends = next(last), hidden, next(last)
            parts = tuple(torch.cat(pair, 1) for pair in zip(parts, ends, strict=True))
        return tuple(part.unflatten(1, (-1, self.patch)).flatten(0, 1) for part in parts)


class Block(nn.Module):
    """Pre-norm attention and feed-forward layer over tokens; while training, skipped at random."""

    def __init__(self, params: Vit.Params, drop_path: float) -> None:
        super().__init__()
        width, hidden, dropout = params.width, params.hidden, params.dropout
        self.drop_path = drop_path
        self.attention_norm, self.attention = nn.LayerNorm(width), Attention(width, params.heads, dropout)
        self.norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width), nn.Dropout(dropout)
        )

    def forward(self, tokens: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch token width"]:
        """Tokens attend to each other, then each is transformed by itself."""
        tokens = tokens + self._kept(self.attention(self.attention_norm(tokens)))
        return tokens + self._kept(self.feed_forward(self.norm(tokens)))

    def _kept(self, change: Tensor) -> Tensor:
        """Stochastic depth: no change for a share of the batch, the others' larger to make up for it."""
        if not self.training or self.drop_path == 0:
            return change
        keep = change.new_empty(len(change), 1, 1).bernoulli_(1 - self.drop_path)
        return change * keep / (1 - self.drop_path)


def _sinusoids(count: int, width: int) -> Float[Tensor, "position width"]:
    """Vaswani et al., Attention is all you need, NeurIPS 2017, section 3.5."""
    rate = torch.exp(-math.log(10000) * torch.arange(0, width, 2) / width)
    angle = torch.arange(count)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :width]
