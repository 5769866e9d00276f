"""The transformer's block: attention over joints, attention over frames, and a feed-forward layer over the body.

Joint tokens are narrow and the feed-forward layer sees all of a frame's tokens at once. A wide token for every joint
with a feed-forward layer each costs an order of magnitude more arithmetic a pose for the same number of parameters, and
a body's joints depend on each other too much for it to pay off.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.models.attention import Attention, JointRelations
from lib.skeleton import Skeleton


class BodyBlock(nn.Module):
    """Pre-norm block on tokens of shape (batch, frame, joint, width), factorised over joints, frames and body."""

    def __init__(self, skeleton: Skeleton, width: int, heads: int, hidden: int, dropout: float, temporal: bool) -> None:
        super().__init__()
        body = len(skeleton) * width
        self.relations = JointRelations(skeleton, heads)
        self.joint_norm = nn.LayerNorm(width)
        self.joints = Attention(width, heads, dropout)
        if temporal:
            self.frame_norm = nn.LayerNorm(body)
            self.frames = Attention(body, heads, dropout)
        self.temporal = temporal
        self.body_norm = nn.LayerNorm(body)
        self.body = nn.Sequential(
            nn.Linear(body, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, body), nn.Dropout(dropout)
        )

    def forward(self, tokens: Float[Tensor, "batch frame joint width"]) -> Float[Tensor, "batch frame joint width"]:
        """Joints attend within their frame, frames within their window, then the whole body mixes."""
        batch, frames, joints, width = tokens.shape
        single = tokens.flatten(0, 1)
        single = single + self.joints(self.joint_norm(single), self.relations())
        body = single.view(batch, frames, joints * width)
        if self.temporal:
            body = body + self.frames(self.frame_norm(body))
        body = body + self.body(self.body_norm(body))
        return torch.reshape(body, (batch, frames, joints, width))
