"""What detectors' confidences are worth: from a confidence to the standard deviation of a keypoint's ray.

Detectors' numbers from 0 to 1 (or above) mean something else for each of them. Noise shows in the 2D itself: in second
differences over time (`lib.sequences.noise`). Where these grow as confidence falls, it is taken at its word, for what
is hidden is also wrong in ways that no difference over time shows; where they do not, it says nothing.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.sequences.noise import Timing, noise_std, second_differences

LEAST_RANGE = 0.02  # of confidences: what varies less says nothing
LEAST_IN_BIN = 50  # second differences
CORRELATION_SECONDS = 0.08  # for how long noise lasts
DOUBTED = 0.05  # of a body's extent: the standard deviation of a keypoint with a confidence of a half, if it says so


class RayNoise(NamedTuple):
    """What tells the standard deviation of a split's rays, one frame by itself: pixels over the focal length."""

    base: Float[Tensor, " joint"]  # of each joint's noise over time
    meaning: float  # of confidences: 0 says nothing, 1 is taken at its word
    top: Float[Tensor, ""] | None = None  # what a confidence is measured by; None where it says nothing

    def std(
        self, rays: Float[Tensor, "*batch joint 2"], confidence: Float[Tensor, "*batch joint"]
    ) -> Float[Tensor, "*batch joint"]:
        """Every joint's noise over time, and more where a confidence that means something is low."""
        base = self.base.expand_as(confidence)
        if self.top is None:
            return base
        seen = confidence > 0
        relative = (confidence / self.top).clamp(1e-3, 1)
        count = seen.sum(-1).clamp_min(1)[..., None]
        mean = torch.where(seen[..., None], rays, 0.0).sum(-2, keepdim=True) / count[..., None]
        squares = torch.where(seen, (rays - mean).square().sum(-1), 0.0).sum(-1, keepdim=True)
        extent = (squares / count).sqrt()
        doubt = self.meaning * DOUBTED * extent * (1 / relative - 1).clamp_max(10)
        std: Tensor = (base.square() + doubt.square()).sqrt()
        return std


def ray_noise(
    rays: Float[Tensor, "frame joint 2"], confidence: Float[Tensor, "frame joint"], timing: Timing
) -> RayNoise:
    """What the noise of sequences is like, as far as the 2D tells."""
    known = confidence[confidence > 0]
    base = keypoint_noise(rays, confidence, timing)
    if len(known) == 0 or float(known.max() - known.min()) < LEAST_RANGE:
        return RayNoise(base, 0.0)
    meaning = _meaning(rays, confidence, timing)
    if meaning == 0:
        return RayNoise(base, 0.0)
    return RayNoise(base, meaning, torch.quantile(known[:: max(1, len(known) // 100_000)], 0.95))


def ray_std(
    rays: Float[Tensor, "frame joint 2"], confidence: Float[Tensor, "frame joint"], timing: Timing
) -> Float[Tensor, "frame joint"]:
    """The standard deviation of each ray: pixels over the focal length."""
    return ray_noise(rays, confidence, timing).std(rays, confidence)


def keypoint_noise(
    rays: Float[Tensor, "frame joint 2"],
    confidence: Float[Tensor, "frame joint"],
    timing: Timing,
    seconds: float = CORRELATION_SECONDS,
) -> Float[Tensor, " joint"]:
    """The standard deviation of each joint's rays, by `noise_std`: pixels over the focal length."""
    seen = torch.where((confidence > 0)[..., None], rays, torch.nan)
    return noise_std(seen, timing, seconds).square().mean(-1).sqrt()


def _meaning(rays: Tensor, confidence: Tensor, timing: Timing) -> float:
    """From 0, noise is the same whatever the confidence, to 1: it doubles, or more, from the highest to the lowest."""
    change = torch.cat(second_differences(torch.where((confidence > 0)[..., None], rays, torch.nan), timing)).norm(
        dim=-1
    )
    triple = [part.unfold(0, 3, 1).amin(-1) for part in timing.split(confidence) if len(part) > 2]
    if not triple:
        return 1.0
    least, known = torch.cat(triple), change.isfinite()
    noise = []
    for joint in range(confidence.shape[1]):
        size, level = change[known[:, joint], joint], least[known[:, joint], joint]
        if len(size) < 2 * LEAST_IN_BIN:
            continue
        order = level.argsort()
        third = max(LEAST_IN_BIN, len(size) // 3)
        low, high = size[order[:third]], size[order[-third:]]
        if float(level[order[:third]].mean()) < 0.95 * float(level[order[-third:]].mean()):
            noise.append((low.median() + 1e-9) / (high.median() + 1e-9))
    if not noise:
        return 1.0
    ratio = float(torch.stack(noise).median())
    return min(max((ratio - 1.1) / 0.4, 0.0), 1.0)
