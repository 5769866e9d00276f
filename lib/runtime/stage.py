"""The entry point that all stages share: read and check params.yaml, run, and turn a user's error into one line."""

import argparse
import gc
import importlib
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from lib.runtime.errors import UserError
from lib.runtime.logs import LOG, log_file, stage_name
from lib.runtime.params import read
from lib.runtime.paths import Paths
from lib.runtime.unchanged import Inputs, check_params_file


def main(run: Callable[[dict[str, Any], Paths], None], lower: str = "") -> None:
    """Run a stage on ./params.yaml in the current folder; a user's error ends it in one line and exit code 1.

    `lower` names the params that decide how much memory it takes.
    """

    def with_params(paths: Paths) -> None:
        check_params_file()
        params = read(Path("params.yaml"))
        inputs = Inputs.of(params)
        LOG.info("params: %s", json.dumps(inputs.values or params, default=str))  # of DVC's stage, or all
        if "DVC_STAGE" not in os.environ:  # DVC has run the stage check by then, and importing all of lib takes seconds
            # By name, so that it is no dependency of every stage on all of lib: it decides no output.
            importlib.import_module("lib.pipeline.sections").check_params(params)
        run(params, paths)
        inputs.check()

    command(with_params, lower)


def command(run: Callable[[Paths], None], lower: str = "") -> None:
    """Run a command that reads no params.yaml; a user's error ends it in one line and exit code 1.

    In the project's folder, a log file has what it says and, where it fails, the traceback.
    """
    if not gc.isenabled():  # see stages/__init__.py
        gc.freeze()  # what is imported stays, and is not looked through again
        gc.enable()
    paths = Paths()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
    with log_file(paths.logs / stage_name()) if Path("params.yaml").exists() else nullcontext():
        _run(run, paths, lower)


def _run(run: Callable[[Paths], None], paths: Paths, lower: str) -> None:
    try:
        run(paths)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
    except IsADirectoryError as error:
        sys.exit(f"error: {error.filename} is a folder, where a file belongs: move it elsewhere")
    except OSError as error:  # a folder that cannot be written, a full disk
        if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout.fileno()):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes what is left when it ends
            sys.exit(1)
        sys.exit(f"error: {error.filename or 'files'}: {error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            raise
        sys.exit(
            f"error: there is not enough memory: {f'lower {lower} in params.yaml, or ' if lower else ''}"
            "end what else is running"
            f" ({' '.join(str(error).split())[:160] or type(error).__name__})"
        )


def _is_unread(output: int) -> bool:
    """Whether an open file is a pipe that nobody reads any more, such as one to `head`, which has seen enough."""
    if not hasattr(select, "poll"):  # on Windows
        return False
    poll = select.poll()
    poll.register(output, 0)  # errors are told in any case
    return bool(poll.poll(0))


def _is_memory(error: Exception) -> bool:
    """Whether it is about memory, of whichever device, or of a worker process that the system has ended."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in MEMORY)


# What torch says of the CPU's, of CUDA's and of MPS's, and of a worker that was killed; its import would take seconds.
MEMORY = ("not enough memory", "out of memory", "is killed by signal: killed", "t allocate memory")
NumberT = TypeVar("NumberT", int, float)


def positive(kind: type[NumberT]) -> Callable[[str], NumberT]:
    """What reads a number above 0 from a command's arguments."""

    def read_number(text: str) -> NumberT:
        try:
            number = kind(text)
        except ValueError:
            number = kind(0)
        if not number > 0:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
        return number

    return read_number
