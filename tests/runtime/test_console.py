"""Plain lines where nobody watches, bars where somebody does."""

import io
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lib.runtime.console import Console


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


# Not fixtures: pytest puts its own stdout in place between a fixture and the test.


def to_file(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Stdout that goes to a file."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def to_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Stdout that is a terminal."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    return stream


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_plain_lines(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    stdout = to_file(monkeypatch)
    console = Console()
    console.header("Pre-training", {"device": "cpu", "precision": "32-true"})
    with console.progress(epochs=3, steps_per_epoch=100) as progress:
        for step in range(1, 101):
            clock.now += 0.11
            progress.step(poses=50, losses={"loss": 0.5 / step} if step % 10 == 0 else None)
        clock.now += 60  # validation, which is no training time
        progress.epoch(1, {"loss": 0.123456, "validation": 45.6789})
    assert stdout.getvalue().splitlines() == [
        "Pre-training",
        "  device: cpu",
        "  precision: 32-true",
        "epoch 1/3  step 100  loss 0.005  455 poses/s",  # the first losses after 10 s
        "epoch 1/3  step 100  loss 0.1235  validation 45.68  455 poses/s",
    ]


def test_speed_starts_again_with_each_epoch(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    stdout = to_file(monkeypatch)
    with Console().progress(epochs=7, steps_per_epoch=2) as progress:
        for epoch, seconds in ((1, 1.0), (2, 0.001)):
            for _ in range(2):
                clock.now += seconds
                progress.step(poses=30)
            progress.epoch(epoch, {})
    lines = stdout.getvalue().splitlines()
    assert [re.sub(" +", " ", line) for line in lines] == [
        "epoch 1/7 step 2 30 poses/s",
        "epoch 2/7 step 4 30,000 poses/s",
    ]


def test_speed_is_that_of_the_steps_alone(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Pictures and states are made between epochs, and states also between steps of one."""
    stdout = to_file(monkeypatch)
    with Console().progress(epochs=2, steps_per_epoch=4) as progress:
        for epoch in (1, 2):
            for _ in range(2):
                clock.now += 70
                progress.steps_begin()
                for _ in range(2):
                    clock.now += 0.5
                    progress.step(poses=30)
            clock.now += 70
            progress.epoch(epoch, {})
    assert [line.split("  ")[-1] for line in stdout.getvalue().splitlines()] == ["60 poses/s"] * 2


def test_an_epoch_without_steps_divides_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = to_file(monkeypatch)
    with Console().progress(epochs=1, steps_per_epoch=1) as progress:
        progress.epoch(1, {"loss": float("nan")})
    assert "loss nan" in stdout.getvalue()


def test_force_color_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = to_file(monkeypatch)
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = Console()
    console.header("Title", {"key": "value"})
    with console.progress(1, 1) as progress:
        progress.step(poses=1, losses={"loss": 1.0})
        progress.epoch(1, {"loss": 1.0})
    assert not console.live
    assert "\x1b" not in stdout.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    to_terminal(monkeypatch)
    assert Console().live
    monkeypatch.setenv("TERM", "dumb")
    assert not Console().live


def test_bars_in_a_terminal(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    terminal = to_terminal(monkeypatch)
    console = Console()
    console.header("Pre-training", {"device": "cpu"})
    assert "╭" in terminal.getvalue()
    with console.progress(epochs=2, steps_per_epoch=10) as progress:
        console.announce("using 32-true [not bf16-mixed] :smile:")
        for step in range(10):
            clock.now += 0.3
            progress.step(poses=50, losses={"loss": 0.25} if step == 0 else None)
        progress.epoch(1, {"loss": 0.125})
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "using 32-true [not bf16-mixed] :smile:" in text
    assert "10/10" in text
    assert "loss 0.25  167 poses/s" in text  # the last losses given stay
    assert "epoch 1/2  step 10  loss 0.125" in text


def test_what_takes_long_is_counted(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    def items() -> Iterator[int]:
        for number in range(50):
            clock.now += 0.5
            yield number

    stdout = to_file(monkeypatch)
    console = Console()
    assert [*console.track(items(), "reading [walk]", 50)] == [*range(50)]
    assert stdout.getvalue().splitlines() == ["reading [walk]: 19 of 50", "reading [walk]: 39 of 50"]
    assert [*console.track(items(), "film")] == [*range(50)]
    assert stdout.getvalue().splitlines()[2:] == ["film: 19", "film: 39"]
    assert [*Console(quiet=True).track(items(), "film")] == [*range(50)]
    terminal = to_terminal(monkeypatch)
    console = Console()
    for number in console.track(items(), "reading [walk]", 50):
        if number == 20:
            console.announce("one is bad")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "reading [walk]" in text and "49/50" in text and "one is bad" in text


def test_redraws_are_rare(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    to_terminal(monkeypatch)
    with Console().progress(epochs=1, steps_per_epoch=10_000) as progress:
        draws: list[float] = []
        monkeypatch.setattr(progress._bars, "refresh", lambda: draws.append(clock.now))
        for _ in range(1000):
            clock.now += 0.01
            progress.step(poses=1, losses={"loss": 1.0})
    assert 45 <= len(draws) <= 51  # 10 s, every 0.2 s


def test_a_step_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    to_file(monkeypatch)
    with Console().progress(epochs=1, steps_per_epoch=20_000) as progress:
        start = time.process_time()
        for _ in range(20_000):
            progress.step(poses=256)
        assert (time.process_time() - start) / 20_000 < 50e-6  # 2 us here


@pytest.mark.parametrize("where", [to_file, to_terminal])
def test_quiet_prints_nothing(
    where: Callable[[pytest.MonkeyPatch], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = where(monkeypatch)
    console = Console(quiet=True)
    console.header("Title", {"key": 1})
    console.announce("line")
    console.table(("a",), [("b",)])
    with console.progress(1, 1) as progress:
        progress.step(poses=1, losses={"loss": 1.0})
        progress.epoch(1, {})
    assert stream.getvalue() == ""


def test_tables_are_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = to_file(monkeypatch)
    Console().table(("device", "memory"), [("cpu", "24 GiB"), ("cuda:0", "8 GiB")])
    assert stdout.getvalue() == "device  memory\ncpu     24 GiB\ncuda:0  8 GiB\n"


CHILD = """
from lib.runtime.console import Console
console = Console()
console.announce("live" if console.live else "plain")
with console.progress(1, 2) as progress:
    progress.step(poses=1)
    progress.epoch(1, {"loss": 1.0})
"""


def test_a_child_that_inherits_a_terminal_is_live() -> None:
    # As DVC runs a stage: through a shell, stdout inherited.
    root, environment = Path(__file__).parents[2], {**os.environ, "TERM": "xterm"}
    command = f"{sys.executable} -c '{CHILD}'"
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, shell=True, cwd=root, stdout=theirs, env=environment) as process:
        os.close(theirs)
        output = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                output += chunk
        except OSError:  # Linux's way to say that the terminal's other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    assert b"live" in output
    piped = subprocess.run(command, shell=True, cwd=root, capture_output=True, text=True, env=environment, check=True)
    assert piped.stdout.startswith("plain\nepoch 1/1")
    assert piped.stderr == ""
