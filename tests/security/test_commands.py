"""What a shell sees of bad input: a line that begins with `error:`, exit code 1, no traceback, only a log written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import contract
from tests.security.bombs import png
from tests.security.refusal import written_in
from tests.security.test_checkpoints import zipped

pytestmark = pytest.mark.hostile


def run(folder: Path, *words: str) -> None:
    """A command in a folder, which must refuse."""
    before = written_in(folder)
    environment = {**os.environ, "PYTHONPATH": str(contract.ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith("error: ")
    assert written_in(folder) == before


def test_params(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a: &a [*a]")
    run(tmp_path, "stages.check")


def test_a_forged_checkpoint_runs_nothing(tmp_path: Path) -> None:
    shutil.copy(contract.ROOT / "params.yaml", tmp_path)
    (tmp_path / "m.pt").write_bytes(zipped(tmp_path))
    (tmp_path / "a.json").write_text("[]")
    run(tmp_path, "stages.predict", "a.json", "--checkpoint", "m.pt")
    assert not (tmp_path / "trace").exists()


def test_a_folder_of_huge_pictures(tmp_path: Path) -> None:
    shutil.copy(contract.ROOT / "params.yaml", tmp_path)
    (tmp_path / "pictures").mkdir()
    png(60_000, 60_000)(tmp_path / "pictures" / "1.png")
    run(tmp_path, "stages.predict", "pictures")
