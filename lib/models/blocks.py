"""The transformer's block: attention over joints and a feed-forward layer over the body.

Joint tokens are narrow and the feed-forward layer sees all of a body's tokens at once. A wide token for every joint
with a feed-forward layer each costs an order of magnitude more arithmetic a pose for the same number of parameters, and
a body's joints depend on each other too much for it to pay off.
"""

from jaxtyping import Float
from torch import Tensor, nn

from lib.models.attention import Attention, JointRelations
from lib.pose.skeleton import Skeleton


class BodyBlock(nn.Module):
    """Pre-norm block on tokens of shape (batch, joint, width), factorised over joints and body."""

    def __init__(self, skeleton: Skeleton, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        body = len(skeleton) * width
        self.relations = JointRelations(skeleton, heads)
        self.joint_norm = nn.LayerNorm(width)
        self.joints = Attention(width, heads, dropout)
        self.body_norm = nn.LayerNorm(body)
        self.body = nn.Sequential(
            nn.Linear(body, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, body), nn.Dropout(dropout)
        )

    def forward(self, tokens: Float[Tensor, "batch joint width"]) -> Float[Tensor, "batch joint width"]:
        """Joints attend to each other, then the whole body mixes."""
        body = (tokens + self.joints(self.joint_norm(tokens), self.relations())).flatten(1)
        mixed: Tensor = (body + self.body(self.body_norm(body))).view_as(tokens)
        return mixed
