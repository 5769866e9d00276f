"""The benchmark of threads beside other processes, with a clock of its own and no process."""

import pytest

from lib.experiments.contention import Finished, Meter, MeteredConsole, Others, rows
from lib.runtime.console import Console


class Noted(Others):
    """Notes what it would do."""

    def __init__(self) -> None:
        super().__init__(1)
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")


def test_a_meter_counts_each_phase_by_itself() -> None:
    others, now = Noted(), 0.0
    meter = Meter(10.0, others, lambda: now)
    console: Console = MeteredConsole(meter)
    with pytest.raises(Finished), console.progress(1, 1000) as bar:
        for _ in range(1000):
            now += 2.0 if others.calls == ["start"] else 1.0
            bar.step(100, {"total": 1.0})
    assert meter.speeds == pytest.approx([100, 50, 100])
    assert others.calls == ["start", "stop", "stop"]


def test_other_processes_end_with_training_that_fails() -> None:
    others, now = Noted(), 0.0
    with pytest.raises(RuntimeError), MeteredConsole(Meter(1.0, others, lambda: now)).progress(1, 1000) as bar:
        for _ in range(3):
            now += 1.0
            bar.step(100)
        raise RuntimeError
    assert others.calls[0] == "start" and others.calls[-1] == "stop"


def test_other_processes_start_and_stop() -> None:
    others = Others(2)
    others.start()
    running = list(others._processes)
    assert [process.poll() for process in running] == [None, None]
    others.stop()
    assert all(process.poll() is not None for process in running)


def test_auto_is_compared_with_the_best_number_of_each_phase() -> None:
    table = rows(
        {
            "auto": [[5000.0, 3000.0, 4000.0], [5000.0, 3000.0, 6000.0]],
            1: [[4000.0, 4000.0, 4000.0], [4000.0, 4000.0, 4000.0]],
            2: [[6000.0, 400.0, 5000.0], [6000.0, 600.0, 5000.0]],
        }
    )
    assert table[0] == ("auto", "5,000", "3,000", "5,000")
    assert table[2] == ("2", "6,000", "500", "5,000")
    assert table[-1] == ("auto loses", "17 %", "25 %", "0 %")
