"""Bodies before virtual cameras, and how well a model lifts what these see."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.windows import WindowParams
from lib.models.lifters import Lifted, corrected
from lib.objectives import losses
from lib.pose.crops import Frames, Rays, unproject_crop
from lib.pose.geometry import project, rotate
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout
from lib.prior.sampler import PosePrior, PriorSample

DRAWS = 8  # steps that one draw of the prior serves
MARKED = 0.5  # weight of a keypoint as the layout marks it, where a joint's is 1


class Views(NamedTuple):
    """Poses before virtual cameras, and what is seen of their keypoints."""

    sample: PriorSample
    rays: Rays  # without noise
    weight: Float[Tensor, "batch point"] | None = None  # of the points of the middle frame in losses; None: 1


class Judged(NamedTuple):
    """How well a model lifts views."""

    distance: Float[Tensor, ""]  # metres: mean distance of joints and, weighed by MARKED, of keypoints
    vertical: Float[Tensor, ""]  # between the directions up
    likelihood: Float[Tensor, ""]  # negative and logarithmic, of the errors under the stated ones
    pose: Float[Tensor, "batch point 3"]  # metres, in the crop frame
    up: Float[Tensor, "batch 3"]  # true, in the crop frame


def view_rays(sample: PriorSample, layout: Layout) -> Rays:
    """What the cameras see of poses, without noise, and with nothing hidden."""
    from_root = sample.points.new_tensor([0.0, 0.0, 1.0]) * sample.root_depth[..., None, None]
    rays = project(sample.keypoints + from_root)
    return Rays(rays, torch.zeros_like(rays[..., 0]), layout)


def drawn_views(
    prior: PosePrior, window: WindowParams, layout: Layout, windows: int, generator: torch.Generator
) -> Iterator[Views]:
    """Views of drawn motion without end, `windows` at a time; drawn in blocks, since small draws cost as much."""
    while True:
        block = prior.sample_motion(DRAWS * windows, window.frames, window.interval_seconds, generator, layout)
        for at in range(0, DRAWS * windows, windows):
            sample = PriorSample(*(part[at : at + windows] for part in block))
            yield Views(sample, view_rays(sample, layout))


def judge(views: Views, lifted: Lifted, now: Frames) -> Judged:
    """Compare what a model makes of views with what they are of."""
    sample, middle = views.sample, views.rays.std.shape[1] // 2
    distance = sample.root_depth[:, middle, None]
    pose = unproject_crop(corrected(now, lifted, views.rays.layout), now.scale, lifted.depth) * distance[..., None]
    up = (now.rotation @ sample.up[:, middle, :, None])[..., 0]
    error: Tensor = torch.linalg.vector_norm(pose - rotate(now.rotation, sample.points[:, middle]), dim=-1)
    weighed = error if views.weight is None else views.weight * error
    return Judged(
        distance=(weighed[:, :JOINTS].mean() + MARKED * weighed[:, JOINTS:].mean()) / (1 + MARKED),
        vertical=torch.linalg.vector_norm(lifted.up - up, dim=-1).mean(),
        likelihood=losses.error_likelihood(lifted.error, error / (now.scale[:, None] * distance)),
        pose=pose,
        up=up,
    )
