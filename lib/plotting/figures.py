"""The pictures of poses, errors and training: functions that return a Figure, which the stage saves.

Figures are made without pyplot: nothing global, no display.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from matplotlib.typing import ColorType
from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]
from torch import Tensor

from lib.evaluation import metrics
from lib.plotting.skeletons import FRONT, SkeletonStyle, cuboid, draw_2d, draw_3d

STYLE = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 10.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "legend.frameon": False,
}
ROW, COLUMN, LEGEND = 3.7, 3.1, 0.4  # inches
COLORMAP = "viridis_r"  # dark: a large error
TRAIN, VALIDATION = "#4D4D4D", "#0072B2"


class Example(NamedTuple):
    """One frame to be shown."""

    label: str
    keypoints: Float[Tensor, "joint 2"]  # pixels
    predicted: Float[Tensor, "joint 3"]  # metres, root-centred, camera frame
    target: Float[Tensor, "joint 3"] | None  # the same; None without 3D


class Panels(NamedTuple):
    """The axes of one row of poses."""

    picture: Axes
    spaces: list[Axes3D]


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own, in inches, drawn by Agg."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    layout.set(w_pad=0.08, h_pad=0.08)
    return figure


def pose_figure(titles: Sequence[str], names: Sequence[str], style: SkeletonStyle) -> tuple[Figure, list[Panels]]:
    """A figure with a row of panels a title: the 2D keypoints and a 3D panel for each of `names`.

    The places are fixed in inches: layouts that fit themselves would move the panels of an animation.
    """
    width, height = COLUMN * (1 + len(names)), ROW * len(titles) + LEGEND
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)

    def place(left: float, bottom: float, across: float, up: float) -> tuple[float, float, float, float]:
        return left / width, bottom / height, across / width, up / height

    rows = []
    for row, title in enumerate(titles):
        bottom = height - ROW * (row + 1)
        figure.text(0.5, (bottom + ROW - 0.1) / height, title, fontsize=12, fontweight="bold", ha="center", va="top")
        picture = figure.add_axes(place(0.8, bottom + 0.6, COLUMN - 0.9, COLUMN - 0.9))
        picture.set_title("2D keypoints")
        spaces = []
        for column, name in enumerate(names, start=1):
            axes = figure.add_axes(place(COLUMN * column - 0.2, bottom + 0.1, COLUMN, COLUMN - 0.2), projection="3d")
            axes.set_title(name, y=0.97)
            axes.patch.set_visible(False)  # or it would cover the labels of the panel beside it
            spaces.append(axes)
        rows.append(Panels(picture, spaces))
    sides = (("person's left", style.left), ("person's right", style.right))
    handles = [Line2D([], [], color=color, linewidth=2.5, label=label) for label, color in sides]
    figure.legend(handles=handles, loc="lower center", ncols=2)
    return figure, rows


@matplotlib.rc_context(STYLE)
def pose_rows(examples: Sequence[Example], style: SkeletonStyle) -> Figure:
    """A row an example: the 2D keypoints, the predicted 3D pose and, if any has one, the true one, or nothing.

    A title gives the frame's P-MPJPE. Predicted and true pose have the same box.
    """
    labelled = any(example.target is not None for example in examples)
    names = ("predicted 3D", "true 3D") if labelled else ("predicted 3D",)
    figure, rows = pose_figure([_title(example) for example in examples], names, style)
    for panels, example in zip(rows, examples, strict=True):
        draw_2d(panels.picture, example.keypoints, style)
        poses = [pose for pose in (example.predicted, example.target) if pose is not None]
        box = cuboid(*poses)
        for axes, pose in zip(panels.spaces, poses, strict=False):
            draw_3d(axes, pose, style, box)
        for axes in panels.spaces[len(poses) :]:
            axes.set_visible(False)
    return figure


@matplotlib.rc_context(STYLE)
def error_by_joint(per_joint: pd.DataFrame, style: SkeletonStyle) -> Figure:
    """P-MPJPE of every joint as bars, with MPJPE as rings, and as colours on a body that faces us.

    `per_joint` has the columns joint, mpjpe_mm and p_mpjpe_mm. The root has no ring: centring makes its MPJPE zero.
    """
    rows = per_joint.set_index("joint")
    table = rows.loc[[name for name in FRONT if name in rows.index]]
    values = table["p_mpjpe_mm"]
    norm = Normalize(0.0, float(values.max()))
    mapped = matplotlib.colormaps[COLORMAP]
    figure = new_figure(9.0, 5.2)
    bars, body = figure.subplots(1, 2, width_ratios=(1.5, 1))
    _error_bars(bars, table, [mapped(norm(value)) for value in values])
    for label, name in zip(bars.get_yticklabels(), table.index, strict=True):
        label.set_color(style.color(style.skeleton.index(str(name))))
    _body(body, {str(name): mapped(norm(value)) for name, value in values.items()}, style)
    bars.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    scalar = matplotlib.cm.ScalarMappable(norm, mapped)
    figure.colorbar(scalar, ax=body, label="P-MPJPE (mm)", shrink=0.7)
    return figure


@matplotlib.rc_context(STYLE)
def error_by_action(per_action: pd.DataFrame) -> Figure:
    """P-MPJPE of every action as bars, with MPJPE as rings, the hardest at the bottom, and the mean over actions.

    `per_action` has the columns action, frames, mpjpe_mm and p_mpjpe_mm.
    """
    table = per_action.sort_values("p_mpjpe_mm").set_index("action")
    figure = new_figure(8.0, 1.4 + 0.3 * len(table))
    axes = figure.subplots()
    _error_bars(axes, table, ["#56B4E9"] * len(table))
    mean = float(table["p_mpjpe_mm"].mean())
    axes.axvline(mean, color="#4D4D4D", linestyle="--", linewidth=1.2)
    axes.set_title(f"error by action; dashed: mean P-MPJPE over actions, {mean:.1f} mm")
    axes.legend(loc="upper right")  # free, because the bars grow downwards
    axes.set_yticks(range(len(table)), [f"{name} ({count:,} frames)" for name, count in table["frames"].items()])
    return figure


@matplotlib.rc_context(STYLE)
def reliability_figure(reliability: pd.DataFrame) -> Figure:
    """True errors over those that the model states of them: a reliability plot.

    `reliability` has the columns stated_mm and mpjpe_mm, a row a bin with as many points each.
    """
    figure = new_figure(5.6, 5.2)
    axes = figure.subplots()
    stated, true = reliability["stated_mm"], reliability["mpjpe_mm"]
    high = 1.08 * float(max(stated.max(), true.max()))
    axes.plot([0, high], [0, high], color="#4D4D4D", linestyle="--", linewidth=1.2)
    axes.annotate("as stated", (0.93 * high, 0.93 * high), (-8, 8), textcoords="offset points", ha="right", fontsize=10)
    axes.plot(stated, true, color=VALIDATION, linewidth=1.8, marker="o", markersize=6)
    axes.set(xlim=(0, high), ylim=(0, high), aspect="equal")
    axes.set(xlabel="error that the model states of a joint (mm)", ylabel="its mean error (mm)")
    axes.set_title(f"each point: a {len(reliability)}th of all joints in all frames")
    return figure


@matplotlib.rc_context(STYLE)
def hidden_by_joint(shares: Mapping[str, float], style: SkeletonStyle) -> Figure:
    """How often each keypoint is hidden, of the frames that show somebody, as bars in the colours of the sides."""
    names = list(shares)
    figure = new_figure(6.0, 1.2 + 0.22 * len(names))
    axes = figure.subplots()
    axes.barh(range(len(names)), [100 * shares[name] for name in names], color=[*map(style.color, range(len(names)))])
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlim=(0, 100), xlabel="hidden in so many percent of the frames")
    axes.set_title("2D keypoints that were not detected, test split")
    return figure


@matplotlib.rc_context(STYLE)
def training_curves(training: pd.DataFrame) -> Figure:
    """A small panel a quantity: its training and validation curve over the steps; logarithmic where a loss falls far.

    Columns are step, train/NAME, validation/NAME; any other column has a panel of its own. Rows without a value of a
    column are left out of its curve.
    """
    names = list(dict.fromkeys(column.split("/", 1)[-1] for column in training.columns if column != "step"))
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(max(5.0, 3.2 * columns), 2.3 * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for panel, name in zip(panels, names, strict=False):  # the last row may have panels to spare
        losses = [column for column in (f"train/{name}", f"validation/{name}") if column in training]
        for column in losses or [name]:
            curve = training[["step", column]].dropna()
            color = VALIDATION if column.startswith("validation/") else TRAIN
            panel.plot(curve["step"], curve[column], color=color, linewidth=1.8, marker="." if len(curve) < 30 else "")
        if losses:
            values = training[losses].to_numpy(dtype=float)
            _log_if_wide(panel, float(np.nanmin(values)), float(np.nanmax(values)))
        panel.set_title(name.replace("_", " "))
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    for panel in panels[max(0, len(names) - columns) : len(names)]:
        panel.set_xlabel("step")
        panel.tick_params(labelbottom=True)
    handles = [
        Line2D([], [], color=c, linewidth=1.8, label=n) for n, c in (("training", TRAIN), ("validation", VALIDATION))
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def _title(example: Example) -> str:
    if example.target is None:
        return example.label
    error = metrics.p_mpjpe(example.predicted * 1000, example.target * 1000).mean()
    return f"{example.label}: P-MPJPE {float(error):.0f} mm"


def _error_bars(axes: Axes, table: pd.DataFrame, colors: Sequence[ColorType]) -> None:
    """Horizontal bars of P-MPJPE with their numbers, and rings at MPJPE; the first row on top."""
    positions = np.arange(len(table))
    axes.barh(positions, table["p_mpjpe_mm"], color=colors, height=0.72, label="P-MPJPE")
    rings = table["mpjpe_mm"].where(table["mpjpe_mm"] > 0)
    axes.plot(rings, positions, "o", color="#222222", markerfacecolor="white", markersize=5, label="MPJPE")
    for position, (value, color) in enumerate(zip(table["p_mpjpe_mm"], colors, strict=True)):
        ink = "white" if np.dot(to_rgb(color), (0.3, 0.59, 0.11)) < 0.5 else "black"
        place = (0.0, float(position))
        axes.annotate(f"{value:.0f}", place, (4, 0), textcoords="offset points", va="center", color=ink, fontsize=9)
    axes.set_yticks(positions, [str(name).replace("_", " ") for name in table.index])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("error (mm)")
    axes.set_xlim(left=0)


def _body(axes: Axes, joint_colors: dict[str, ColorType], style: SkeletonStyle) -> None:
    """A person with coloured joints."""
    for child, parent in style.skeleton.bones:
        (x0, y0), (x1, y1) = FRONT[style.skeleton.names[child]], FRONT[style.skeleton.names[parent]]
        axes.plot([x0, x1], [y0, y1], color=style.color(child), linewidth=2.5, zorder=1)
    points = np.array([FRONT[name] for name in joint_colors])
    axes.scatter(points[:, 0], points[:, 1], 170, list(joint_colors.values()), edgecolors="#222222", zorder=2)
    axes.text(0, -0.12, "the body faces you", ha="center")
    axes.set(xlim=(-0.62, 0.62), ylim=(-0.16, 1.92), aspect="equal")
    axes.set_axis_off()


def _log_if_wide(panel: Axes, low: float, high: float) -> None:
    """A logarithmic axis, with plain numbers, for positive values that differ by more than a factor 4."""
    if 0 < 4 * low < high:
        panel.set_yscale("log")
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        digits = (1, 2, 5) if high < 1000 * low else (1,)
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        panel.set_yticks([tick for tick in ticks if 0.9 * low <= tick <= 1.1 * high])
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_locator(NullLocator())
