"""Log files: what a stage or command did, beside what it says on the terminal. Standard `logging` is underneath.

The loggers of lib are `lib` and those below it, and importing lib configures none: an application does that its own
way. Each process of a stage has a file of its own, data/logs/STAGE/TIME-PROCESS.log, so that no two mix their lines.
Every line is on its way to the disk when it is written, so that a killed process leaves all of them. Who made the file
is at its top, also after it has grown too long and its older half has gone.
"""

import logging
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from lib.runtime.files import dispensable, lives

LOG = logging.getLogger("lib")
LOG.addHandler(logging.NullHandler())  # else Python prints errors where nobody has set anything up
WARNINGS = "py.warnings"  # the name that Python's own logging has for them
PACKAGES = ("torch", "numpy", "lightning-fabric", "h5py")
KEPT = 20  # files of a stage, those of running processes apart
HALF = 100_000  # bytes: a file has up to twice as many, the older half under another name
LONGEST = 20_000  # characters of an entry
GIT_SECONDS = 2.0
CHANGED = 10  # names of changed files in a line
WORDS_BEFORE = {"1": 8, "2": 9, "u": 10, "?": 1}  # a file's name in a line of git status, by how the line begins


def say(line: str, aside: bool = False) -> None:
    """Print a line, on stderr if it is `aside` of results on stdout, and log it."""
    LOG.info(line)
    print(line, file=sys.stderr if aside else sys.stdout, flush=True)


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Write what lib logs meanwhile, warnings, and what ends the process into a new file of a folder.

    What the terminal shows stays the same. Where the file cannot be written, one line says so and the run goes on.
    """

    def announce(line: str) -> None:
        say(line, aside=True)

    rank = f"-rank{os.environ['RANK']}" if "RANK" in os.environ else ""
    handler = _LogFile(folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}{rank}.log", announce)
    with _prepared(handler):
        began = time.perf_counter()
        handler.about = _about()
        for line in handler.about:
            LOG.info(line)
        try:
            yield
        except SystemExit as end:
            if end.code:  # what the terminal shows; the traceback is of what made it so
                LOG.error(end.code, exc_info=end.__context__ or end)
            raise
        except BaseException as error:
            LOG.critical("ended by %s", type(error).__name__, exc_info=error)
            raise
        else:
            LOG.info("done")
        finally:
            LOG.info("%.1f s after the imports, %.1f s of CPU in all", time.perf_counter() - began, time.process_time())


@contextmanager
def _prepared(handler: logging.Handler) -> Iterator[None]:
    """Have a handler take what all loggers and warnings say; what Python prints of others than lib, it still does."""
    root, level, show = logging.getLogger(), LOG.level, warnings.showwarning
    handlers = [handler] if root.handlers else [handler, _others()]
    for one in handlers:
        root.addHandler(one)
    LOG.setLevel(logging.INFO)
    warnings.showwarning = _logging_too(show)
    try:
        yield
    finally:
        warnings.showwarning = show
        LOG.setLevel(level)
        for one in handlers:
            root.removeHandler(one)
            one.close()


class _LogFile(RotatingFileHandler):
    """A file that is made with its first line, bounded in size; where it cannot be written, a line says so, once."""

    def __init__(self, path: Path, announce: Callable[[str], None]) -> None:
        self._announce, self._path, self._failed = announce, path, False
        self.about: list[str] = []  # the lines that a file begins with
        with self._trying():
            path.parent.mkdir(parents=True, exist_ok=True)
            _prune(path.parent)
        super().__init__(path, maxBytes=HALF, backupCount=1, encoding="utf-8", delay=True, errors="backslashreplace")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write an entry, unless that has failed before."""
        if not self._failed:
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """An entry's text, of which the middle is left out if it is too long."""
        text = super().format(record)
        return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n...\n{text[-LONGEST // 2 :]}"

    def doRollover(self) -> None:  # noqa: N802  # logging's name
        """Begin the file anew, with who made it."""
        super().doRollover()
        self.stream = self._open()
        self.stream.writelines(f"{line}\n" for line in self.about)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Give up where nothing can be written; of a mistake in the code, say what logging always does."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        with self._trying():
            raise error

    def close(self) -> None:
        """Close the file, whose last lines are lost if the disk is full."""
        with suppress(OSError):
            super().close()

    @contextmanager
    def _trying(self) -> Iterator[None]:
        self._failed = True
        with dispensable(self._path, self._announce):
            yield
            self._failed = False


def _others() -> logging.Handler:
    """What Python does where nobody has set up logging: errors and warnings of libraries are printed on stderr."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: record.name.split(".")[0] != LOG.name and record.name != WARNINGS)
    return handler


def _logging_too(show: Callable[..., None]) -> Callable[..., None]:
    """What shows warnings, and logs them."""

    def showing(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        show(message, category, filename, lineno, file, line)
        if file is None:
            text = warnings.formatwarning(message, category, filename, lineno, line).strip()
            logging.getLogger(WARNINGS).warning("%s", text)

    return showing


def _prune(folder: Path) -> None:
    """Remove the oldest files of a folder, but for those of running processes."""
    old = sorted(path for path in folder.glob("*-*-*.log"))[: -KEPT + 1]
    for path in old:
        process = path.stem.split("-")[2]
        if not (process.isdecimal() and lives(int(process))):
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.1").unlink(missing_ok=True)


def _about() -> list[str]:
    """Who writes: the command, the version of the code and of packages, and the machine."""
    git = _git()  # works while the other lines are made
    lines = [
        f"command: {' '.join([_module() or sys.argv[0], *sys.argv[1:]])}",
        f"packages: python {platform.python_version()}, {', '.join(map(_versioned, PACKAGES))}",
        f"machine: {platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores; "
        f"process {os.getpid()}",
    ]
    return [lines[0], f"code: {_code(git)}", *lines[1:]]


def _module() -> str:
    """The module that Python was asked to run."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec else ""


def stage_name() -> str:
    """The name of the stage or command that this process runs."""
    return _module().rpartition(".")[2] or Path(sys.argv[0]).stem or "python"


def _versioned(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def _git() -> "subprocess.Popen[str] | None":
    command = ("git", "status", "--porcelain=v2", "--branch")
    # In no other command's way, and not the repository of a folder above, which an unpacked ZIP may lie in.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_CEILING_DIRECTORIES": str(Path.cwd().parent)}
    with suppress(OSError):
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
        )
    return None


def _code(git: "subprocess.Popen[str] | None") -> str:
    """The commit, and which files are others than there."""
    if git is None:
        return "not known, for there is no git"
    try:
        said, _ = git.communicate(timeout=GIT_SECONDS)
    except subprocess.TimeoutExpired:
        git.kill()
        git.communicate()
        return "not known, for git is too slow"
    commits = [line.split()[-1] for line in said.splitlines() if line.startswith("# branch.oid ")]
    if git.returncode or not commits:
        return "not known, for this is no git repository"
    lines = [line for line in said.splitlines() if line[:1] in WORDS_BEFORE]
    changed = [line.split(" ", WORDS_BEFORE[line[0]])[-1].split("\t")[0] for line in lines]
    names = [*changed[:CHANGED], *([f"{len(changed) - CHANGED} more"] if len(changed) > CHANGED else [])]
    return f"commit {commits[0]}, " + (f"changed: {', '.join(names)}" if changed else "unchanged")
