"""Augmentation of crops: batched, on the training device, with the randomness handed in.

A flip, a rotation about the optical axis and a change of scale are drawn once a window, so that its motion stays
whole; noise and hidden joints are drawn a frame and a joint. Flip and rotation are exact: they are what a mirrored
scene or a rolled camera would show.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from lib import noise
from lib.data.store import Split
from lib.data.windows import WindowBatch
from lib.geometry import crop_scale, perspective_crop, rotation_about
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
    noise: Literal["auto"] | Annotated[float, Field(ge=0)]  # standard deviation of rays: pixels over the focal length
    noise_seconds: Annotated[float, Field(ge=0, le=10)]  # after which a joint's noise has forgotten itself to 1/e
    outliers: Literal["auto"] | Share  # probability that a joint is somewhere else, up to a unit away along each axis
    mask: Share  # probability that a joint is hidden; never the root


@dataclass(frozen=True)
class Corruption:
    """What a detector does to keypoints, and training to clean ones."""

    noise: tuple[float, ...]  # standard deviation of each joint's rays: pixels over the focal length
    correlation: float  # of a joint's noise with that of the window's next frame
    outliers: float  # probability that a joint is somewhere else
    mask: float  # probability that a joint is hidden


class CropBatch(NamedTuple):
    """Normalised windows, as the model reads them."""

    keypoints: Float[Tensor, "batch *frame joint 2"]  # root-centred rays divided by `scale`
    confidence: Float[Tensor, "batch *frame joint"]  # 0: hidden
    scale: Float[Tensor, " batch *frame"]
    rotation: Float[Tensor, "batch *frame 3 3"]  # camera frame -> crop frame

    @property
    def shown(self) -> Bool[Tensor, " batch *frame"]:
        """The frames that show somebody; of the others, points and scale are stand-ins."""
        return (self.confidence > 0).any(-1)

    def middle(self) -> "CropBatch":
        """The middle frames of windows, without the frame axis."""
        return CropBatch(*(part[:, part.shape[1] // 2] for part in self))


def normalize(batch: WindowBatch, normalization: str) -> CropBatch:
    """Perspective crops of every frame, centred on the root and scaled."""
    crop = perspective_crop(batch.rays, normalization, batch.confidence > 0)
    return CropBatch(crop.keypoints, batch.confidence, crop.scale, crop.rotation)


def mirror(crops: CropBatch) -> CropBatch:
    """The crops of the mirrored scene: x changes its sign, left and right joints their names."""
    order = torch.tensor(H36M.mirror, device=crops.scale.device)
    sign = crops.keypoints.new_tensor([-1.0, 1.0])
    flip = crops.rotation.new_tensor([-1.0, 1.0, 1.0]).diag()
    return CropBatch(
        crops.keypoints[..., order, :] * sign, crops.confidence[..., order], crops.scale, flip @ crops.rotation @ flip
    )


def flipped(crops: CropBatch, chosen: Bool[Tensor, " batch"]) -> CropBatch:
    """The same windows, the chosen ones mirrored."""
    pairs = zip(mirror(crops), crops, strict=True)
    return CropBatch(
        *(torch.where(chosen.view(-1, *[1] * (plain.ndim - 1)), mirrored, plain) for mirrored, plain in pairs)
    )


def augment(crops: CropBatch, params: TransformParams, generator: torch.Generator) -> CropBatch:
    """Flip, rotate and scale whole windows at random."""
    count, device = len(crops.scale), crops.scale.device

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator, device=device)

    if params.flip > 0:
        crops = flipped(crops, uniform() < params.flip)
    if params.rotation_deg > 0:
        angle = math.radians(params.rotation_deg) * (2 * uniform() - 1)
        roll = rotation_about("z", angle)[:, None]
        crops = crops._replace(keypoints=crops.keypoints @ roll[..., :2, :2].mT, rotation=roll @ crops.rotation)
    if params.scaling > 0:
        factor = 1 + params.scaling * (2 * uniform() - 1)
        crops = crops._replace(scale=crops.scale * factor[:, None])
    return crops


def corrupt(crops: CropBatch, corruption: Corruption, normalization: str, generator: torch.Generator) -> CropBatch:
    """Add 2D noise, displace and hide joints, as a detector does; the result is centred and scaled by what is seen.

    Where the root is off, all the others are, since it stays the crop's origin; it is never hidden.
    """
    if not (any(corruption.noise) or corruption.outliers > 0 or corruption.mask > 0):
        return crops
    keypoints, confidence, scale = crops.keypoints, crops.confidence, crops.scale
    device, frames = keypoints.device, keypoints.shape[1]
    if corruption.mask > 0:
        others = torch.ones(len(H36M), device=device)
        others[H36M.root] = 0
        hidden = torch.rand(confidence.shape, generator=generator, device=device) < corruption.mask * others
        confidence = confidence.masked_fill(hidden, 0.0)
    if any(corruption.noise) or corruption.outliers > 0:
        off = torch.randn(keypoints.shape, generator=generator, device=device)
        if frames > 1 and corruption.correlation > 0:
            mixing = noise.autoregression(frames, corruption.correlation).to(off)
            off = torch.einsum("st,btjc->bsjc", mixing, off)
        off = off * off.new_tensor(corruption.noise)[:, None] / scale[..., None, None]
        if corruption.outliers > 0:
            wild = torch.rand(confidence.shape, generator=generator, device=device) < corruption.outliers
            off = off + (2 * torch.rand(keypoints.shape, generator=generator, device=device) - 1) * wild[..., None]
        keypoints = keypoints + off - off[..., H36M.root, None, :]
    change = crop_scale(keypoints, normalization, confidence > 0)
    return CropBatch(keypoints / change[..., None, None], confidence, scale * change, crops.rotation)


def corruption_like(split: Split, params: TransformParams, dilation: int) -> Corruption:
    """The params' corruption of windows, with `auto` estimated from a split's 2D, without labels.

    A joint that jumps by half a unit within a frame is an outlier, which three second differences see.
    """
    spread, outliers, fps = params.noise, params.outliers, float(split.table["fps"].median())
    return Corruption(
        noise=tuple(keypoint_noise(split, params.noise_seconds).tolist())
        if spread == "auto"
        else (spread,) * len(H36M),
        correlation=noise.correlation(params.noise_seconds, fps / dilation),
        outliers=_jumps(split, params.normalization) / 3 if outliers == "auto" else outliers,
        mask=params.mask,
    )


def keypoint_noise(split: Split, seconds: float) -> Float[Tensor, " joint"]:
    """The standard deviation of each joint's rays, as `lib.noise.spread` finds it: pixels over the focal length."""
    lengths, fps = split.table["length"].tolist(), float(split.table["fps"].median())
    return noise.spread(_seen_rays(split), lengths, seconds, fps).square().mean(-1).sqrt()


def _jumps(split: Split, normalization: str) -> float:
    """The share of second differences that are too large to be motion."""
    lengths = split.table["length"].tolist()
    scale = perspective_crop(split.rays, normalization, split.confidence > 0).scale
    scale = torch.cat([part[1:-1] for part in scale.split(lengths)])
    change = (noise.second_differences(_seen_rays(split), lengths) / scale[:, None, None]).norm(dim=-1)
    known = change[change.isfinite()]
    return float((known > JUMP).float().mean()) if len(known) else 0.0


def _seen_rays(split: Split) -> Float[Tensor, "frame joint 2"]:
    """A split's rays, not a number where a joint is hidden."""
    return torch.where((split.confidence > 0)[..., None], split.rays, torch.nan)
