"""A line when training has become slow, with the reason; once, and once when it is well again."""

import re
from dataclasses import dataclass, field

import pytest

from lib.training.slowness import SPAN_SECONDS, SPANS, Clocks, Slowness


@dataclass
class Machine:
    """A machine on which steps of 100 poses take a second at best."""

    lines: list[str] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0
    loader: float = 0.0
    load: float | None = 2.0

    def __post_init__(self) -> None:
        self.slowness = Slowness(
            self.lines.append,
            Clocks(lambda: self.wall, lambda: self.cpu, lambda: self.loader, lambda: self.load, cores=2),
        )

    def train(self, spans: float, step: float = 1.0, cores: float = 2.0, loader: float = 0.0, kind: str = "") -> None:
        """So many spans of steps, in epochs of seven steps with validation after each."""
        for number in range(round(spans * SPAN_SECONDS / step)):
            if number % 7 == 0:
                self.slowness.begin(kind)
            self.wall += step
            self.cpu += cores * step
            self.loader += loader * step
            self.slowness.step(100)
            if number % 7 == 6:
                self.slowness.end()
                self.wall += 1000  # which is no training
        self.slowness.end()


def test_other_processes_that_take_cpu_time() -> None:
    machine = Machine(load=4.3)
    machine.train(5)
    machine.train(20, step=3, cores=0.7)
    (line,) = machine.lines  # once
    assert re.fullmatch(
        r"training has run at 33 poses/s for 3\d s, less than half of its best 100: the machine is busy \(this process "
        r"has 0.[789] of the cores, 2.0 at its best, load average 4.3 on 2 cores\)",
        line,
    )


def test_threads_that_wait_for_each_other_take_cpu_time_all_the_same() -> None:
    machine = Machine(load=3.0)
    machine.train(5)
    machine.train(5, step=3)
    assert "the machine is busy" in machine.lines[0]


def test_a_system_without_a_load_average() -> None:
    machine = Machine(load=None)
    machine.train(5)
    machine.train(5, step=3, cores=1.0)
    assert machine.lines[0].endswith("2.0 at its best)")


def test_the_loader() -> None:
    machine = Machine()
    machine.train(5, loader=0.05)
    machine.train(5, step=4, cores=0.5, loader=0.8)
    assert re.search(
        r"it waits for the loader \([78]\d% of the time, 5% at its best\).*data.loader.workers", machine.lines[0]
    )


def test_neither_of_them_is_the_processor() -> None:
    machine = Machine()
    machine.train(5, loader=0.05)
    machine.train(5, step=2.5, loader=0.05)
    assert "processors slow down when they are hot" in machine.lines[0]


@pytest.mark.parametrize("spans", [SPANS - 1, 1])
def test_a_short_time_is_nothing(spans: int) -> None:
    machine = Machine()
    for _ in range(4):
        machine.train(5)
        machine.train(spans, step=2.5)
    assert machine.lines == []


def test_a_little_slower_is_nothing_either() -> None:
    machine = Machine()
    machine.train(5)
    machine.train(30, step=1.8)
    assert machine.lines == []


def test_it_says_when_it_is_well_again_and_can_become_slow_once_more() -> None:
    machine = Machine()
    for _ in range(2):
        machine.train(6)
        machine.train(10, step=3)
    machine.train(6, step=1.7)  # not slow any more, and not well
    slow, well = "training has run at", "training runs at"
    assert [line.split(" 9")[0][: len(slow)].strip() for line in machine.lines] == [slow, well, slow]


def test_steps_of_another_kind_have_a_best_of_their_own() -> None:
    machine = Machine()
    machine.train(5, kind="drawn")
    machine.train(30, step=3, kind="all")
    assert machine.lines == []
    machine.train(5, step=9, kind="all")
    assert "best 33" in machine.lines[0]
