"""The Makefile, where no clone is: a ZIP download has no git repository."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import contract


@pytest.mark.parametrize("git", [False, True])
def test_dvc_is_told_where_there_is_no_git_repository(git: bool, tmp_path: Path) -> None:
    shutil.copy(contract.ROOT / "Makefile", tmp_path)
    shutil.copytree(contract.ROOT / ".dvc", tmp_path / ".dvc", ignore=lambda *_: {"cache", "tmp", "config.local"})
    if git:
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    command = ["make", "-o", ".venv/.stamp", f"BIN={Path(sys.executable).parent}", "with-or-without-git"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    local = tmp_path / ".dvc" / "config.local"
    assert (local.exists() and "no_scm = true" in local.read_text()) is not git
    assert ("no git repository" in said) is not git
