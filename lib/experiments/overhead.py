"""How long `dvc repro` takes when there is nothing to do, beside DVC's own least: a pipeline of one empty stage."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lib.runtime.errors import UserError

EMPTY = "stages:\n  nothing:\n    cmd: 'true'\n    deps: [input]\n"  # without a dep, DVC would run it every time
SETUP = (("git", "init", "--quiet"), ("dvc", "init", "--quiet"), ("dvc", "repro", "--quiet"))


def overhead(project: Path, rounds: int) -> list[tuple[float, float]]:
    """Seconds of the project's `dvc repro` and of the empty pipeline's, in turn, a pair a round.

    Raises:
        UserError: the project has something to do, or DVC fails.
    """
    if _dvc(project, "dvc", "status", "--quiet").returncode != 0:
        raise UserError("the pipeline has something to do: run `dvc repro` first, then measure")
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder)
        for number, command in enumerate(SETUP):
            if number == len(SETUP) - 1:
                (empty / "dvc.yaml").write_text(EMPTY, encoding="utf-8")
                (empty / "input").touch()
            result = _dvc(empty, *command)
            if result.returncode != 0:
                raise UserError(f"{' '.join(command)} failed in an empty folder: {result.stderr.strip()}")
        for root in (project, empty):  # once for the files' cache
            _seconds(root)
        return [(_seconds(project), _seconds(empty)) for _ in range(rounds)]


def _seconds(root: Path) -> float:
    began = time.perf_counter()
    result = _dvc(root, "dvc", "repro")
    if result.returncode != 0 or "Running stage" in result.stdout:
        raise UserError(f"dvc repro in {root} did something: {(result.stderr or result.stdout).strip()[-200:]}")
    return time.perf_counter() - began


def _dvc(root: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with the tools of this environment, without DVC's analytics."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
