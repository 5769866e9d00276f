"""Where time goes, by sections of the code that a clock is read around: `with timed("teacher"):`.

A section inside another one counts for itself and not for that one, so that all together are never more than the time
that has passed. Nobody waits for an accelerator here: its sections are as long as it takes to hand it the work, and
what it is then waited for counts where that happens.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ContextDecorator


class Sections(threading.local):
    """Seconds by section, of each thread its own."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._open: list[tuple[str, bool]] = []  # from the outermost on: names, and whether parts count for themselves
        self._since = 0.0

    def enter(self, name: str, whole: bool = False) -> None:
        """Begin a section; of a `whole` one, or inside it, no part counts for itself."""
        self._count()
        inside = self._open[-1] if self._open else (name, False)
        self._open.append(inside if inside[1] else (name, whole))

    def leave(self) -> None:
        """End the section that was begun last."""
        self._count()
        self._open.pop()

    def read(self) -> Mapping[str, float]:
        """Seconds of each section so far."""
        self._count()
        return dict(self._seconds)

    def _count(self) -> None:
        now = self._clock()
        if self._open:
            name = self._open[-1][0]
            self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now


SECTIONS = Sections()


class timed(ContextDecorator):  # noqa: N801  # used as a function is
    """Count what happens within, or in a function, as a section of this thread's time."""

    def __init__(self, name: str, whole: bool = False) -> None:
        self._name, self._whole = name, whole

    def __enter__(self) -> None:
        SECTIONS.enter(self._name, self._whole)

    def __exit__(self, *_: object) -> None:
        SECTIONS.leave()
