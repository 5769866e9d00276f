"""Pictures of what the anatomical prior draws: people should look like people."""

from collections.abc import Mapping
from typing import TypeVar

import matplotlib
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from lib.plotting.figures import STYLE, new_figure
from lib.plotting.skeletons import SkeletonStyle
from lib.prior.motions import MOTIONS
from lib.prior.postures import POSTURES
from lib.prior.sampler import PosePrior, PriorParams
from lib.runtime.params import Section

SectionT = TypeVar("SectionT", bound=Section)
PANEL = 1.05, 1.5  # inches
ACROSS = 10  # people, or moments, in a row
SECONDS = 1.8  # of motion in a row
REACH = 1.0  # metres from the root to the edge of a panel


def prior_figures(params: PriorParams, style: SkeletonStyle) -> dict[str, Figure]:
    """The pictures, by name; always of the same draws."""
    return {"prior_poses": prior_poses(params, style), "prior_motion": prior_motion(params, style)}


def prior_poses(params: PriorParams, style: SkeletonStyle) -> Figure:
    """A row of people for each posture, as their cameras see them."""
    generator = torch.Generator().manual_seed(0)
    rows = {}
    for name in POSTURES:
        prior = PosePrior(params.model_copy(update={"postures": _only(params.postures, name)}))
        rows[name] = prior.sample(ACROSS, generator).joints
    return rows_of_poses(rows, style, "People that the prior draws, by posture")


def prior_motion(params: PriorParams, style: SkeletonStyle) -> Figure:
    """A row of moments for each kind of motion, one person and one camera a row."""
    generator = torch.Generator().manual_seed(0)
    rows = {}
    for name in MOTIONS:
        changes = {"motions": _only(params.motions, name), "tumbling_probability": 0.0}
        prior = PosePrior(params.model_copy(update=changes))
        rows[name] = prior.sample_motion(1, ACROSS, SECONDS / (ACROSS - 1), generator).joints[0]
    return rows_of_poses(rows, style, f"Motion that the prior draws: {SECONDS} seconds from left to right")


def _only(weights: SectionT, name: str) -> SectionT:
    """The same kind of weights, with everything but `name` at 0."""
    return weights.model_copy(update={field: float(field == name) for field in type(weights).model_fields})


@matplotlib.rc_context(STYLE)
def rows_of_poses(rows: Mapping[str, Float[Tensor, "person joint 3"]], style: SkeletonStyle, title: str) -> Figure:
    """A row of at most `ACROSS` poses (metres, camera frame, relative to the root) for each name."""
    width, height = PANEL
    figure = new_figure(width * ACROSS + 0.8, height * len(rows) + 0.5)
    panels = figure.subplots(len(rows), ACROSS, squeeze=False)
    for line, (name, poses) in zip(panels, rows.items(), strict=True):
        for axes, pose in zip(line, poses, strict=False):
            for child, parent in style.skeleton.bones:
                x, y, _ = pose[[child, parent]].unbind(-1)
                axes.plot(x, -y, color=style.color(child), linewidth=2.0, solid_capstyle="round")
            axes.set(xlim=(-REACH * width / height, REACH * width / height), ylim=(-REACH, REACH), aspect="equal")
        for axes in line:
            axes.set_axis_off()
        line[0].text(-0.05, 0.5, name, transform=line[0].transAxes, rotation=90, va="center", ha="right", fontsize=12)
    figure.suptitle(title)
    return figure
