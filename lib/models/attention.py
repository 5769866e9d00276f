"""Multi-head self-attention, and the learned relations between joints that bias it."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.pose.skeleton import Skeleton


class Attention(nn.Module):
    """Multi-head self-attention over the token axis, with an optional additive bias on its scores.

    Source: Vaswani et al., Attention is all you need, NeurIPS 2017, section 3.2.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} must be a multiple of heads {heads}")
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, tokens: Float[Tensor, "batch token width"], bias: Float[Tensor, "head token token"] | None = None
    ) -> Float[Tensor, "batch token width"]:
        """Attend from every token to every token; `bias` is added to the scores of each head before the softmax."""
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        if bias is None and tokens.device.type == "cpu":
            mixed = _attend(query, key, value, dropout)
        else:
            mask = None if bias is None else bias.to(query.dtype).expand(tokens.shape[0], -1, -1, -1)
            mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(-2))
        return out


def _attend(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    """Scaled dot-product attention as torch has it, written out.

    On CPUs torch's own kernel takes 2 to 7 times as long for bfloat16 and as few tokens as a body has. It is more
    exact, and with a bias no slower, where it stays in use.
    """
    scores = (query / math.sqrt(query.shape[-1])) @ key.mT
    return nn.functional.dropout(scores.softmax(-1), dropout, training=dropout > 0) @ value


class JointRelations(nn.Module):
    """What two joints are to each other, as an attention bias a head learns.

    The bias of a pair is a learned value for its distance on the skeleton's graph, plus one for mirror pairs (left and
    right knee), plus a free one. All start at zero: plain attention.
    """

    distance: Tensor
    mirror: Tensor

    def __init__(self, skeleton: Skeleton, heads: int) -> None:
        super().__init__()
        count = len(skeleton)
        distance = torch.tensor(skeleton.graph_distance)
        mirror = torch.zeros(count, count)
        for joint, twin in enumerate(skeleton.mirror):
            mirror[joint, twin] = float(joint != twin)
        self.register_buffer("distance", distance, persistent=False)
        self.register_buffer("mirror", mirror, persistent=False)
        self.of_distance = nn.Parameter(torch.zeros(heads, 1 + max(map(max, skeleton.graph_distance))))
        self.of_mirror = nn.Parameter(torch.zeros(heads, 1, 1))
        self.of_pair = nn.Parameter(torch.zeros(heads, count, count))

    def forward(self) -> Float[Tensor, "head joint joint"]:
        """The bias of every head for every pair of joints."""
        return self.of_distance[:, self.distance] + self.of_mirror * self.mirror + self.of_pair
