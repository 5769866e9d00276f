"""The number of CPU threads that trains fastest, found out while training goes on.

Every operation of a network ends when the slowest of its threads does. So one other process on one core can make two
threads many times slower than one, and it can start or stop at any time: what was measured before says nothing then.
Steps of training themselves are timed here, because what they wait for depends on their operations.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import TypeVar

import torch

ItemT = TypeVar("ItemT")
INTERVAL = 5.0  # seconds from one trial to the next
LONGEST_INTERVAL = 60.0
RECOVERY = 1.0  # seconds after a trial before a slow step calls for another
OVERHEAD, URGENT_OVERHEAD = 0.02, 0.03  # of the time, for trials that change nothing; after a slow step
SLOW = 1.5  # times the usual step: something else has started
GAIN = 1.2  # how much faster another number of threads must be: less may be chance
PAIRS = 8  # steps of a trial with each of the two numbers
DEFEATS = 2  # of these pairs, in which the other number is no faster, end a trial
CLEAR = 2.0  # times faster ends one, too
USUAL = 8  # latest steps, whose median is the usual one


class ThreadTuner:
    """Changes the number of threads during training to what is fastest by then.

    Every few seconds, and at once when a step takes much longer than usual, some steps run in turn with the present
    number and with a neighbour, the next in `counts`. The neighbour is kept if it is clearly faster, and then the one
    beyond it has its turn. After a trial that changed nothing, the next waits until what it cost is 2 % of the time, or
    3 % if a step is slow.
    """

    def __init__(
        self,
        counts: Sequence[int],
        start: int,
        announce: Callable[[str], None],
        set_threads: Callable[[int], None] = torch.set_num_threads,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Begin with `start` threads, one of `counts`; switches are announced in one line."""
        self.counts, self.threads = sorted(counts), start
        self._announce, self._set_threads, self._clock = announce, set_threads, clock
        self._usual: deque[float] = deque(maxlen=USUAL)  # seconds of the latest steps
        self._waiting: list[int] = []  # neighbours whose trial comes next
        self._trial: _Trial | None = None
        self._ended = clock()  # when the last trial did
        self._pause = self._urgent_pause = RECOVERY  # seconds from then to the next trial, and to one after a slow step

    def timed(self, steps: Iterable[ItemT]) -> Iterator[ItemT]:
        """The same steps; what is done with each, until the next is asked for, runs with the threads of its turn."""
        for step in steps:
            self._begin_trial()
            turn = self._trial.turn(self.threads) if self._trial else self.threads
            self._set_threads(turn)
            began = self._clock()
            yield step
            self._took(self._clock() - began)
            self._set_threads(self.threads)  # for what comes between steps

    def _begin_trial(self) -> None:
        """Begin one if it is time, unless one is on."""
        if self._trial is not None or len(self.counts) < 2:
            return
        if not self._waiting and self._clock() - self._ended >= self._pause:
            at = self.counts.index(self.threads)
            self._waiting = [*self.counts[max(at - 1, 0) : at], *self.counts[at + 1 : at + 2]]
        if self._waiting:
            self._trial = _Trial(self._waiting.pop(0))

    def _took(self, seconds: float) -> None:
        """Take note of a step's time."""
        if self._trial is not None:
            self._trial.add(seconds)
            faster = self._trial.verdict()
            if faster is not None:
                self._close(self._trial, faster)
            return
        slow = len(self._usual) == USUAL and seconds > SLOW * median(self._usual)
        self._usual.append(seconds)
        if slow:
            self._pause = min(self._pause, self._urgent_pause)

    def _close(self, trial: "_Trial", faster: bool) -> None:
        """Switch or stay after a trial, and say when the next may begin."""
        self._trial, self._ended = None, self._clock()
        self._usual.clear()
        if not faster:
            self._pause = min(max(INTERVAL, trial.cost() / OVERHEAD), LONGEST_INTERVAL)
            self._urgent_pause = min(max(RECOVERY, trial.cost() / URGENT_OVERHEAD), LONGEST_INTERVAL)
            return
        self._announce(
            f"threads: {trial.threads} from here on, {self.threads} before; "
            f"a step takes {1000 * median(trial.other):.0f} ms, it took {1000 * median(trial.own):.0f} ms"
        )
        way = 1 if trial.threads > self.threads else -1
        self.threads, self._pause, self._urgent_pause = trial.threads, INTERVAL, RECOVERY
        beyond = self.counts.index(self.threads) + way
        self._waiting = [self.counts[beyond]] if 0 <= beyond < len(self.counts) else []


@dataclass
class _Trial:
    """Steps in turn with another number of threads and with the present one, the other first."""

    threads: int  # the other number
    own: list[float] = field(default_factory=list)  # seconds of the steps so far
    other: list[float] = field(default_factory=list)
    first: float | None = None  # of the other's: it starts threads, and libraries prepare for their number

    def turn(self, present: int) -> int:
        """The number of threads of the next step."""
        if self.first is None:
            return self.threads
        return present if len(self.own) <= len(self.other) else self.threads

    def add(self, seconds: float) -> None:
        """Take note of the step whose turn it was."""
        if self.first is None:
            self.first = seconds
        elif len(self.own) <= len(self.other):
            self.own.append(seconds)
        else:
            self.other.append(seconds)

    def verdict(self) -> bool | None:
        """Whether the other number is faster; None as long as that is open."""
        if self.first is None or not self.own:
            return None
        if min([self.first, *self.other]) > CLEAR * max(
            self.own
        ):  # one step says so, for more would cost as much again
            return False
        if min(len(self.own), len(self.other)) >= 2 and min(self.own) > CLEAR * max(self.other):
            return True
        # Only pairs that are complete: the present number has the first step of each.
        if sum(other >= own for own, other in zip(self.own, self.other, strict=False)) >= DEFEATS:
            return False
        return GAIN * median(self.other) < median(self.own) if len(self.other) == PAIRS else None

    def cost(self) -> float:
        """Seconds that the other number of threads has taken beyond what the present one would have."""
        taken = [self.first or 0.0, *self.other]
        return max(0.0, sum(taken) - len(taken) * fmean(self.own))
