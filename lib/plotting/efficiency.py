"""Errors against the share of the labels that a model was trained with."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.plotting.figures import new_figure

COLORS = ("#0072B2", "#D55E00", "#4D4D4D", "#009E73")
ERRORS = {"p_mpjpe_mm": "P-MPJPE (mm)", "n_mpjpe_mm": "N-MPJPE (mm)"}


def label_efficiency_figure(runs: pd.DataFrame) -> Figure:
    """A line a start over the share of labels, with the spread of its seeds; what needs no label is a dashed level.

    Columns are start, label_fraction (0 to 1), p_mpjpe_mm and n_mpjpe_mm; a row a run.
    """
    figure = new_figure(9.0, 3.8)
    panels = figure.subplots(1, len(ERRORS), squeeze=False)[0]
    for panel, (error, label) in zip(panels, ERRORS.items(), strict=True):
        for (start, some), color in zip(runs.groupby("start", sort=False), COLORS, strict=False):
            _line(panel, some[["label_fraction", error]], error, str(start), color)
        panel.set_xscale("log")
        shares = sorted(share for share in runs["label_fraction"].unique() if share > 0)
        panel.set_xticks(shares, [f"{100 * share:g} %" for share in shares])
        panel.minorticks_off()
        panel.set_xlabel("labels of the training subjects")
        panel.set_ylabel(label)
        panel.margins(y=0.08)
        panel.set_ylim(bottom=0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
    return figure


def _line(panel: Axes, runs: pd.DataFrame, error: str, start: str, color: str) -> None:
    none = runs[runs["label_fraction"] == 0][error]
    if len(none):
        panel.axhline(float(none.mean()), color=color, linestyle="--", linewidth=1.2, label=f"{start}, no labels")
    groups = runs[runs["label_fraction"] > 0].groupby("label_fraction")[error]
    mean, std = groups.mean(), groups.std().fillna(0.0)
    panel.errorbar(mean.index, mean, yerr=std, color=color, linewidth=1.8, marker="o", capsize=3, label=start)
