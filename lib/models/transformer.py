"""The lifting transformer: keypoints -> latents a joint -> relative depth."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from lib.models.blocks import BodyBlock
from lib.params import Section
from lib.skeleton import H36M

Positive = Annotated[int, Field(ge=1)]


class TransformerParams(Section):
    """`model.transformer`; `width` is a multiple of `heads`."""

    width: Positive  # of a joint's token
    heads: Positive
    hidden: Positive  # of the body's feed-forward layer
    encoder_depth: Positive
    decoder_depth: Annotated[int, Field(ge=0)]
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "TransformerParams":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        return self


class Lifted(NamedTuple):
    """What a lifter says about a window of crops (see `lib.geometry.perspective_crop`)."""

    depth: Float[Tensor, "batch frame joint"]  # (Z_i / Z_0 - 1) / scale; the root's is 0
    correction: Float[Tensor, "batch frame joint 2"]  # to add to the crop's keypoints; the root's is 0
    elevation: Float[Tensor, "batch frame"]  # radians: the camera looks down on the root by this
    latents: Float[Tensor, "batch frame joint width"]


# (keypoints, confidence, scale) -> Lifted, as TransformerLifter.forward: a model, or one that a strategy wraps.
LifterModel = Callable[[Tensor, Tensor, Tensor], Lifted]


class Encoder(nn.Module):
    """Keypoints and their confidence -> a latent for every joint of every frame.

    A joint with confidence 0 is hidden: a learned token stands in its place, and its coordinates reach nothing.
    """

    def __init__(self, params: TransformerParams, frames: int) -> None:
        super().__init__()
        width, joints = params.width, len(H36M)
        self.embed = nn.Linear(4, width)
        self.hidden_token = nn.Parameter(torch.zeros(width))
        self.joint_embedding = nn.Parameter(0.02 * torch.randn(joints, width))
        self.frame_embedding = nn.Parameter(0.02 * torch.randn(frames, 1, width))
        self.blocks = nn.Sequential(
            *(
                BodyBlock(H36M, width, params.heads, params.hidden, params.dropout, temporal=frames > 1)
                for _ in range(params.encoder_depth)
            )
        )

    def forward(
        self,
        keypoints: Float[Tensor, "batch frame joint 2"],
        confidence: Float[Tensor, "batch frame joint"],
        scale: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch frame joint width"]:
        """Encode crops; `confidence` is 0 where a joint is hidden, up to 1 where it is certain."""
        # The crop's scale says how strong perspective is; typical values lie near 0.1.
        perspective = scale.clamp_min(1e-6).log()[..., None].expand_as(confidence) + 2.3
        seen = torch.cat([keypoints, confidence[..., None], perspective[..., None]], dim=-1)
        tokens = torch.where(confidence[..., None] > 0, self.embed(seen), self.hidden_token)
        encoded: Tensor = self.blocks(tokens + self.joint_embedding + self.frame_embedding)
        return encoded


class Decoder(nn.Module):
    """Latents -> relative depth, a correction of the 2D, and the camera's elevation."""

    def __init__(self, params: TransformerParams, frames: int) -> None:
        super().__init__()
        joints = len(H36M)
        self.blocks = nn.Sequential(
            *(
                BodyBlock(H36M, params.width, params.heads, params.hidden, params.dropout, temporal=frames > 1)
                for _ in range(params.decoder_depth)
            )
        )
        self.norm = nn.LayerNorm(joints * params.width)
        self.head = nn.Linear(joints * params.width, 3 * joints + 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, latents: Float[Tensor, "batch frame joint width"]) -> Lifted:
        """Decode latents; the head runs in float32, since millimetres are lost in bfloat16."""
        body = self.norm(self.blocks(latents).flatten(-2))
        with torch.autocast(body.device.type, enabled=False):
            out = self.head(body.float())
        depth, correction, elevation = out.split([len(H36M), 2 * len(H36M), 1], dim=-1)
        others = torch.ones_like(depth)
        others[..., H36M.root] = 0  # the crop's origin
        correction = correction.unflatten(-1, (-1, 2)) * others[..., None]
        return Lifted(depth * others, correction, elevation.squeeze(-1), latents)


class TransformerLifter(nn.Module):
    """An encoder and a decoder over windows of `frames` frames."""

    def __init__(self, params: TransformerParams, frames: int) -> None:
        super().__init__()
        self.encoder = Encoder(params, frames)
        self.decoder = Decoder(params, frames)

    def forward(
        self,
        keypoints: Float[Tensor, "batch frame joint 2"],
        confidence: Float[Tensor, "batch frame joint"],
        scale: Float[Tensor, "batch frame"],
    ) -> Lifted:
        """Lift windows of crops."""
        lifted: Lifted = self.decoder(self.encoder(keypoints, confidence, scale))
        return lifted
