"""What a person sees while a stage runs: live bars in a terminal, plain lines in a file or a pipe.

The same lines are logged, as lib.runtime.console, also those of a quiet console.
"""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

REDRAW_SECONDS = 0.2  # a redraw costs milliseconds, which the training loop waits for
LINE_SECONDS = 10.0  # how often a plain line is written within an epoch

Item = TypeVar("Item")
LOG = logging.getLogger(__name__)


class Console:
    """What one process says on stdout; `quiet` for all but the first of several processes."""

    def __init__(self, quiet: bool = False) -> None:
        self._stream = sys.stdout
        # Our own test of the terminal: rich also takes FORCE_COLOR for one, and would draw bars into log files.
        self.live = self._stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
        self._quiet = quiet
        self._rich = RichConsole(file=self._stream, quiet=quiet, highlight=False, emoji=False)

    def header(self, title: str, values: Mapping[str, object]) -> None:
        """Print what is about to run: a panel, or a line a value."""
        self._lines([title, *(f"  {key}: {value}" for key, value in values.items())])
        if not self.live:
            return
        table = Table.grid(padding=(0, 2))
        table.add_column(style="cyan")
        for key, value in values.items():
            table.add_row(escape(key), escape(str(value)))
        self._rich.print(Panel(table, title=escape(title), title_align="left", border_style="blue", expand=False))

    def table(self, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        """Print a table, plain ones with columns padded by spaces."""
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (columns, *rows))
        self._lines(["  ".join(cells).rstrip() for cells in padded])
        if self.live:
            table = Table(*columns, header_style="bold cyan", border_style="blue")
            for row in rows:
                table.add_row(*map(escape, row))
            self._rich.print(table)

    def announce(self, line: str) -> None:
        """Print one line, above the bars if there are any."""
        self._lines([line])
        if self.live:
            self._rich.print(escape(line))

    def _lines(self, lines: Sequence[str]) -> None:
        """Log lines, and print them unless a terminal shows them its own way."""
        for line in lines:
            LOG.info(line)
            if not (self.live or self._quiet):
                print(line, file=self._stream, flush=True)  # at once: block buffering would hide a run in a pipe

    def track(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        """The items, with a bar of how many are done, or a plain line now and then; `total` need not be exact."""
        bars = RichProgress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._rich,
            auto_refresh=False,
            transient=True,
            disable=not self.live or self._quiet,
        )
        with bars:
            bar, drawn = bars.add_task(escape(what), total=total), time.perf_counter()
            for done, item in enumerate(items):
                now = time.perf_counter()
                if now - drawn >= (REDRAW_SECONDS if self.live else LINE_SECONDS):
                    drawn = now
                    bars.update(bar, completed=done, refresh=True)
                    if not self.live:
                        self.announce(f"{what}: {done}" + (f" of {total}" if total else ""))
                yield item

    @contextmanager
    def progress(self, epochs: int, steps_per_epoch: int, done: int = 0, within: int = 0) -> "Iterator[Progress]":
        """Show the progress of training, of which some epochs are `done`, and some steps `within` the next one."""
        bars = RichProgress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("[green]{task.fields[note]}"),
            console=self._rich,
            auto_refresh=False,  # no thread of rich's own beside the training
            transient=True,
            disable=not self.live or self._quiet,
        )
        with bars:
            yield Progress(self, bars, epochs, steps_per_epoch, done, within)


class Progress:
    """Made by `Console.progress`: an epoch bar and a batch bar, or plain lines."""

    def __init__(
        self, console: Console, bars: RichProgress, epochs: int, steps_per_epoch: int, done: int = 0, within: int = 0
    ) -> None:
        self._console, self._bars = console, bars
        self._epochs, self._steps = epochs, steps_per_epoch
        self._epoch, self._step = done, within  # epochs that are complete, steps within the next one
        self._losses: Mapping[str, float] = {}
        self._epoch_bar = bars.add_task("epoch", total=epochs, completed=done, note="")
        self._step_bar = bars.add_task("step", total=steps_per_epoch, completed=within, note="")
        self._poses = 0
        self._began = self._last = self._drawn = time.perf_counter()

    def steps_begin(self) -> None:
        """Steps follow; the time since the last one went into something else, and counts for no speed."""
        now = time.perf_counter()
        self._began += now - self._last
        self._last = now

    def step(self, poses: int, losses: Mapping[str, float] | None = None) -> None:
        """Count a batch of `poses`; losses only when they are at hand, for reading one waits for the device."""
        now = time.perf_counter()
        self._step += 1
        self._poses += poses
        self._last = now
        self._losses = losses or self._losses
        if self._console.live:
            if now - self._drawn >= REDRAW_SECONDS:
                self._draw(now)
        elif losses and now - self._drawn >= LINE_SECONDS:
            self._drawn = now
            self._console.announce(self._line(self._epoch + 1, losses))

    def epoch(self, number: int, summary: Mapping[str, float]) -> None:
        """Close epoch `number`, counted from 1, with a line that stays; its speed is that of the steps alone."""
        self._console.announce(self._line(number, summary))
        self._epoch, self._step = number, 0
        self._poses = 0
        self._began = self._last = self._drawn = time.perf_counter()
        if self._console.live:
            self._bars.reset(self._step_bar, total=self._steps)
            self._draw(self._drawn)

    @property
    def speed(self) -> float:
        """Poses per second of the epoch's steps, without the time between those of one `steps_begin` and the next."""
        return self._poses / max(self._last - self._began, 1e-9)

    def _draw(self, now: float) -> None:
        self._drawn = now
        note = _numbers(self._losses) + (f"  {self.speed:,.0f} poses/s" if self._poses else "")
        self._bars.update(self._epoch_bar, completed=self._epoch)
        self._bars.update(self._step_bar, completed=self._step, note=note)
        self._bars.refresh()

    def _line(self, epoch: int, values: Mapping[str, float]) -> str:
        return (
            f"epoch {epoch}/{self._epochs}  step {(epoch - 1) * self._steps + self._step}"
            f"  {_numbers(values)}  {self.speed:,.0f} poses/s"
        )


def _numbers(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
