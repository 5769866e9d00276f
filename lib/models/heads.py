"""What turns a body's latents into numbers."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class BodyHead(nn.Module):
    """All latents of a body -> numbers, in float32, since millimetres are lost in bfloat16; nearly 0 at first."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.features = features
        self.norm = nn.LayerNorm(features)
        self.head = nn.Linear(features, outputs)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, latents: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch output"]:
        """Read all tokens of a body at once."""
        body = self.norm(latents.flatten(1))
        with torch.autocast(body.device.type, enabled=False):
            outputs: Tensor = self.head(body.float())
        return outputs
