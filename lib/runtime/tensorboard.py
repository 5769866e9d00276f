"""TensorBoard's logs: a folder of event files a run, with scalars, the params and a picture now and then."""

import importlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from lib.runtime.files import dispensable


class Board:
    """One run's logs, in a folder named after the time it began; nothing is made before there is something to log.

    `draw` is `MODULE:FUNCTION`, which makes a Figure of what an objective hands out; without it there are no pictures.
    `embed` makes vectors for TensorBoard's projector, the names of their labels, and the labels of each. They are named
    and not imported, because logs are no output of a stage: a change of pictures must not train anything again. Where
    logs cannot be written, such as on a full disk, one line says so, and there are none from then on.
    """

    def __init__(self, logs: Path, name: str, draw: str | None = None, embed: str | None = None) -> None:
        self.folder = logs / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        self._draw, self._embed = draw, embed
        self._writer: SummaryWriter | None = None
        self._failed = False

    @property
    def draws(self) -> bool:
        """Whether there are pictures."""
        return self._draw is not None

    def params(self, params: Mapping[str, Any]) -> None:
        """Log what determines the run."""
        text = f"```json\n{json.dumps(params, indent=2)}\n```"
        self._write(lambda writer: writer.add_text("params", text))

    def scalars(self, row: Mapping[str, float], step: int) -> None:
        """Log a row of numbers."""

        def write(writer: SummaryWriter) -> None:
            for name, value in row.items():
                writer.add_scalar(name, value, step)

        self._write(write)

    def picture(self, examples: object, step: int) -> None:
        """Log a picture of what the model makes of a few windows."""
        if self._draw is not None:
            figure = _named(self._draw)(examples)
            self._write(lambda writer: writer.add_figure("windows", figure, step))

    def embedding(self, *what: object) -> None:
        """Log vectors of what `embed` takes, with the labels that they can be coloured by."""
        if self._embed is not None:
            vectors, names, labels = _named(self._embed)(*what)
            self._write(
                lambda writer: writer.add_embedding(vectors, metadata=labels, metadata_header=names, tag="latents")
            )

    def close(self) -> None:
        """Write out what is buffered."""
        if self._writer is not None:
            self._write(lambda writer: writer.close())

    def _write(self, write: Callable[[SummaryWriter], None]) -> None:
        """Log something, unless logs could not be written before."""
        if self._failed:
            return
        self._failed = True
        with dispensable(self.folder):
            if self._writer is None:
                _let_writers_fail_in_silence()
                self._writer = SummaryWriter(str(self.folder))
            write(self._writer)
            self._failed = False


def _let_writers_fail_in_silence() -> None:
    """Print no traceback of TensorBoard's thread when a disk is full: who writes next is told the error."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if not (isinstance(failed.exc_value, OSError) and type(failed.thread).__name__ == "_AsyncWriterThread"):
            before(failed)

    threading.excepthook = hook


class NoBoard(Board):
    """Logs nothing: of several processes that train together, the first one does."""

    def __init__(self) -> None:
        super().__init__(Path(), "none")

    def params(self, params: Mapping[str, Any]) -> None:
        """Nothing."""

    def scalars(self, row: Mapping[str, float], step: int) -> None:
        """Nothing."""


def _named(place: str) -> Callable[..., Any]:
    """The function MODULE:FUNCTION."""
    module, name = place.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
