"""The lifting transformer: a window of keypoints -> latents a joint -> relative depth in its middle frame."""

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
    """What a lifter says about the middle frame of a window of crops (see `lib.geometry.perspective_crop`)."""

    depth: Float[Tensor, "batch joint"]  # (Z_i / Z_0 - 1) / scale; the root's is 0
    correction: Float[Tensor, "batch joint 2"]  # to add to the crop's keypoints; the root's is 0
    elevation: Float[Tensor, " batch"]  # radians: the camera looks down on the root by this
    latents: Float[Tensor, "batch joint width"]


# (keypoints, confidence, scale) -> Lifted, as TransformerLifter.forward: a model, or one that a strategy wraps.
LifterModel = Callable[[Tensor, Tensor, Tensor], Lifted]


class Encoder(nn.Module):
    """Windows of keypoints and their confidence -> a latent for every joint.

    A joint's token holds its whole window, so that time costs next to nothing. A joint with confidence 0 is hidden: its
    coordinates reach nothing.
    """

    def __init__(self, params: TransformerParams, frames: int) -> None:
        super().__init__()
        self.embed = nn.Linear(FEATURES + FRAME_FEATURES * frames, params.width)
        self.joint_embedding = nn.Parameter(0.02 * torch.randn(len(H36M), params.width))
        self.blocks = _blocks(params, params.encoder_depth)

    def forward(
        self,
        keypoints: Float[Tensor, "batch frame joint 2"],
        confidence: Float[Tensor, "batch frame joint"],
        scale: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch joint width"]:
        """Encode crops; `confidence` is 0 where a joint is hidden, up to 1 where it is certain."""
        encoded: Tensor = self.blocks(self.embed(_features(keypoints, confidence, scale)) + self.joint_embedding)
        return encoded


FEATURES, FRAME_FEATURES = 3, 4  # of a joint's token: of the window, and of each of its frames
MAGNIFIED = 4.0  # what changes within a window is small


def _features(
    keypoints: Float[Tensor, "batch frame joint 2"],
    confidence: Float[Tensor, "batch frame joint"],
    scale: Float[Tensor, "batch frame"],
) -> Float[Tensor, "batch joint feature"]:
    """A joint's mean place over the window, the frames' deviations from it, confidence, and the crops' scales."""
    weight = confidence[..., None]
    visible = keypoints.masked_fill(weight <= 0, 0.0)
    mean = (weight * visible).sum(1) / weight.sum(1).clamp_min(1e-6)
    deviation = (visible - mean[:, None]).masked_fill(weight <= 0, 0.0)
    # The crop's scale says how strong perspective is; typical values lie near 0.1.
    perspective = scale.clamp_min(1e-6).log() + 2.3
    level = perspective.mean(1)
    change = (perspective - level[:, None])[..., None].expand_as(confidence)
    frames = torch.cat([MAGNIFIED * deviation, confidence[..., None], MAGNIFIED * change[..., None]], -1)
    window = torch.cat([mean, level[:, None, None].expand(-1, mean.shape[1], 1)], -1)
    return torch.cat([window, frames.transpose(1, 2).flatten(2)], -1)


class Decoder(nn.Module):
    """Latents -> relative depth, a correction of the 2D, and the camera's elevation."""

    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        joints = len(H36M)
        self.blocks = _blocks(params, params.decoder_depth)
        self.norm = nn.LayerNorm(joints * params.width)
        self.head = nn.Linear(joints * params.width, 3 * joints + 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, latents: Float[Tensor, "batch joint width"]) -> Lifted:
        """Decode latents; the head runs in float32, since millimetres are lost in bfloat16."""
        body = self.norm(self.blocks(latents).flatten(-2))
        with torch.autocast(body.device.type, enabled=False):
            out = self.head(body.float())
        depth, correction, elevation = out.split([len(H36M), 2 * len(H36M), 1], dim=-1)
        others = torch.ones_like(depth)
        others[..., H36M.root] = 0  # the crop's origin
        correction = correction.unflatten(-1, (-1, 2)) * others[..., None]
        return Lifted(depth * others, correction, elevation.squeeze(-1), latents)


def _blocks(params: TransformerParams, depth: int) -> nn.Sequential:
    return nn.Sequential(
        *(BodyBlock(H36M, params.width, params.heads, params.hidden, params.dropout) for _ in range(depth))
    )


class TransformerLifter(nn.Module):
    """An encoder and a decoder over windows of `frames` frames."""

    def __init__(self, params: TransformerParams, frames: int) -> None:
        super().__init__()
        self.encoder = Encoder(params, frames)
        self.decoder = Decoder(params)

    def forward(
        self,
        keypoints: Float[Tensor, "batch frame joint 2"],
        confidence: Float[Tensor, "batch frame joint"],
        scale: Float[Tensor, "batch frame"],
    ) -> Lifted:
        """Lift windows of crops."""
        lifted: Lifted = self.decoder(self.encoder(keypoints, confidence, scale))
        return lifted
