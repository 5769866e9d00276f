"""What training does to windows of keypoints: batched, on the training device, with the randomness handed in.

A flip and a rotation about the optical axis are drawn once a window, so that its motion stays whole; both are exact:
they are what a mirrored scene or a rolled camera would show. What a detector does is drawn as detectors do it: noise
that lasts and differs from joint to joint, wild errors, and keypoints that are not seen (`lib.data.occlusion`).

A model is told of each keypoint how well it is known: `Rays.std`, the standard deviation of its ray.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from lib.data.confidence import keypoint_noise
from lib.data.occlusion import OcclusionParams, occluded
from lib.data.split import Split
from lib.data.windows import WindowBatch, WindowParams
from lib.pose.crops import Crops, Normalization, Rays, extent, mirror, perspective_crops
from lib.pose.geometry import rotation_about
from lib.pose.layout import Layout
from lib.runtime.params import Section
from lib.sequences import noise

JUMP = 0.5  # of a body's extent, about a quarter of a metre: no body moves so far between two frames
# Detectors' noise, as training draws it: logarithm of a keypoint's standard deviation, in units of the body's extent.
_LOG_STD = (math.log(0.02), 0.7)  # mean and standard deviation over windows
_JOINT_STD, _FRAME_STD, _TOLD_STD = 0.6, 0.2, 0.2  # and of that over joints, over frames, and of what is told of it
Share = Annotated[float, Field(ge=0, le=1)]


class TransformParams(Section):
    """`data.transforms`."""

    normalization: Normalization  # a crop's unit: the RMS or the largest distance of its joints from its middle
    flip_probability: Share  # of mirrored windows
    rotation_deg: Annotated[float, Field(ge=0, le=180)]  # uniform within +- this
    noise_std: Literal["auto"] | Share  # standard deviation of rays: pixels over the focal length
    noise_correlation_seconds: Annotated[
        float, Field(ge=0, le=10)
    ]  # after which a joint's noise has forgotten itself to 1/e
    clean_probability: Share  # of windows without what the next one and `data.occlusion` draw
    any_noise_probability: Share  # of windows with noise as any detector's
    outlier_probability: (
        Literal["auto"] | Share
    )  # probability that a joint is somewhere else, up to a unit away along each axis
    hidden_probability: Annotated[float, Field(ge=0, lt=1)]  # probability that a joint is hidden


@dataclass(frozen=True)
class Corruption:
    """What a detector does to keypoints, and training to clean ones."""

    layout: Layout
    noise_std: tuple[float, ...]  # standard deviation of each keypoint's rays: pixels over the focal length
    correlation: float  # of a joint's noise with that of the window's next frame
    clean: float  # share of windows with the data's own noise and nothing that is hidden together
    any_noise: float  # share of windows with noise as any detector's
    outliers: float  # probability that a joint is somewhere else
    hidden: float  # probability that a joint is hidden
    occlusion: OcclusionParams

    def noise_of(self, layout: Layout) -> tuple[float, ...]:
        """The noise of another layout's keypoints."""
        return noise_in(layout, self.layout, self.noise_std)


def noise_in(layout: Layout, own: Layout, noise_std: Sequence[float]) -> tuple[float, ...]:
    """The noise of a layout's keypoints, by that of another's: each landmark's, where both have it, else the mean."""
    known = dict(zip(own.landmarks, noise_std, strict=True))
    return tuple(known.get(name, fmean(noise_std)) for name in layout.landmarks)


@dataclass(frozen=True)
class InputPipeline:
    """How clips of a data set become what a model reads while it trains."""

    layout: Layout
    window: WindowParams
    transforms: TransformParams
    corruption: Corruption

    def rays(self, batch: WindowBatch) -> Rays:
        """Every window."""
        return seen_rays(batch, self.layout)

    def crops(self, rays: Rays) -> Crops:
        """Perspective crops of windows."""
        return perspective_crops(rays, self.transforms.normalization)

    def augmented(self, rays: Rays, generator: torch.Generator) -> tuple[Rays, Tensor]:
        """Windows flipped and rotated at random, and what that does to points of the camera frame (3 x 3)."""
        return augment(rays, self.transforms, generator)

    def corrupted(
        self, rays: Rays, generator: torch.Generator, joints: Tensor | None = None, unit: Tensor | None = None
    ) -> Rays:
        """Windows as a detector would see them; `joints` and `unit` as for `corrupt`."""
        return corrupt(rays, self.corruption, generator, joints, unit)


def seen_rays(batch: WindowBatch, layout: Layout) -> Rays:
    """Windows of a layout's keypoints."""
    return Rays(batch.rays, torch.where(batch.confidence > 0, batch.std, torch.inf), layout)


def input_pipeline(
    split: Split, params: TransformParams, occlusion: OcclusionParams, window: WindowParams
) -> InputPipeline:
    """The pipeline for windows of a split, whose 2D says what `auto` is."""
    corruption = corruption_like(split, params, occlusion, window)
    return InputPipeline(split.layout, window, params, corruption)


def augment(rays: Rays, params: TransformParams, generator: torch.Generator) -> tuple[Rays, Float[Tensor, "batch 3 3"]]:
    """Flip and rotate whole windows at random; the same for points of the camera frame, besides swapping the sides."""
    count, device = len(rays.rays), rays.rays.device

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator, device=device)

    change = torch.eye(3, device=device).expand(count, 3, 3)
    if params.flip_probability > 0:
        chosen = uniform() < params.flip_probability
        rays = flip_some(rays, chosen)
        change = torch.where(chosen[:, None, None], change.new_tensor([-1.0, 1.0, 1.0]).diag(), change)
    if params.rotation_deg > 0:
        roll = rotation_about("z", math.radians(params.rotation_deg) * (2 * uniform() - 1))
        rays = rays._replace(rays=rays.rays @ roll[:, None, :2, :2].mT)
        change = roll @ change
    return rays, change


