"""The commands of the project: python -m stages.NAME."""

import gc
import os
import signal
import sys
from types import TracebackType

# A thread that waits for others spins for some microseconds, then sleeps. GNU's OpenMP would let it spin for longer,
# and where another process needs a core, the spinning thread takes it from the one that it waits for. One that sleeps
# at once wakes up too late. OpenMP reads this as torch loads it, so it stands before any stage's imports.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# Imports make hundreds of thousands of objects that stay; to look for garbage among them again and again, as often as
# Python does at first, is a fifth of the time until a stage begins. A command (python -m) looks for none until it has
# imported what it needs: lib.runtime.stage turns this on again.
gc.set_threshold(10_000, *gc.get_threshold()[1:])
if sys.argv[0] == "-m":
    gc.disable()


def _stopped(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say of Ctrl-C that it was, in a word: it may come while a stage imports what it needs."""
    if issubclass(kind, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[0] == "-m":
    sys.excepthook = _stopped
    signal.signal(signal.SIGTERM, signal.default_int_handler)
