"""What a sweep found: the best so far, what matters, and the objective over each param."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.plotting.figures import new_figure

BLUE, RED, GREY = "#0072B2", "#D55E00", "#4D4D4D"
PARAMS = 4  # that are drawn, the most important first
WIDTH = 30  # characters of a value on an axis


def sweep_figure(
    values: Sequence[float | None],
    params: Mapping[str, Sequence[object]],
    importance: Mapping[str, float],
    objective: str,
    maximize: bool = False,
) -> Figure:
    """Two panels of the sweep, and one for each of the params that matter most.

    `values` are the objective's, a trial each (None: it failed); `params` has each key's values in the same order.
    """
    shown = [*importance, *(key for key in params if key not in importance)][:PARAMS]
    figure = new_figure(9.0, 3.2 + (3.0 if shown else 0.0))
    above, *below = figure.subfigures(2 if shown else 1, 1, squeeze=False)[:, 0]
    history, bars = above.subplots(1, 2)
    _history(history, values, objective, maximize)
    _bars(bars, importance)
    for part in below:
        for panel, key in zip(part.subplots(1, len(shown), squeeze=False, sharey=True)[0], shown, strict=True):
            _scatter(panel, key, params[key], values)
        part.axes[0].set_ylabel(objective)
    return figure


def _history(panel: Axes, values: Sequence[float | None], objective: str, maximize: bool) -> None:
    done = [(number, value) for number, value in enumerate(values) if value is not None]
    best: list[float] = []
    for _, value in done:
        best.append(value if not best else (max if maximize else min)(best[-1], value))
    numbers = [number for number, _ in done]
    panel.plot(numbers, [value for _, value in done], "o", color=BLUE, markersize=4, label="a trial")
    panel.step(numbers, best, where="post", color=RED, linewidth=1.6, label="the best so far")
    failed = [number for number, value in enumerate(values) if value is None]
    if failed:
        panel.plot(failed, [0.02] * len(failed), "x", color=GREY, transform=panel.get_xaxis_transform(), label="failed")
    panel.set_xlabel("trial")
    panel.set_ylabel(objective)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend()


def _bars(panel: Axes, importance: Mapping[str, float]) -> None:
    names = list(importance)[::-1]
    panel.barh(names, [importance[name] for name in names], color=BLUE)
    panel.set_xlabel("importance: share of what tells the best trials")
    if not names:
        panel.set_yticks([])
        panel.text(0.5, 0.5, "too few trials", ha="center", transform=panel.transAxes)


def _scatter(panel: Axes, key: str, tried: Sequence[object], values: Sequence[float | None]) -> None:
    pairs = [(one, value) for one, value in zip(tried, values, strict=True) if value is not None]
    numbers = [one for one, _ in pairs if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) == len(pairs):
        panel.plot(numbers, [value for _, value in pairs], "o", color=BLUE, markersize=4)
        if numbers and min(numbers) > 0 and max(numbers) >= 10 * min(numbers):
            panel.set_xscale("log")
    else:
        names = list(dict.fromkeys(str(one)[:WIDTH] for one, _ in pairs))
        places = [names.index(str(one)[:WIDTH]) for one, _ in pairs]
        panel.plot(places, [value for _, value in pairs], "o", color=BLUE, markersize=4)
        panel.set_xticks(range(len(names)), names, rotation=20)
        panel.margins(x=0.3)
    panel.set_xlabel(key)
