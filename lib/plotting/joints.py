"""A picture of a layout: a body, its keypoints with their numbers, and their names."""

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.plotting.figures import STYLE, new_figure
from lib.plotting.skeletons import FRONT, SkeletonStyle
from lib.pose.landmarks import LANDMARKS, side_of
from lib.pose.layout import Layout

ROWS = 17  # names in a column
_FACE = ("nose", "eye", "ear", "mouth", "eye_inner", "eye_outer", "head_top")
_FOOT = ("heel", "big_toe", "small_toe")
Place = tuple[float, float]


@matplotlib.rc_context(STYLE)
def layout_figure(layout: Layout, style: SkeletonStyle) -> Figure:
    """A person who faces us; the number of a keypoint is its place in every array. `style` is of the layout's skeleton.

    What lies close together is drawn again, larger. Small grey letters say what a keypoint marks, where that is not
    what it is named.
    """
    places = [_place(mixture) for mixture in layout.mixtures]
    columns = -(-len(layout) // ROWS)
    details = [
        (title, [key for key, name in enumerate(layout.landmarks) if side_of(name)[1] in names])
        for title, names in (("the head", _FACE), ("the left foot", _FOOT))
    ]
    beside = 2.2 if any(some for _, some in details) else 0.1
    figure = new_figure(4.2 + beside + 2.5 * columns, 6.4)
    grid = figure.add_gridspec(2, 3, width_ratios=(3.6, beside, 2.5 * columns))
    _draw(figure.add_subplot(grid[:, 0]), places, layout, style, (-0.75, 0.75, -0.12, 1.98))
    boxes = {"the head": (-0.17, 0.17, 1.5, 1.92), "the left foot": (0.12, 0.58, -0.05, 0.2)}
    for row, (title, some) in enumerate(details):
        axes = figure.add_subplot(grid[row, 1])
        if some:
            _draw(axes, places, layout, style, boxes[title])
            axes.set_title(title)
        axes.set_axis_off()
    names = figure.add_subplot(grid[:, 2])
    for number, (keypoint, mixture) in enumerate(zip(layout.keypoints, layout.mixtures, strict=True)):
        x, y = number // ROWS / columns, 1 - number % ROWS / ROWS
        names.text(x, y, f"{number}  {keypoint.replace('_', ' ')}", color=style.color(number), fontsize=11, va="top")
        marks = ", ".join(name.replace("_", " ") for name, _ in mixture)
        if marks != keypoint.replace("_", " "):
            names.text(x + 0.02, y - 0.026, f"      {marks}", color="#777777", fontsize=7.5, va="top")
    names.set_axis_off()
    figure.suptitle(f"{layout.name}: {len(layout)} keypoints of a body that faces you")
    return figure


def _draw(
    axes: Axes, places: list[Place], layout: Layout, style: SkeletonStyle, box: tuple[float, float, float, float]
) -> None:
    """The keypoints inside a box, over all landmarks in grey."""
    left, right, low, high = box
    x_all, y_all = zip(*(FRONT[name] for name in LANDMARKS), strict=True)
    axes.scatter(x_all, y_all, 14, "#DDDDDD", zorder=0)
    for child, parent in layout.skeleton.bones:
        (x0, y0), (x1, y1) = places[child], places[parent]
        axes.plot([x0, x1], [y0, y1], color=style.color(child), linewidth=2.5, solid_capstyle="round", zorder=1)
    size = 150 if high - low > 1 else 260
    for number, (x, y) in enumerate(places):
        if left <= x <= right and low <= y <= high:
            axes.scatter([x], [y], size, style.color(number), edgecolors="white", zorder=2)
            axes.text(x, y, str(number), color="white", fontsize=7, ha="center", va="center", zorder=3)
    axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    axes.set_axis_off()


def _place(mixture: tuple[tuple[str, float], ...]) -> Place:
    x, y = (sum(weight * FRONT[name][axis] for name, weight in mixture) for axis in (0, 1))
    return x, y
