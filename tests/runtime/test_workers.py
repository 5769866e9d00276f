"""Processes that train together: all end when one does, and one line says why."""

import os
import time
from pathlib import Path

import pytest

from lib.runtime.errors import UserError
from lib.runtime.group import LOST, Group
from lib.runtime.workers import run_workers


def run(folder: Path, *words: str) -> None:
    run_workers(["tests.runtime.worker", str(folder), *words], len(words))


def test_workers_are_numbered_and_the_first_one_speaks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "print", "print")
    assert [(tmp_path / str(rank)).read_text().split()[:-1] for rank in range(2)] == [list("0202"), list("1212")]
    assert capfd.readouterr() == ("0 is done\n", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("wait", "be killed"), "process 2 of 2 was killed (SIGKILL), and so the others were ended: "),
        (("be killed", "wait"), "process 1 of 2 was killed (SIGKILL), and so the others were ended: "),
        ((str(LOST), "fail"), "process 2 of 2 failed: a file is missing"),
    ],
)
def test_one_that_ends_before_its_time_ends_all(words: tuple[str, str], line: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        run(tmp_path, *words)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)
    assert time.monotonic() - began < 30
    for rank in range(2):
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / str(rank)).read_text().split()[-1]), 0)


def test_what_the_first_one_says_is_not_said_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="^1$"):
        run(tmp_path, "fail later", "fail")
    assert capfd.readouterr().err == "error: the first one says it\n"


def test_a_process_that_nobody_numbered_is_alone() -> None:
    assert Group.of_environment() == Group(0, 1, 0, 1) and Group().first
