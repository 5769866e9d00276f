"""TensorBoard's logs: a folder of event files a run, with scalars, the params and a pose picture now and then."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from lib.plotting.skeletons import Colors, draw_2d, draw_3d

COLORS = Colors()


class Board:
    """One run's logs, in a folder named after the time it began."""

    def __init__(self, logs: Path, params: Mapping[str, Any]) -> None:
        self.folder = logs / time.strftime("pretrain-%Y%m%d-%H%M%S")
        self._writer = SummaryWriter(str(self.folder))
        self._writer.add_text("params", f"```json\n{json.dumps(params, indent=2)}\n```")

    def scalars(self, row: Mapping[str, float], step: int) -> None:
        """Log a row of numbers."""
        for name, value in row.items():
            self._writer.add_scalar(name, value, step)

    def poses(
        self, keypoints: Float[Tensor, "shown joint 2"], poses: Float[Tensor, "shown joint 3"], step: int
    ) -> None:
        """Log a picture of crops' keypoints and of the poses they are lifted to (crop frame, metres)."""
        figure = Figure(figsize=(2.5 * len(poses), 5))
        FigureCanvasAgg(figure)
        for column, (flat, solid) in enumerate(zip(keypoints.cpu(), poses.cpu(), strict=True), start=1):
            axes = figure.add_subplot(2, len(poses), column)
            draw_2d(axes, 100 * flat, COLORS)  # about pixels, for which it is made
            axes.set_axis_off()
            draw_3d(figure.add_subplot(2, len(poses), len(poses) + column, projection="3d"), solid, COLORS)
        self._writer.add_figure("poses", figure, step)

    def close(self) -> None:
        """Write out what is buffered."""
        self._writer.close()
