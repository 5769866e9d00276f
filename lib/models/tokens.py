"""What a model is told about a joint: its points over a window, as the features of a token."""

import torch
from jaxtyping import Float
from torch import Tensor

MAGNIFIED = 4.0  # what changes within a window is small


def feature_count(frames: int, coords: int) -> int:
    """How many features `window_features` gives a joint."""
    return coords + 1 + (coords + 2) * frames


def window_features(
    points: Float[Tensor, "batch frame joint coord"],
    confidence: Float[Tensor, "batch frame joint"],
    scale: Float[Tensor, "batch frame"],
) -> Float[Tensor, "batch joint feature"]:
    """A joint's mean place over the window, the frames' deviations from it, confidence, and the crops' scales.

    Where confidence is 0, a point is hidden: its coordinates reach nothing.
    """
    weight = confidence[..., None]
    visible = points.masked_fill(weight <= 0, 0.0)
    mean = (weight * visible).sum(1) / weight.sum(1).clamp_min(1e-6)
    deviation = (visible - mean[:, None]).masked_fill(weight <= 0, 0.0)
    # The crop's scale says how strong perspective is; typical values lie near 0.1.
    perspective = scale.clamp_min(1e-6).log() + 2.3
    level = perspective.mean(1)
    change = (perspective - level[:, None])[..., None].expand_as(confidence)
    frames = torch.cat([MAGNIFIED * deviation, confidence[..., None], MAGNIFIED * change[..., None]], -1)
    window = torch.cat([mean, level[:, None, None].expand(-1, mean.shape[1], 1)], -1)
    return torch.cat([window, frames.transpose(1, 2).flatten(2)], -1)