def flip_some(rays: Rays, chosen: Tensor) -> Rays:
    """The same windows, the chosen ones mirrored."""
    flipped = mirror(rays)
    return Rays(
        torch.where(chosen[:, None, None, None], flipped.rays, rays.rays),
        torch.where(chosen[:, None, None], flipped.std, rays.std),
        rays.layout,
    )


def corrupt(
    rays: Rays,
    corruption: Corruption,
    generator: torch.Generator,
    joints: Float[Tensor, "batch frame joint 3"] | None = None,
    unit: Float[Tensor, "batch frame"] | None = None,
) -> Rays:
    """Add 2D noise, displace and hide keypoints, as a detector does.

    `joints` are as for `occluded`; `unit` is the extent of the whole bodies in rays, if it is known.
    """
    place, std, layout = rays
    device, frames, marked = place.device, place.shape[1], std.isfinite()
    clean = torch.rand(len(place), generator=generator, device=device) < corruption.clean
    if corruption.hidden > 0 or any(corruption.occlusion.model_dump().values()):
        hidden = occluded(rays, joints, corruption.occlusion, generator) & ~clean[:, None, None]
        hidden = hidden | (torch.rand(std.shape, generator=generator, device=device) < corruption.hidden)
        std = std.masked_fill(hidden & (marked & ~hidden).any(-1, keepdim=True), torch.inf)
    unit = (extent(rays) if unit is None else unit)[..., None]
    level, told = _noise_levels(std, unit, layout, corruption, clean, generator)
    if level is not None:
        off = torch.randn(place.shape, generator=generator, device=device)
        if frames > 1 and corruption.correlation > 0:
            mixing = noise.autoregression(frames, corruption.correlation).to(off)
            off = torch.einsum("st,btjc->bsjc", mixing, off)
        place = place + off * level[..., None]
    if corruption.outliers > 0:
        displaced = torch.rand(std.shape, generator=generator, device=device) < corruption.outliers
        far = 2 * torch.rand(place.shape, generator=generator, device=device) - 1
        place = place + far * (displaced * unit)[..., None]
    return Rays(place, told, layout)


def _noise_levels(
    std: Tensor, unit: Tensor, layout: Layout, corruption: Corruption, clean: Tensor, generator: torch.Generator
) -> tuple[Float[Tensor, "batch frame keypoint"] | None, Float[Tensor, "batch frame keypoint"]]:
    """The standard deviations of noise to add, and what is told of each keypoint: about both that and its own."""
    own = std.new_tensor(corruption.noise_of(layout))
    if corruption.any_noise == 0:
        return (own.expand_as(std) if own.any() else None), (std.square() + own.square()).sqrt()
    count, frames, keypoints = std.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=std.device)

    mean, over_windows = _LOG_STD
    log_std = mean + over_windows * normal(count, 1, 1) + _JOINT_STD * normal(count, 1, keypoints)
    drawn = (log_std + _FRAME_STD * normal(count, frames, keypoints)).exp() * unit
    chosen = torch.rand(count, 1, 1, generator=generator, device=std.device) < corruption.any_noise
    chosen = chosen & ~clean[:, None, None]
    level = torch.where(chosen, drawn, own)
    told = level * (_TOLD_STD * normal(count, 1, keypoints)).exp()
    return level, (std.square() + told.square()).sqrt()


def corruption_like(
    split: Split, params: TransformParams, occlusion: OcclusionParams, window: WindowParams
) -> Corruption:
    """The params' corruption of windows, with `auto` estimated from a split's 2D, without labels.

    A joint that jumps by half a body within a frame is an outlier, which three second differences see.
    """
    split = split.sampled()
    std, outliers = params.noise_std, params.outlier_probability
    if std == "auto":
        own = keypoint_noise(split.rays, split.confidence, split.timing, params.noise_correlation_seconds)
    else:
        own = torch.full((len(split.layout),), std)
    return Corruption(
        layout=split.layout,
        noise_std=tuple(own.tolist()),
        correlation=noise.correlation(params.noise_correlation_seconds, window.interval_seconds),
        clean=params.clean_probability,
        any_noise=params.any_noise_probability,
        outliers=_jumps(split) / 3 if outliers == "auto" else outliers,
        hidden=params.hidden_probability,
        occlusion=occlusion,
    )


def _jumps(split: Split) -> float:
    """The share of second differences that are too large to be motion."""
    seen = _seen_rays(split)
    centred = seen - seen.nanmean(1, keepdim=True)
    scale = torch.cat([part[1:-1] for part in split.timing.split(centred.square().sum(-1).nanmean(1).sqrt())])
    change = torch.cat(noise.second_differences(seen, split.timing))
    change = (change / scale[:, None, None]).norm(dim=-1)
    known = change[change.isfinite()]
    return float((known > JUMP).float().mean()) if len(known) else 0.0


def _seen_rays(split: Split) -> Float[Tensor, "frame joint 2"]:
    """A split's rays, not a number where a joint is hidden."""
    return torch.where((split.confidence > 0)[..., None], split.rays, torch.nan)
