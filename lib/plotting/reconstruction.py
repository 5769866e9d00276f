"""Pictures of masked modelling: what the model was given, what it made of it, and the truth."""

import matplotlib
import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from matplotlib.figure import Figure
from torch import Tensor

from lib.data.masked_windows import Reconstruction
from lib.plotting.figures import STYLE, new_figure
from lib.plotting.skeletons import SkeletonStyle, cuboid, draw_2d, draw_3d, square

SHOWN = 6  # windows, or frames of one
HUNDRED = 100.0  # drawn as pixels or centimetres, for which axes are made


GUESSES = {
    "model": ("the model", "#0072B2"),
    "interpolation": ("a straight line in time", "#999999"),
    "mean_pose": ("the mean pose", "#CCCCCC"),
}


def reconstruction_rows(windows: Reconstruction, style: SkeletonStyle) -> Figure:
    """Three rows: given, output and truth, of the frame of each window in which most is hidden.

    A frame that is hidden as a whole is an empty picture.
    """
    count = min(SHOWN, len(windows.whole))
    chosen = torch.linspace(0, len(windows.whole) - 1, count).long()
    frame = windows.hidden[chosen].sum(-1).argmax(-1)
    whole, hidden, output = (part[chosen, frame] for part in (windows.whole, windows.hidden, windows.output))
    given = torch.where(hidden[..., None], torch.nan, whole)
    figure = new_figure(2.2 * count, 6.6)
    solid = whole.shape[-1] == 3
    for row, (label, poses) in enumerate((("given", given), ("output", output), ("truth", whole))):
        for column, pose in enumerate(poses):
            place = (3, count, row * count + column + 1)
            shown = torch.cat([whole[column], output[column]])
            if solid:
                axes = figure.add_subplot(*place, projection="3d")
                draw_3d(axes, pose, style, cuboid(shown))
            else:
                axes = figure.add_subplot(*place)
                draw_2d(axes, HUNDRED * pose, style, square(HUNDRED * shown))
            axes.set_axis_off()
            if row == 0:
                axes.set_title(f"given, {_kind(windows.hidden[chosen[column]])} hidden", fontsize=10)
            else:
                axes.set_title(label, fontsize=10)
    return figure


def _kind(hidden: Bool[Tensor, "frame joint"]) -> str:
    """What of a window is hidden."""
    if hidden.all(-1).any():
        return "frames"
    return "joints" if torch.equal(hidden.any(0), hidden.all(0)) else "tubelets"


def reconstruction_errors(table: pd.DataFrame) -> Figure:
    """Bars of the mean error by what was hidden, of the model and of guesses; `table` as evaluate writes it."""
    means = table.groupby("hidden", sort=False)[list(GUESSES)].mean()
    with matplotlib.rc_context(STYLE):
        figure = new_figure(7.0, 3.6)
        axes = figure.add_subplot()
        width = 0.8 / len(GUESSES)
        for number, (guess, (label, color)) in enumerate(GUESSES.items()):
            places = np.arange(len(means)) + width * (number - (len(GUESSES) - 1) / 2)
            bars = axes.bar(places, means[guess], width=0.92 * width, color=color, label=label)
            axes.bar_label(bars, fmt="%.0f", fontsize=9)
        axes.set_xticks(np.arange(len(means)), [f"hidden {kind}" for kind in means.index])
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(f"mean error ({table['unit'].iloc[0]})")
        axes.margins(y=0.12)
        figure.legend(loc="outside upper center", ncols=len(GUESSES))
    return figure
