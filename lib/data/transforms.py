"""Augmentation of crops: batched, on the training device, with the randomness handed in.

A flip, a rotation about the optical axis and a change of scale are drawn once a window, so that its motion stays
whole; noise and hidden joints are drawn a frame and a joint. Flip and rotation are exact: they are what a mirrored
scene or a rolled camera would show.
"""

import math
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from lib.data.windows import WindowBatch
from lib.geometry import perspective_crop, rotation_about
from lib.params import Section
from lib.skeleton import H36M

Share = Annotated[float, Field(ge=0, le=1)]


class TransformParams(Section):
    """`data.transforms`."""

    normalization: Literal["rms", "max"]  # a crop's unit: the RMS or the largest distance of its joints from the root
    flip: Share  # probability
    rotation_deg: Annotated[float, Field(ge=0, le=180)]  # uniform within +- this
    scaling: Annotated[float, Field(ge=0, lt=1)]  # the crop's scale varies by a factor within 1 +- this
    noise: Annotated[float, Field(ge=0)]  # standard deviation, in units of the crop's scale
    outliers: Share  # probability that a joint is somewhere else, up to a unit away
    mask: Share  # probability that a joint is hidden; never the root


class CropBatch(NamedTuple):
    """Normalised windows, as the model reads them."""

    keypoints: Float[Tensor, "batch frame joint 2"]  # root-centred rays divided by `scale`
    confidence: Float[Tensor, "batch frame joint"]  # 0: hidden
    scale: Float[Tensor, "batch frame"]
    rotation: Float[Tensor, "batch frame 3 3"]  # camera frame -> crop frame


def normalize(batch: WindowBatch, normalization: str) -> CropBatch:
    """Perspective crops of every frame, centred on the root and scaled."""
    crop = perspective_crop(batch.rays, normalization)
    return CropBatch(crop.keypoints, batch.confidence, crop.scale, crop.rotation)


def mirror(crops: CropBatch) -> CropBatch:
    """The crops of the mirrored scene: x changes its sign, left and right joints their names."""
    order = torch.tensor(H36M.mirror, device=crops.scale.device)
    sign = crops.keypoints.new_tensor([-1.0, 1.0])
    flip = crops.rotation.new_tensor([-1.0, 1.0, 1.0]).diag()
    return CropBatch(
        crops.keypoints[..., order, :] * sign, crops.confidence[..., order], crops.scale, flip @ crops.rotation @ flip
    )


def augment(crops: CropBatch, params: TransformParams, generator: torch.Generator) -> CropBatch:
    """Flip, rotate and scale whole windows at random."""
    count, device = len(crops.scale), crops.scale.device

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator, device=device)

    if params.flip > 0:
        chosen = uniform() < params.flip
        crops = CropBatch(
            *(
                torch.where(chosen.view(-1, *[1] * (plain.ndim - 1)), mirrored, plain)
                for plain, mirrored in zip(crops, mirror(crops), strict=True)
            )
        )
    if params.rotation_deg > 0:
        angle = math.radians(params.rotation_deg) * (2 * uniform() - 1)
        roll = rotation_about("z", angle)[:, None]
        crops = crops._replace(keypoints=crops.keypoints @ roll[..., :2, :2].mT, rotation=roll @ crops.rotation)
    if params.scaling > 0:
        factor = 1 + params.scaling * (2 * uniform() - 1)
        crops = crops._replace(scale=crops.scale * factor[:, None])
    return crops


def corrupt(crops: CropBatch, params: TransformParams, generator: torch.Generator) -> CropBatch:
    """Add 2D noise and hide joints, as a detector does; the root, the crop's origin, is kept."""
    keypoints, confidence = crops.keypoints, crops.confidence
    others = torch.ones(len(H36M), device=keypoints.device)
    others[H36M.root] = 0
    if params.noise > 0:
        noise = torch.randn(keypoints.shape, generator=generator, device=keypoints.device)
        keypoints = keypoints + params.noise * noise * others[:, None]
    if params.outliers > 0:
        wild = torch.rand(confidence.shape, generator=generator, device=keypoints.device) < params.outliers * others
        jump = 2 * torch.rand(keypoints.shape, generator=generator, device=keypoints.device) - 1
        keypoints = keypoints + jump * wild[..., None]
    if params.mask > 0:
        hidden = torch.rand(confidence.shape, generator=generator, device=confidence.device) < params.mask * others
        confidence = confidence.masked_fill(hidden, 0.0)
    return crops._replace(keypoints=keypoints, confidence=confidence)
