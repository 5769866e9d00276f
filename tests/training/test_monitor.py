"""Figures of speed: shares that add up to the time that passed, memory, and what they cost."""

import json
import time

import pytest
import torch

from lib.runtime import usage
from lib.runtime.timing import timed
from lib.training.monitor import Monitor
from lib.training.slowness import Slowness

CPU = torch.device("cpu")


class Time:
    """A clock of the wall, of CPU time and of sections."""

    def __init__(self) -> None:
        self.wall, self.cpu = 50.0, 9.0
        self.sections = {"model": 3.0}

    def spend(self, seconds: float, part: str | None = None) -> None:
        self.wall += seconds
        self.cpu += seconds / 2
        if part:
            self.sections[part] = self.sections.get(part, 0.0) + seconds


def test_shares_of_an_epoch_and_of_the_run() -> None:
    time = Time()
    lines = list[str]()
    monitor = Monitor(
        CPU, lines.append, Slowness(lines.append), lambda: time.wall, lambda: time.cpu, lambda: {**time.sections}
    )
    assert monitor.summary() == {"part": {}, "epochs": []}  # a run that goes on from its end
    for epoch, speed in ((3, 1), (4, 3)):  # one that goes on after two epochs
        monitor.steps_begin()
        for _ in range(5):
            time.spend(0.6 * speed, "model")
            time.spend(0.2 * speed, "prior")
            monitor.step(30)
        monitor.steps_end()
        time.spend(0.5 * speed, "validation")
        time.spend(0.5 * speed)
        figures = monitor.epoch(epoch)
        memory = figures.pop("memory/process_mb")
        assert 50 < memory < 50_000
        assert figures == pytest.approx(
            {
                "speed/poses_per_second": 150 / (4 * speed),
                "speed/cores": 0.5,
                "time/model": 0.6,
                "time/prior": 0.2,
                "time/validation": 0.1,
                "time/other": 0.1,
                **dict.fromkeys(("time/loader", "time/teacher", "time/inputs", "time/exchange"), 0),
            }
        )
    summary = json.loads(json.dumps(monitor.summary()))
    part = summary["part"]
    assert (part["first_epoch"], part["last_epoch"], part["seconds"]) == (3, 4, 20)
    assert part["time/model"] == 0.6 and part["speed/cores"] == 0.5
    assert [row["epoch"] for row in summary["epochs"]] == [3, 4]
    assert [row["speed/poses_per_second"] for row in summary["epochs"]] == [37.5, 12.5]
    assert lines == []


def test_an_accelerator_tells_of_its_memory_and_work(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3_500_000 * device.index)
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 85)
    monitor = Monitor(device, print)
    monitor.steps_begin()
    monitor.steps_end()
    figures = monitor.epoch(1)
    assert figures["memory/device_mb"] == 3.5 and figures["speed/device_utilization"] == 0.85


def test_without_nvidias_package_there_is_no_utilization(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(device: torch.device) -> int:
        raise ModuleNotFoundError("pynvml")

    monkeypatch.setattr(torch.cuda, "utilization", missing)
    assert usage.device_utilization(torch.device("cuda", 0)) is None
    assert usage.device_utilization(CPU) is usage.device_memory(CPU) is None


def test_memory_grows_with_what_a_process_holds() -> None:
    before = usage.resident_memory()
    held = bytearray(b"x" * 80_000_000)
    after = usage.resident_memory()
    assert before is not None and after is not None
    assert 60_000_000 < after - before < 120_000_000 and held


def test_all_of_it_costs_microseconds_a_step() -> None:
    monitor = Monitor(CPU, print)
    monitor.steps_begin()
    began = time.process_time()
    for _ in range(10_000):
        for part in ("prior", "teacher", "inputs", "inputs", "model"):
            with timed(part):
                pass
        monitor.step(256)
    assert (time.process_time() - began) / 10_000 < 200e-6  # 10 us here
