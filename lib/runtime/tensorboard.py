"""TensorBoard's logs: a folder of event files a run, with scalars, the params and a picture now and then."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter


class Board:
    """One run's logs, in a folder named after the time it began."""

    def __init__(self, logs: Path, name: str, params: Mapping[str, Any]) -> None:
        self.folder = logs / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        self._writer = SummaryWriter(str(self.folder))
        self._writer.add_text("params", f"```json\n{json.dumps(params, indent=2)}\n```")

    def scalars(self, row: Mapping[str, float], step: int) -> None:
        """Log a row of numbers."""
        for name, value in row.items():
            self._writer.add_scalar(name, value, step)

    def figure(self, figure: Figure, step: int) -> None:
        """Log a picture of what the model makes of a few windows."""
        self._writer.add_figure("windows", figure, step)

    def close(self) -> None:
        """Write out what is buffered."""
        self._writer.close()
