"""What other processes cost training, by number of threads.

Training goes on alone, then beside processes that each keep a core busy, then alone again. Nothing is written but logs
in data/scratch.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from statistics import median

from lib.runtime.console import Console, Progress
from lib.runtime.device import candidate_threads
from lib.runtime.paths import Paths
from lib.runtime.tensorboard import Board
from lib.training.pretraining import PretrainParams, pretrain

PHASES = ("alone", "beside others", "alone again")
BUSY = "while True: pass"
ENDLESS = 1_000_000  # epochs
Speeds = list[float]  # poses per second, a phase each


def contention(
    params: PretrainParams, paths: Paths, console: Console, seconds: float, rounds: int, processes: int
) -> dict[int | str, list[Speeds]]:
    """Speeds of `auto` and of each number of threads, in turn, a list a round."""
    choices: list[int | str] = ["auto", *candidate_threads()]
    measured: dict[int | str, list[Speeds]] = {choice: [] for choice in choices}
    for turn in range(rounds):
        for choice in choices:
            meter = Meter(seconds, Others(processes))
            _train(params, choice, meter, paths)
            measured[choice].append(meter.speeds)
            speeds = ", ".join(f"{speed:,.0f}" for speed in meter.speeds)
            console.announce(f"round {turn + 1}, threads {choice}: {speeds} poses/s")
    return measured


def rows(measured: Mapping[int | str, Sequence[Speeds]]) -> list[tuple[str, ...]]:
    """Median poses/s of each choice, and how far auto's are below those of the best number in each phase."""
    medians = {choice: [median(phase) for phase in zip(*runs, strict=True)] for choice, runs in measured.items()}
    best = [
        max(phase) for phase in zip(*(speeds for choice, speeds in medians.items() if choice != "auto"), strict=True)
    ]
    losses = [1 - own / other for own, other in zip(medians["auto"], best, strict=True)]
    return [
        *((str(choice), *(f"{speed:,.0f}" for speed in speeds)) for choice, speeds in medians.items()),
        ("auto loses", *(f"{100 * loss:.0f} %" for loss in losses)),
    ]


class Others:
    """Processes that keep a core busy each."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start them."""
        self._processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(self.count)]

    def stop(self) -> None:
        """Stop those that run."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes = []


class Finished(Exception):
    """All phases are over, which is how training ends here."""


class MeterOfSteps(Progress):
    """Sees every step of training, and no more of its progress."""

    def steps_begin(self) -> None:
        """Nothing: what is between steps is part of training."""

    def epoch(self, number: int, summary: Mapping[str, float]) -> None:
        """Nothing: validation is part of training."""

    def end(self) -> None:
        """Nothing is left behind."""


class Meter(MeterOfSteps):
    """Counts the poses of each phase as training reports its steps, and starts and stops the other processes."""

    def __init__(self, seconds: float, others: Others, clock: Callable[[], float] = time.perf_counter) -> None:
        """Each phase takes `seconds`, the first one from the end of the first step on, in which libraries prepare."""
        self.speeds: Speeds = []
        self._seconds, self._others, self._clock = seconds, others, clock
        self._started: float | None = None
        self._counted = 0

    def step(self, poses: int, losses: Mapping[str, float] | None = None) -> None:
        """Count a step; at the end of a phase, start or stop the other processes."""
        del losses
        now = self._clock()
        if self._started is None:
            self._started = now
            return
        self._counted += poses
        if now - self._started < self._seconds:
            return
        self.speeds.append(self._counted / (now - self._started))
        if len(self.speeds) == len(PHASES):
            raise Finished
        if len(self.speeds) == 1:
            self._others.start()
        else:
            self._others.stop()
        self._started, self._counted = self._clock(), 0

    def end(self) -> None:
        """Leave no process behind."""
        self._others.stop()


class MeteredConsole(Console):
    """Says nothing, and shows the progress of training to a meter, whose `end` is called however training ends."""

    def __init__(self, meter: MeterOfSteps) -> None:
        super().__init__(quiet=True)
        self._meter = meter

    @contextmanager
    def progress(self, epochs: int, steps_per_epoch: int, done: int = 0, within: int = 0) -> Iterator[Progress]:
        """The meter."""
        del epochs, steps_per_epoch, done, within
        try:
            yield self._meter
        finally:
            self._meter.end()


def _train(params: PretrainParams, threads: int | str, meter: Meter, paths: Paths) -> None:
    """Train on the CPU until the meter has seen all phases."""
    changes = {"threads": threads, "device": "cpu", "patience": 0, "epochs": ENDLESS}
    endless = replace(params, training=params.training.model_copy(update=changes))
    with suppress(Finished):
        logs = paths.root / "data" / "scratch" / "contention"
        pretrain(endless, paths.poses, Board(logs, "pretrain"), MeteredConsole(meter))
