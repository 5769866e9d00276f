"""A picture of crops and the poses that they are lifted to, for the logs of training."""

from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from lib.plotting.skeletons import Colors, draw_2d, draw_3d

HUNDRED = 100.0  # crops are drawn as about pixels, for which axes are made


def lifted_rows(keypoints: Float[Tensor, "shown joint 2"], poses: Float[Tensor, "shown joint 3"]) -> Figure:
    """Keypoints above the poses that they are lifted to (crop frame, metres)."""
    colors, count = Colors(), len(poses)
    figure = Figure(figsize=(2.5 * count, 5))
    FigureCanvasAgg(figure)
    for column, (flat, solid) in enumerate(zip(keypoints.cpu(), poses.cpu(), strict=True), start=1):
        axes = figure.add_subplot(2, count, column)
        draw_2d(axes, HUNDRED * flat, colors)
        axes.set_axis_off()
        draw_3d(figure.add_subplot(2, count, count + column, projection="3d"), solid, colors)
    return figure
