"""Errors of several models by joint or action, and how sure their differences are."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.plotting.figures import STYLE, new_figure

COLORS = ("#4D4D4D", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # the first model's is grey
BAR = 0.13  # inches, the least height of a bar


@matplotlib.rc_context(STYLE)
def comparison_figure(table: pd.DataFrame, key: str) -> Figure:
    """Bars of every model, and beside them its difference from the first with its interval, where there are several.

    Columns are `key` (joint or action), model, value, difference, low and high; a row of the picture is one of `key`.
    """
    names, models = list(table[key].unique()), list(table["model"].unique())
    values, off, low, high = (
        table.pivot(index=key, columns="model", values=column).loc[names, models].to_numpy(dtype=float)
        for column in ("value", "difference", "low", "high")
    )
    width = 0.8 / len(models)
    figure = new_figure(9.0, 1.3 + len(names) * max(0.26, 1.3 * BAR * len(models)))
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(1.4, 1)) if len(models) > 1 else [figure.subplots()]
    rows = np.arange(len(names))
    for number, model in enumerate(models):
        color, at = COLORS[number % len(COLORS)], rows + width * (number - (len(models) - 1) / 2)
        panels[0].barh(at, values[:, number], height=0.92 * width, color=color, label=model)
        if number:
            panels[1].hlines(at, low[:, number], high[:, number], color=color, linewidth=2.0)
            panels[1].plot(off[:, number], at, "o", color=color, markersize=4)
    panels[0].set_yticks(rows, [str(name).replace("_", " ") for name in names])
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    panels[0].set_xlabel("P-MPJPE (mm)")
    for panel in panels:
        panel.grid(visible=False, axis="y")
    if len(models) > 1:
        panels[1].tick_params(axis="y", left=False)
        panels[1].axvline(0.0, color="#222222", linewidth=1.0)
        panels[1].set_xlabel("difference from the first (mm), 95 % interval")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=min(3, len(models)))
    return figure
