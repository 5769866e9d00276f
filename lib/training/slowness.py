"""Says, once, when training has become slow, and why: other processes, the loader, or the processor itself."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from lib.runtime.timing import SECTIONS

SPAN_SECONDS = 10.0  # of steps, whose rate is one number
SPANS = 3  # so many of them in a row are slow, or well again
SLOW, WELL = 0.5, 0.7  # of the best rate
MORE_LOADER = 0.2  # of the time, more than at the best rate
LESS_CPU = 0.75  # of the CPU time a second at the best rate
BUSY = 0.5  # load average above the number of cores


@dataclass(frozen=True)
class Clocks:
    """What is looked at; tests have their own."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time  # of all threads
    loader: Callable[[], float] = lambda: SECTIONS.read().get("loader", 0.0)
    load: Callable[[], float | None] = lambda: os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    cores: int = os.cpu_count() or 1


class Span(NamedTuple):
    """Some steps: poses, and seconds."""

    poses: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    loader: float = 0.0

    def plus(self, other: "Span", sign: int = 1) -> "Span":
        """Both together; with -1, what this one has more."""
        return Span(
            self.poses + sign * other.poses,
            self.wall + sign * other.wall,
            self.cpu + sign * other.cpu,
            self.loader + sign * other.loader,
        )

    @property
    def rate(self) -> float:
        """Poses a second."""
        return self.poses / max(self.wall, 1e-9)


class Slowness:
    """Compares the rate of the latest steps with the best of this run."""

    def __init__(self, announce: Callable[[str], None], clocks: Clocks | None = None) -> None:
        self._announce, self._clocks = announce, clocks or Clocks()
        self._kind: object = None
        self._mark = self._now()
        self._span, self._best = Span(), Span()
        self._latest: list[Span] = []  # in a row: slow ones, or after a line about them good ones
        self._said = False

    def begin(self, kind: object) -> None:
        """Steps follow, of a kind: rates of different kinds are not compared."""
        if kind != self._kind:
            self._span, self._best, self._latest, self._said = Span(), Span(), [], False
        self._kind, self._mark = kind, self._now()

    def step(self, poses: int) -> None:
        """Count a step."""
        self._span = self._span._replace(poses=self._span.poses + poses)
        if self._span.wall + self._clocks.wall() - self._mark.wall >= SPAN_SECONDS:
            self.end()
            self._judge(self._span)
            self._span = Span()

    def end(self) -> None:
        """No step follows for a while."""
        now = self._now()
        self._span = self._span.plus(now.plus(self._mark, -1))
        self._mark = now

    def _now(self) -> Span:
        clocks = self._clocks
        return Span(0, clocks.wall(), clocks.cpu(), clocks.loader())

    def _judge(self, span: Span) -> None:
        if span.rate > self._best.rate:
            self._best = span
        changes = span.rate >= WELL * self._best.rate if self._said else span.rate < SLOW * self._best.rate
        self._latest = [*self._latest, span] if changes else []
        if len(self._latest) < SPANS:
            return
        together = Span()
        for one in self._latest:
            together = together.plus(one)
        self._latest, self._said = [], not self._said
        if self._said:
            self._announce(
                f"training has run at {together.rate:,.0f} poses/s for {together.wall:.0f} s, less than half of its "
                f"best {self._best.rate:,.0f}: {self._reason(together)}"
            )
        else:
            self._announce(f"training runs at {together.rate:,.0f} poses/s again")

    def _reason(self, slow: Span) -> str:
        """The likely one."""
        best, clocks, load = self._best, self._clocks, self._clocks.load()
        loader, before = slow.loader / slow.wall, best.loader / best.wall
        if loader - before > MORE_LOADER:
            return (
                f"it waits for the loader ({loader:.0%} of the time, {before:.0%} at its best), so something else may "
                "read the disk; data.loader.workers lets more processes load"
            )
        cpu, usual = slow.cpu / slow.wall, best.cpu / best.wall
        if cpu < LESS_CPU * usual or (load is not None and load > clocks.cores + BUSY):
            average = "" if load is None else f", load average {load:.1f} on {clocks.cores} cores"
            return f"the machine is busy (this process has {cpu:.1f} of the cores, {usual:.1f} at its best{average})"
        return "it is neither the loader nor other processes; processors slow down when they are hot"
