"""Pictures of what a model makes of a few windows, for the logs of training."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lib.objectives.base import Examples, LiftedExamples
from lib.plotting.reconstruction import reconstruction_rows
from lib.plotting.skeletons import SkeletonStyle, draw_2d, draw_3d
from lib.pose.skeleton import H36M

HUNDRED = 100.0  # crops are drawn as about pixels, for which axes are made


def draw_examples(examples: Examples) -> Figure:
    """What an objective hands out."""
    if isinstance(examples, LiftedExamples):
        return lifted_rows(examples)
    return reconstruction_rows(examples, SkeletonStyle(examples.skeleton))


def lifted_rows(examples: LiftedExamples) -> Figure:
    """Keypoints above the poses that they are lifted to."""
    style, count = SkeletonStyle(examples.skeleton), len(examples.poses)
    figure = Figure(figsize=(2.5 * count, 5))
    FigureCanvasAgg(figure)
    for column, (flat, solid) in enumerate(zip(examples.keypoints, examples.poses, strict=True), start=1):
        axes = figure.add_subplot(2, count, column)
        draw_2d(axes, HUNDRED * flat, style)
        axes.set_axis_off()
        draw_3d(figure.add_subplot(2, count, count + column, projection="3d"), solid, SkeletonStyle(H36M))
    return figure
