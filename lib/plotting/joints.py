"""A picture of a skeleton's joints with their names and numbers."""

import matplotlib
from matplotlib.figure import Figure

from lib.plotting.figures import STYLE, new_figure
from lib.plotting.skeletons import FRONT, SkeletonStyle

# Of the names from their joints, in points, away from the middle; where the bones leave room.
OFFSETS = {"thorax": (10, 7), "pelvis": (0, -20), "hip": (10, -24)}


@matplotlib.rc_context(STYLE)
def joints_figure(style: SkeletonStyle) -> Figure:
    """A person who faces us; the number of a joint is its place in every array. Joints are those of Human3.6M."""
    figure = new_figure(7.0, 6.0)
    axes, skeleton = figure.add_subplot(), style.skeleton
    for child, parent in skeleton.bones:
        (x0, y0), (x1, y1) = FRONT[skeleton.names[child]], FRONT[skeleton.names[parent]]
        axes.plot([x0, x1], [y0, y1], color=style.color(child), linewidth=3.0, solid_capstyle="round", zorder=1)
    for joint, name in enumerate(skeleton.names):
        (x, y), color = FRONT[name], style.color(joint)
        axes.scatter([x], [y], 60, color, edgecolors="white", zorder=2)
        right, up = OFFSETS.get(name.rpartition("_")[2], (12, -4))
        align = "center" if right == 0 else "left" if x >= 0 else "right"
        offset = (right if x >= 0 else -right, up)
        text = f"{joint} {name.replace('_', ' ')}"
        axes.annotate(text, (x, y), offset, textcoords="offset points", ha=align, color=color, fontsize=11)
    axes.text(0, -0.1, "the body faces you", ha="center", fontsize=10)
    axes.set(xlim=(-1.05, 1.05), ylim=(-0.14, 1.92), aspect="equal")
    axes.set_axis_off()
    return figure
