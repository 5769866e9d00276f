"""Augmentation of crops: batched, on the training device, with the randomness handed in.

A flip and a rotation about the optical axis are drawn once a window, so that its motion stays whole; noise and hidden
joints are drawn a frame and a joint. Flip and rotation are exact: they are what a mirrored scene or a rolled camera
would show.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from lib.data.store import Split
from lib.data.windows import WindowBatch, WindowParams
from lib.pose.crops import Crops, Normalization, crop_scale, flip_some, perspective_crops
from lib.pose.geometry import rotation_about
from lib.pose.skeleton import Skeleton
from lib.runtime.params import Section
from lib.sequences import noise

JUMP = 0.5  # units of the crop, about a quarter of a metre: no body moves so far between two frames
Share = Annotated[float, Field(ge=0, le=1)]


class TransformParams(Section):
    """`data.transforms`."""

    normalization: Normalization  # a crop's unit: the RMS or the largest distance of its joints from the root
    flip_probability: Share  # of mirrored windows
    rotation_deg: Annotated[float, Field(ge=0, le=180)]  # uniform within +- this
    noise_std: Literal["auto"] | Share  # standard deviation of rays: pixels over the focal length
    noise_correlation_seconds: Annotated[
        float, Field(ge=0, le=10)
    ]  # after which a joint's noise has forgotten itself to 1/e
    outlier_probability: (
        Literal["auto"] | Share
    )  # probability that a joint is somewhere else, up to a unit away along each axis
    hidden_probability: Annotated[float, Field(ge=0, lt=1)]  # probability that a joint is hidden; never the root


@dataclass(frozen=True)
class Corruption:
    """What a detector does to keypoints, and training to clean ones."""

    noise_std: tuple[float, ...]  # standard deviation of each joint's rays: pixels over the focal length
    correlation: float  # of a joint's noise with that of the window's next frame
    outliers: float  # probability that a joint is somewhere else
    hidden: float  # probability that a joint is hidden


@dataclass(frozen=True)
class InputPipeline:
    """How clips of a data set become what a model reads while it trains."""

    skeleton: Skeleton
    window: WindowParams
    transforms: TransformParams
    corruption: Corruption

    def crops(self, batch: WindowBatch) -> Crops:
        """Perspective crops of every frame."""
        return perspective_crops(batch.rays, batch.confidence, self.skeleton, self.transforms.normalization)

    def augmented(self, crops: Crops, generator: torch.Generator) -> Crops:
        """Windows flipped and rotated at random."""
        return augment(crops, self.transforms, self.skeleton, generator)

    def corrupted(self, crops: Crops, generator: torch.Generator) -> Crops:
        """Windows as a detector would see them."""
        return corrupt(crops, self.corruption, self.transforms.normalization, self.skeleton, generator)


def input_pipeline(split: Split, params: TransformParams, window: WindowParams) -> InputPipeline:
    """The pipeline for windows of a split, whose 2D says what `auto` is."""
    return InputPipeline(split.skeleton, window, params, corruption_like(split, params, window))


def augment(crops: Crops, params: TransformParams, skeleton: Skeleton, generator: torch.Generator) -> Crops:
    """Flip and rotate whole windows at random."""
    count, device = len(crops.scale), crops.scale.device

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator, device=device)

    if params.flip_probability > 0:
        crops = flip_some(crops, uniform() < params.flip_probability, skeleton)
    if params.rotation_deg > 0:
        angle = math.radians(params.rotation_deg) * (2 * uniform() - 1)
        roll = rotation_about("z", angle)[:, None]
        crops = crops._replace(keypoints=crops.keypoints @ roll[..., :2, :2].mT, rotation=roll @ crops.rotation)
    return crops


def corrupt(
    crops: Crops, corruption: Corruption, normalization: Normalization, skeleton: Skeleton, generator: torch.Generator
) -> Crops:
    """Add 2D noise, displace and hide joints, as a detector does; the result is centred and scaled by what is seen.

    Where the root is off, all the others are, since it stays the crop's origin; it is never hidden.
    """
    if not (any(corruption.noise_std) or corruption.outliers > 0 or corruption.hidden > 0):
        return crops
    keypoints, confidence, scale = crops.keypoints, crops.confidence, crops.scale
    device, frames = keypoints.device, keypoints.shape[1]
    if corruption.hidden > 0:
        others = torch.ones(len(skeleton), device=device)
        others[skeleton.root] = 0
        hidden = torch.rand(confidence.shape, generator=generator, device=device) < corruption.hidden * others
        confidence = confidence.masked_fill(hidden, 0.0)
    if any(corruption.noise_std) or corruption.outliers > 0:
        off = torch.randn(keypoints.shape, generator=generator, device=device)
        if frames > 1 and corruption.correlation > 0:
            mixing = noise.autoregression(frames, corruption.correlation).to(off)
            off = torch.einsum("st,btjc->bsjc", mixing, off)
        off = off * off.new_tensor(corruption.noise_std)[:, None] / scale[..., None, None]
        if corruption.outliers > 0:
            displaced = torch.rand(confidence.shape, generator=generator, device=device) < corruption.outliers
            off = off + (2 * torch.rand(keypoints.shape, generator=generator, device=device) - 1) * displaced[..., None]
        keypoints = keypoints + off - off[..., skeleton.root, None, :]
    change = crop_scale(keypoints, normalization, confidence > 0)
    return Crops(keypoints / change[..., None, None], confidence, scale * change, crops.rotation)


def corruption_like(split: Split, params: TransformParams, window: WindowParams) -> Corruption:
    """The params' corruption of windows, with `auto` estimated from a split's 2D, without labels.

    A joint that jumps by half a unit within a frame is an outlier, which three second differences see.
    """
    std, outliers = params.noise_std, params.outlier_probability
    return Corruption(
        noise_std=tuple(keypoint_noise(split, params.noise_correlation_seconds).tolist())
        if std == "auto"
        else (std,) * len(split.skeleton),
        correlation=noise.correlation(params.noise_correlation_seconds, window.interval_seconds),
        outliers=_jumps(split, params.normalization) / 3 if outliers == "auto" else outliers,
        hidden=params.hidden_probability,
    )


def keypoint_noise(split: Split, seconds: float) -> Float[Tensor, " joint"]:
    """The standard deviation of each joint's rays, by `noise.noise_std`: pixels over the focal length."""
    return noise.noise_std(_seen_rays(split), split.timing, seconds).square().mean(-1).sqrt()


def _jumps(split: Split, normalization: Normalization) -> float:
    """The share of second differences that are too large to be motion."""
    scale = perspective_crops(split.rays, split.confidence, split.skeleton, normalization).scale
    scale = torch.cat([part[1:-1] for part in split.timing.split(scale)])
    change = torch.cat(noise.second_differences(_seen_rays(split), split.timing))
    change = (change / scale[:, None, None]).norm(dim=-1)
    known = change[change.isfinite()]
    return float((known > JUMP).float().mean()) if len(known) else 0.0


def _seen_rays(split: Split) -> Float[Tensor, "frame joint 2"]:
    """A split's rays, not a number where a joint is hidden."""
    return torch.where((split.confidence > 0)[..., None], split.rays, torch.nan)
