"""The Makefile, where no clone is: a ZIP download has no git repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import contract

# As a user's shell calls it: under `make test`, the outer make's variables would make it "make[1]".
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in {"MAKELEVEL", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"}}


@pytest.mark.parametrize("git", [False, True])
def test_dvc_is_told_where_there_is_no_git_repository(git: bool, tmp_path: Path) -> None:
    shutil.copy(contract.ROOT / "Makefile", tmp_path)
    shutil.copytree(contract.ROOT / ".dvc", tmp_path / ".dvc", ignore=lambda *_: {"cache", "tmp", "config.local"})
    if git:
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    command = ["make", "-o", ".venv/.stamp", f"BIN={Path(sys.executable).parent}", "with-or-without-git"]
    said = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
    local = tmp_path / ".dvc" / "config.local"
    assert (local.exists() and "no_scm = true" in local.read_text()) is not git
    assert ("no git repository" in said) is not git


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("predict", "error: name a video, or a file or folder of keypoints: make predict INPUT=video.mp4"),
        ("predict INPUT=walk.mp4", "error: INPUT=walk.mp4 is missing: name a video, or a file or folder of keypoints"),
        ("fuzz EXAMPLES=many", "error: EXAMPLES=many is no number above 0: make fuzz EXAMPLES=300"),
        ("fuzz EXAMPLES=0", "error: EXAMPLES=0 is no number above 0: make fuzz EXAMPLES=300"),
        ("check", "error: what CI runs needs a clone, and this is no git repository: git clone the project"),
        ("reprodce", "error: there is neither a target nor a file reprodce: make reproduce|predict|test|benchmark|"),
        ("test PYTHON=python9", "error: Python 3.10 to 3.13 is needed, but python9 is "),
    ],
)
def test_what_cannot_be_made_is_one_line_before_anything_is_installed(words: str, said: str, tmp_path: Path) -> None:
    shutil.copy(contract.ROOT / "Makefile", tmp_path)
    for name in ("", "-export", "-tuning", "-video"):
        (tmp_path / f"requirements{name}.txt").touch()
    command = ["make", *words.split()]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    line, end = done.stderr.splitlines()
    assert line.startswith(said) and end.startswith("make: ***") and done.returncode
    assert not (tmp_path / ".venv").exists()
