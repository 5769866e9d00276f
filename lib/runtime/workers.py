"""Processes of this machine that train one model together, started and watched by the one that waits for them.

They get the numbers that torchrun gives, so that both ways to start them are one to the code that they run. When one of
them ends before its time, all do, and one line says which it was.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lib.runtime.errors import UserError
from lib.runtime.group import LOST, SUPERVISED

POLL_SECONDS = 0.1
LAST_WORDS_SECONDS = 10.0  # for the others to end by themselves after one has failed, with a line of their own
AGAIN = "the same command goes on from the last state"


def run_workers(command: Sequence[str], count: int) -> None:
    """Run `python -m COMMAND` in `count` processes, and wait until all are done; the first one's output is shown.

    Raises:
        UserError: one was killed, or failed in a way that the first one has not told of.
        SystemExit: the first one has said what is wrong.
    """
    parent = os.getppid()
    with tempfile.TemporaryDirectory() as folder:
        errors = [Path(folder) / f"{rank}.txt" for rank in range(count)]
        workers = _start(command, errors)
        try:
            failed = _wait(workers, parent)
            if failed is not None and workers[failed].returncode > 0:
                _let_end(workers)
        finally:
            _end(workers)
        if failed is not None:
            _tell(workers, failed, errors[failed].read_text(encoding="utf-8", errors="replace").strip())


def _start(command: Sequence[str], errors: Sequence[Path]) -> list["subprocess.Popen[bytes]"]:
    """Start a process for each file, which takes what that one says on stderr, but for the first."""
    count = len(errors)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    shared |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), SUPERVISED: str(os.getpid())}
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")] if os.name == "posix" else []
    if loopback:  # else gloo looks for the address of the host's name, which some machines do not know
        shared["GLOO_SOCKET_IFNAME"] = loopback[0]
    workers = []
    for rank, path in enumerate(errors):
        environment = {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        with path.open("wb") as file:
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", *command],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL if rank else None,
                    stderr=file if rank else None,
                    start_new_session=True,  # Ctrl-C is for this process, which ends them
                )
            )
    return workers


def _wait(workers: Sequence["subprocess.Popen[bytes]"], parent: int) -> int | None:
    """Wait until all are done, or one has failed: its number, that of whose failure is the first cause if several."""
    while True:
        codes = [worker.poll() for worker in workers]
        failed = [rank for rank, code in enumerate(codes) if code]
        if failed:
            return min(failed, key=lambda rank: codes[rank] == LOST)
        if all(code == 0 for code in codes):
            return None
        if os.getppid() != parent:
            raise UserError(f"the process that started this one is gone: {AGAIN}")
        time.sleep(POLL_SECONDS)


def _let_end(workers: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Wait a while for all to end."""
    until = time.monotonic() + LAST_WORDS_SECONDS
    while time.monotonic() < until and any(worker.poll() is None for worker in workers):
        time.sleep(POLL_SECONDS)


def _end(workers: Sequence["subprocess.Popen[bytes]"]) -> None:
    """End those that run."""
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
    for worker in workers:
        worker.wait()


def _tell(workers: Sequence["subprocess.Popen[bytes]"], failed: int, words: str) -> None:
    """Say why a worker failed, unless the first one has said what is wrong with all."""
    codes = [worker.returncode for worker in workers]
    if codes[0] > 0 and codes[0] != LOST:
        sys.exit(1)
    who, code = f"process {failed + 1} of {len(workers)}", workers[failed].returncode
    if code < 0:
        raise UserError(f"{who} was killed ({signal.Signals(-code).name}), and so the others were ended: {AGAIN}")
    if "\n" in words:  # a traceback
        print(words, file=sys.stderr)
    last = words.rpartition("\n")[2].removeprefix("error: ")
    raise UserError(f"{who} failed: {last or f'exit code {code}'}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
