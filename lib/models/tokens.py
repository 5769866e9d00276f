"""From the points of a window to the tokens of a body: one a joint, whatever the layout of the points.

A point is told as the landmark that it is read as (`lib.pose.landmarks`), and in which layout. Landmarks are more than
joints, and most are not seen at a time; each joint's token is made of all of them, so that what follows costs no more
than a skeleton of joints does.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.pose.landmarks import JOINTS, LANDMARKS
from lib.pose.layout import Layout

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


LAYOUT_EMBEDDING = "layout_embedding"  # the parameter with a row a layout that a model knows


class BodyTokens(nn.Module):
    """Windows of keypoints -> a token for each joint of Human3.6M's skeleton."""

    def __init__(self, width: int, frames: int, coords: int, layouts: Sequence[Layout]) -> None:
        super().__init__()
        self.layouts = tuple(layouts)
        self.embed = nn.Linear(feature_count(frames, coords), width)
        self.landmark_embedding = nn.Parameter(0.02 * torch.randn(len(LANDMARKS), width))
        self.layout_embedding = nn.Parameter(torch.zeros(len(layouts), len(LANDMARKS), width))
        self.mix = nn.Parameter(torch.empty(len(LANDMARKS), width, JOINTS * width))
        self.mix_bias = nn.Parameter(torch.zeros(JOINTS * width))
        bound = 1 / math.sqrt(JOINTS * width)
        nn.init.uniform_(self.mix, -bound, bound)

    def forward(
        self,
        points: Float[Tensor, "batch frame keypoint coord"],
        confidence: Float[Tensor, "batch frame keypoint"],
        scale: Float[Tensor, "batch frame"],
        layout: Layout,
    ) -> Float[Tensor, "batch joint width"]:
        """The joint's own keypoint, if there is one, plus what all of them say about it."""
        rows = _rows(layout.slots)
        embedding = self.landmark_embedding[rows] + self.layout_embedding[self.layouts.index(layout), rows]
        tokens = self.embed(window_features(points, confidence, scale)) + embedding
        mixed = torch.addmm(self.mix_bias, tokens.flatten(1), self.mix[rows].flatten(0, 1)).unflatten(1, (JOINTS, -1))
        joints: Tensor = layout.of_joints(tokens) + mixed
        return joints


def _rows(slots: tuple[int, ...]) -> slice | list[int]:
    """Slots as an index: where they follow each other a slice, which copies nothing."""
    following = range(slots[0], slots[0] + len(slots))
    return slice(following.start, following.stop) if slots == tuple(following) else list(slots)
