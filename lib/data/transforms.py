"""Augmentation of crops: batched, on the training device, with the randomness handed in.

A flip, a rotation about the optical axis and a change of scale are drawn once a window, so that its motion stays
whole; noise and hidden joints are drawn a frame and a joint. Flip and rotation are exact: they are what a mirrored
scene or a rolled camera would show.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from lib.data.store import Split
from lib.data.windows import WindowBatch
from lib.geometry import perspective_crop, rotation_about
from lib.params import Section
from lib.skeleton import H36M

JUMP = 0.5  # units of the crop: a quarter of a metre in a fiftieth of a second
Share = Annotated[float, Field(ge=0, le=1)]


class TransformParams(Section):
    """`data.transforms`."""

    normalization: Literal["rms", "max"]  # a crop's unit: the RMS or the largest distance of its joints from the root
    flip: Share  # probability
    rotation_deg: Annotated[float, Field(ge=0, le=180)]  # uniform within +- this
    scaling: Annotated[float, Field(ge=0, lt=1)]  # the crop's scale varies by a factor within 1 +- this
    noise: Literal["auto"] | Annotated[float, Field(ge=0)]  # standard deviation, in units of the crop's scale
    outliers: Literal["auto"] | Share  # probability that a joint is somewhere else, up to a unit away along each axis
    mask: Share  # probability that a joint is hidden; never the root


@dataclass(frozen=True)
class Corruption:
    """What a detector does to keypoints, and training to clean ones."""

    noise: float  # standard deviation, in units of the crop's scale
    outliers: float  # probability that a joint is somewhere else
    mask: float  # probability that a joint is hidden


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


def corrupt(crops: CropBatch, corruption: Corruption, generator: torch.Generator) -> CropBatch:
    """Add 2D noise, displace and hide joints, as a detector does.

    The root is noisy, too, but stays the crop's origin: its noise moves all the others. It is never hidden.
    """
    keypoints, confidence = crops.keypoints, crops.confidence
    device = keypoints.device
    others = torch.ones(len(H36M), device=device)
    others[H36M.root] = 0
    if corruption.noise > 0:
        noise = corruption.noise * torch.randn(keypoints.shape, generator=generator, device=device)
        keypoints = keypoints + noise - noise[..., H36M.root, None, :]
    if corruption.outliers > 0:
        wild = torch.rand(confidence.shape, generator=generator, device=device) < corruption.outliers * others
        jump = 2 * torch.rand(keypoints.shape, generator=generator, device=device) - 1
        keypoints = keypoints + jump * wild[..., None]
    if corruption.mask > 0:
        hidden = torch.rand(confidence.shape, generator=generator, device=device) < corruption.mask * others
        confidence = confidence.masked_fill(hidden, 0.0)
    return crops._replace(keypoints=keypoints, confidence=confidence)


def corruption_like(split: Split, params: TransformParams) -> Corruption:
    """The params' corruption, with `auto` estimated from a split's 2D, without labels.

    The median second difference over time of a still body is that of its noise, and bodies accelerate little in a
    frame. Detectors' errors are correlated over time, which hides about half of them: the estimate is doubled. A joint
    that jumps by half a unit within a frame is an outlier, which three second differences see.
    """
    keypoints = perspective_crop(split.rays, params.normalization).keypoints
    ends = torch.from_numpy(split.table["start"].to_numpy() + split.table["length"].to_numpy())
    inside = torch.ones(len(keypoints), dtype=torch.bool)
    inside[ends - 1] = inside[ends - 2] = False  # a difference that begins there crosses into the next sequence
    jerk = (keypoints[:-2] - 2 * keypoints[1:-1] + keypoints[2:])[inside[:-2]]
    others = jerk[:, [joint for joint in range(len(H36M)) if joint != H36M.root]]
    if len(others) == 0:  # no sequence has three frames
        others = torch.zeros(1, 1, 2)
    spread = 1.4826 * float(others.abs().median()) / math.sqrt(6)  # a second difference has 6 times the variance
    jumps = float((others.norm(dim=-1) > JUMP).float().mean())
    return Corruption(
        noise=2 * spread if params.noise == "auto" else params.noise,
        outliers=jumps / 3 if params.outliers == "auto" else params.outliers,
        mask=params.mask,
    )
