"""The latest states of a run that is on, so that it goes on by itself after whatever ended it.

They lie in a folder of its own, named after what determines the run: params, data and code. Whatever changes, the run
is another and begins anew. One process at a time trains a run.
"""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock, Timeout

from lib.runtime.errors import UserError
from lib.training.state import TrainingState, load_state, save_state

KEPT = 3  # other runs' folders; older ones are removed
STATE, BEFORE, LAST = "state.pt", "state_before.pt", "last_state.pt"
LIB = Path(__file__).parents[1]
ROOMS = ("runtime", "pose", "sequences", "sources", "data", "prior", "models", "objectives", "training")


class Pace(NamedTuple):
    """How often states are written."""

    seconds: float = 60.0  # from one state to the next ...
    share: float = 0.01  # ... or more, where writing takes more than this of the time


USUAL = Pace()
ALWAYS = Pace(0.0, math.inf)  # whenever one can be taken


class Recovery:
    """The states of one run below a folder; a context, in which this process alone trains it."""

    def __init__(
        self,
        root: Path,
        run: Mapping[str, Any],
        announce: Callable[[str], None],
        pace: Pace = USUAL,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`run` is all that determines it beside the code, as plain values.

        `check` raises if the run must not go on, such as one whose params are others by now; its state stays.
        """
        self.root, self.run, self._announce, self._pace, self._check = root, run, announce, pace, check
        self.folder = root / _key(run)
        self._lock = FileLock(self.folder / "lock")
        self._saved, self._interval = time.monotonic(), pace.seconds
        self._parent = os.getppid() if "DVC_STAGE" in os.environ else None

    def __enter__(self) -> "Recovery":
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"this run is being trained by process {_read(self.folder / 'process')} already: wait until it is "
                "done, or end it; it goes on from where it was"
            ) from None
        with suppress(OSError):  # a full disk ends no run
            (self.folder / "process").write_text(str(os.getpid()))
        for unfinished in self.folder.glob(f".*.{STATE}"):  # of a process that was killed
            unfinished.unlink()
        self._prune()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            kept = (self.folder / STATE).exists() or (self.folder / BEFORE).exists()
            self._announce(f"the same command {'goes on from the last state' if kept else 'begins anew: no state yet'}")
        self._lock.release()

    def latest(self) -> TrainingState | None:
        """The newest state that can be read, which is announced."""
        for path in (self.folder / name for name in (STATE, BEFORE) if (self.folder / name).exists()):
            try:
                state = load_state(path)[0]
            except UserError as error:  # damaged, or not of this version
                self._announce(f"a state of this run is left out: {error}")
                continue
            self._announce(f"this run was stopped, and goes on from {state.place}")
            return state
        return None

    def offer(self, state: Callable[[], TrainingState], last: bool) -> None:
        """Write a state if it is time, or if the run ends here.

        Raises:
            UserError: the process that started this one is gone, such as a killed DVC: nobody would take the result;
                or as `check` does.
        """
        began, orphan = time.monotonic(), self._parent not in (None, os.getppid())
        if began - self._saved >= self._interval or last or orphan:
            self._write(state())
            self._saved = time.monotonic()
            self._interval = max(self._pace.seconds, (self._saved - began) / self._pace.share)
            self._check()
        if orphan:
            raise UserError("the process that started this one is gone: run `dvc repro`, which goes on from here")

    def _write(self, state: TrainingState) -> None:
        """Put a state in place of the last, which is kept until this one is on the disk; a full disk ends no run."""
        path = self.folder / STATE
        try:
            if path.exists():
                os.replace(path, self.folder / BEFORE)
            save_state(state, self.run, path)
        except (OSError, RuntimeError, UserError) as error:
            self._announce(f"the state of this run could not be written, and training goes on: {error}")

    def finish(self) -> Path:
        """Forget the run, whose outputs are written; returns where its last state is, which `training.resume` takes."""
        path = self.root / LAST
        if (self.folder / STATE).exists():
            os.replace(self.folder / STATE, path)
        self._remove(self.folder)
        return path

    def _prune(self) -> None:
        """Remove old folders of other runs, unless somebody trains them."""
        others = [path for path in self.root.iterdir() if path.is_dir() and path != self.folder]
        for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
            lock = FileLock(path / "lock")
            try:
                with lock.acquire(timeout=0):
                    self._remove(path)
            except Timeout:
                continue

    @staticmethod
    def _remove(folder: Path) -> None:
        for name in (STATE, BEFORE, "process"):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _key(run: Mapping[str, Any]) -> str:
    """What stands for a run: what determines it, the code's bytes and torch's version."""
    deciding = {key: value for key, value in run.items() if key != "training.devices"}
    digest = sha256(json.dumps({**deciding, "torch": torch.__version__}, sort_keys=True).encode())
    for path in sorted(path for room in ROOMS for path in (LIB / room).rglob("*.py")):
        digest.update(path.relative_to(LIB).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else "another"
