"""Log files: all that was said, who said it, and why it ended; never in the way of what is logged."""

import io
import logging
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from lib.runtime import logs
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.logs import log_file, say
from lib.runtime.paths import Paths
from lib.runtime.stage import command
from tests.project import IDENTITY

ROOT = Path(__file__).parents[2]


def written(folder: Path) -> str:
    """What the one log file in a folder holds."""
    (path,) = folder.glob("*.log")
    return path.read_text(encoding="utf-8")


def test_a_file_says_who_writes_and_all_that_the_console_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/pytest", "-q"])
    with log_file(tmp_path / "logs"):
        console = Console()
        console.header("pre-training", {"device": "cpu", "share": "5 %d"})
        console.table(("joint", "mm"), [("head", "9")])
        say("on the side", aside=True)
        Console(quiet=True).announce("of another process")
    text = written(tmp_path / "logs")
    for line in (
        "command: .*pytest",
        r"code: commit \w{40}, (unchanged|changed: .*)",
        r"packages: python 3\..*, torch 2\..*, numpy 2\..*",
        rf"machine: .* cores; process {os.getpid()}",
        "pre-training",
        "  device: cpu",
        "  share: 5 %d",
        "joint  mm",
        "head   9",
        "on the side",
        "of another process",
        "done",
    ):
        assert re.search(rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d\d\d INFO lib[.\w]*: {line}", text, re.M), line
    printed = capsys.readouterr()
    assert printed.out == "pre-training\n  device: cpu\n  share: 5 %d\njoint  mm\nhead   9\n"
    assert printed.err == "on the side\n"


def test_a_live_console_is_logged_in_plain_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    with log_file(tmp_path):
        console = Console()
        console.header("fine-tuning", {"labels": "1 [of] 9"})
        with console.progress(1, 1) as progress:
            progress.step(poses=1, losses={"loss": 1.0})
            progress.epoch(1, {"loss": 0.5})
    text = written(tmp_path)
    assert "\x1b" in terminal.getvalue() and "\x1b" not in text
    assert "  labels: 1 [of] 9\n" in text and "epoch 1/1  step 1  loss 0.5" in text


def test_warnings_are_logged_and_shown_as_before(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        show = warnings.showwarning
        with log_file(tmp_path):
            warnings.warn("the prior is odd", RuntimeWarning, stacklevel=1)
        assert warnings.showwarning is show
    assert [str(one.message) for one in shown] == ["the prior is odd"]
    assert re.search(r"WARNING py.warnings: .*test_logs.py:\d+: RuntimeWarning: the prior is odd", written(tmp_path))


def test_a_traceback_that_the_console_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(paths: Paths) -> None:
        raise UserError("clip.npz is damaged")

    def fail(paths: Paths) -> None:
        raise ZeroDivisionError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/somewhere/pytest"])
    Path("params.yaml").touch()
    with pytest.raises(SystemExit, match="^error: clip.npz is damaged$"):
        command(refuse)
    text = written(tmp_path / "data" / "logs" / "pytest")
    assert "ERROR lib: error: clip.npz is damaged\nTraceback" in text and "in refuse\n" in text and "done" not in text
    with pytest.raises(ZeroDivisionError):
        command(fail)
    ends = [path.read_text() for path in Path("data/logs/pytest").iterdir()]
    assert any("CRITICAL lib: ended by ZeroDivisionError\nTraceback" in text and "in fail\n" in text for text in ends)


def test_a_folder_that_is_no_project_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command(lambda paths: None)
    assert not list(tmp_path.iterdir())


def test_importing_lib_sets_nothing_up_and_an_application_may(capsys: pytest.CaptureFixture[str]) -> None:
    script = """
import logging, sys
import lib.runtime.stage, lib.runtime.console
assert not logging.getLogger().handlers and logging.getLogger("lib").level == logging.NOTSET
logging.getLogger("lib.runtime").error("to nobody")
logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s", stream=sys.stderr)
lib.runtime.console.Console(quiet=True).announce("epoch 1")
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "lib.runtime.console epoch 1\n")


def test_errors_of_libraries_are_printed_and_logged_and_those_of_lib_only_logged(tmp_path: Path) -> None:
    script = """
import logging, sys
from pathlib import Path
from lib.runtime.logs import log_file
with log_file(Path(sys.argv[1])):
    logging.getLogger("h5py").warning("of h5py")
    logging.getLogger("lib.data").warning("of lib")
logging.getLogger("h5py").warning("afterwards")
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "of h5py\nafterwards\n")
    text = written(tmp_path)
    assert "WARNING h5py: of h5py" in text and "WARNING lib.data: of lib" in text and "afterwards" not in text


def test_without_git_and_outside_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with log_file(tmp_path / "outside"):
        pass
    assert "code: not known, for this is no git repository\n" in written(tmp_path / "outside")
    git = ("git", "-c", "init.defaultBranch=main")
    subprocess.run([*git, "init", "-q"], check=True)
    Path("a b.txt").touch()
    subprocess.run([*git, "add", "a b.txt"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True, env={**os.environ, **IDENTITY})
    Path("a b.txt").write_text("changed")
    for number in range(12):
        Path(f"new{number:02}.py").touch()
    with log_file(tmp_path / "repository"):
        pass
    assert re.search(r"code: commit \w+, changed: a b.txt, new00.py, .*new08.py, 4 more\n", written(Path("repository")))
    (tmp_path / "unpacked").mkdir()
    monkeypatch.chdir(tmp_path / "unpacked")
    with log_file(tmp_path / "below"):
        pass
    assert "code: not known, for this is no git repository\n" in written(tmp_path / "below")
    monkeypatch.setenv("PATH", "")
    with log_file(tmp_path / "without"):
        pass
    assert "code: not known, for there is no git\n" in written(tmp_path / "without")


def test_files_are_bounded_and_begin_with_who_wrote(tmp_path: Path) -> None:
    with log_file(tmp_path):
        for number in range(40):
            say_nothing(f"{number} {'x' * 9_000}")
        say_nothing("y" * 10_000_000)
    files = sorted(tmp_path.iterdir())
    assert [path.suffix for path in files] == [".log", ".1"]
    assert all(path.stat().st_size < 1.2 * logs.HALF for path in files)
    assert all("code: " in path.read_text().splitlines()[1] for path in files)
    assert "done" in files[0].read_text()


def say_nothing(line: str) -> None:
    logging.getLogger("lib").info(line)


def test_the_oldest_files_go_but_for_those_of_running_processes(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    ended = [tmp_path / f"20240101-0000{second:02}-{gone.pid}.log" for second in range(logs.KEPT)]
    running = tmp_path / f"20230101-000000-{os.getppid()}-rank1.log"
    for path in (*ended, running, ended[0].with_suffix(".log.1"), tmp_path / "note.txt"):
        path.touch()
    with log_file(tmp_path):
        pass
    left = set(tmp_path.iterdir())
    assert {running, tmp_path / "note.txt", *ended[1:]} <= left and len(left) == logs.KEPT + 2
    assert ended[0].with_suffix(".log.1") not in left


def test_two_runs_at_once_do_not_mix(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from lib.runtime.logs import log_file, say
with log_file(Path(sys.argv[1])):
    for _ in range(200):
        say(sys.argv[2])
    sys.stdin.read()
"""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), word], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for word in ("one", "other")
    ]
    for run, word in zip(runs, ("one", "other"), strict=True):
        assert run.stdout is not None
        for _ in range(200):
            run.stdout.readline()
        (path,) = tmp_path.glob(f"*-{run.pid}.log")
        run.send_signal(signal.SIGKILL)  # leaves all that was said
        said = [line.rpartition(": ")[2] for line in path.read_text().splitlines()[4:]]
        assert said == [word] * 200
    for run in runs:
        run.communicate()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' full disk")
def test_a_full_disk_costs_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").mkdir()
    said = list[str]()
    handler = logs._LogFile(tmp_path / "logs" / "x.log", said.append)
    (tmp_path / "logs" / "x.log").symlink_to("/dev/full")
    with logs._prepared(handler):
        for _ in range(3):
            say("goes on")
    assert capsys.readouterr() == ("goes on\n" * 3, "")
    assert said == [
        f"{handler.baseFilename} could not be written, and the run goes on without it: No space left on device"
    ]


def test_a_folder_that_cannot_be_made_costs_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").touch()
    with log_file(tmp_path / "logs" / "pretrain"):
        say("goes on")
    printed = capsys.readouterr()
    assert printed.out == "goes on\n"
    assert re.fullmatch(r".*\.log could not be written, and the run goes on without it: Not a directory\n", printed.err)
