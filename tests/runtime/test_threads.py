"""The tuner on machines whose speed by number of threads is made up, with a clock that only steps of training move."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count

import numpy as np
import pytest
import torch

from lib.runtime.threads import INTERVAL, ThreadTuner

Seconds = Callable[[int, float], float]  # of a step, from its number of threads and the time
ALONE = {1: 0.05, 2: 0.035, 4: 0.025}
BUSY = {1: 0.055, 2: 0.6, 4: 2.0}  # another process runs, and threads wait for each other


class Machine:
    """Trains in no time; `log` has a row a step: when it began, its number of threads, and its seconds."""

    def __init__(self, seconds: Seconds, start: int, counts: tuple[int, ...] = (1, 2, 4)) -> None:
        self.now, self.threads, self.seconds = 0.0, start, seconds
        self.log: list[tuple[float, int, float]] = []
        self.lines: list[str] = []
        self.tuner = ThreadTuner(counts, start, self.lines.append, self.set_threads, lambda: self.now)

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def train(self, until: float) -> "Machine":
        for _ in self.tuner.timed(iter(int, 1)):
            taken = self.seconds(self.threads, self.now)
            self.log.append((self.now, self.threads, taken))
            self.now += taken
            if self.now >= until:
                break
        return self

    def speed(self, begin: float, end: float) -> float:
        """Steps per second in a span of time."""
        times = [taken for began, _, taken in self.log if begin <= began < end]
        return len(times) / sum(times)


def phases(first: Mapping[int, float], then: Mapping[int, float], begin: float, end: float) -> Seconds:
    """Seconds of a step: those of `then` between two times, else of `first`."""
    return lambda threads, now: (then if begin <= now < end else first)[threads]


@pytest.mark.parametrize("start", [1, 2, 4])
def test_it_finds_the_fastest_whatever_it_begins_with(start: int) -> None:
    machine = Machine(lambda threads, now: ALONE[threads], start).train(60)
    assert machine.tuner.threads == 4
    assert len(machine.lines) == {1: 2, 2: 1, 4: 0}[start]
    assert machine.speed(10, 60) > 0.97 / ALONE[4]


@pytest.mark.parametrize("begin", [30.0, 31.7, 33.3, 36.1])
def test_it_leaves_a_collapse_within_seconds_and_comes_back(begin: float) -> None:
    machine = Machine(phases(ALONE, BUSY, begin, begin + 60), start=4).train(150)
    assert machine.speed(begin + 15, begin + 60) > (2 / 3) / BUSY[1]
    assert machine.speed(begin + 75, 150) > 0.9 / ALONE[4]
    assert machine.tuner.threads == 4


def test_a_collapse_is_left_at_once() -> None:
    slow = {1: 0.05, 2: 0.6}
    machine = Machine(phases({1: 0.05, 2: 0.035}, slow, 32, 1e9), start=2, counts=(1, 2)).train(50)
    collapsed = [began for began, threads, taken in machine.log if taken == slow[2] and began < 37]
    assert collapsed[-1] - collapsed[0] < 4
    assert machine.tuner.threads == 1
    assert machine.lines == [
        "threads: 1 from here on, 2 before; a step takes 50 ms, it took 600 ms",
    ]


@pytest.mark.parametrize("begin", [32.0, 33.0, 34.0, 35.0, 36.0])
def test_a_slow_step_calls_for_a_trial_before_its_time(begin: float) -> None:
    machine = Machine(phases({1: 0.05, 2: 0.035}, {1: 0.05, 2: 0.12}, begin, 1e9), start=2, counts=(1, 2))
    machine.train(begin + 3.5)
    assert 3.5 < INTERVAL
    assert machine.tuner.threads == 1


def test_it_stays_where_fewer_threads_are_no_faster_though_all_are_slower() -> None:
    machine = Machine(phases(ALONE, {1: 0.2, 2: 0.15, 4: 0.1}, 30, 90), start=4).train(150)
    assert machine.lines == []
    assert machine.speed(30, 90) > 0.96 / 0.1


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_flap(seed: int) -> None:
    generator = np.random.default_rng(seed)

    def noisy(threads: int, now: float) -> float:
        outlier = 4.0 if generator.random() < 0.02 else 1.0
        return float(0.05 * generator.lognormal(0, 0.1)) * outlier  # every number alike

    machine = Machine(noisy, start=2).train(600)
    assert len(machine.lines) <= 2


@pytest.mark.parametrize("seconds", [ALONE, BUSY], ids=["alone", "busy"])
def test_trials_cost_little(seconds: dict[int, float]) -> None:
    best = min(seconds, key=lambda threads: seconds[threads])
    machine = Machine(lambda threads, now: seconds[threads], start=best).train(300)
    assert machine.speed(0, 300) > 0.97 / seconds[best]
    assert {threads for _, threads, _ in machine.log} != {best}  # it did look


def test_one_core_is_left_alone() -> None:
    machine = Machine(lambda threads, now: 0.05, start=1, counts=(1,)).train(10 * INTERVAL)
    assert {threads for _, threads, _ in machine.log} == {1}


def test_between_steps_the_chosen_number_is_set() -> None:
    machine = Machine(lambda threads, now: 0.05, start=2)
    between: set[int] = set()

    def steps() -> Iterator[None]:
        while True:
            between.add(machine.threads)
            yield

    during = set()
    for _ in machine.tuner.timed(steps()):
        during.add(machine.threads)
        machine.now += 0.05
        if machine.now > 30:
            break
    assert between == {2}
    assert during == {1, 2, 4}


def test_it_sets_the_threads_of_torch() -> None:
    before, ticks = torch.get_num_threads(), count()
    seen = set()
    try:
        for _ in ThreadTuner((1, 2), 1, print, clock=lambda: float(next(ticks))).timed(range(200)):
            seen.add(torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
    assert seen == {1, 2}
