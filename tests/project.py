"""A copy of the project in which DVC runs."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from dvc.utils.hydra import apply_overrides

from tests import contract
from tests.data.files import write_clips

TRACKED = (
    "lib",
    "stages",
    "dvc.yaml",
    "params.yaml",
    ".dvc",
    ".dvcignore",
    ".gitignore",
    "data/raw/h36m/README.md",
    "data/starts",
)
IDENTITY = {
    f"GIT_{who}_{what}": "test@example.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


_STAGES = """
import importlib, sys
from pathlib import Path
from lib.runtime.params import read
from lib.runtime.paths import Paths
for name in sys.argv[1:]:
    importlib.import_module(f"stages.{name}").run(read(Path("params.yaml")), Paths())
"""


class Project:
    """A clone of the project, in which commands run."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, command: str) -> str:
        """Run a command; it must succeed and warn of nothing on stderr. Returns its stdout."""
        result = self.attempt(command)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "WARNING" not in result.stderr, result.stderr
        return result.stdout

    def set(self, command: str) -> None:
        """Change params.yaml as a `dvc exp run` with these settings (-S) does before it runs anything."""
        words = shlex.split(command)
        settings = [words[place + 1] for place, word in enumerate(words) if word == "-S"]
        assert words[:3] == ["dvc", "exp", "run"] and len(words) == 3 + 2 * len(settings)
        apply_overrides(self.root / "params.yaml", settings)

    def run_stages(self, command: str, *stages: str) -> str:
        """What stages do with the settings of a `dvc exp run`: all in one process, and much faster than under DVC."""
        self.set(command)
        result = self._in_process([sys.executable, "-c", _STAGES, *stages])
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def attempt(self, command: str) -> "subprocess.CompletedProcess[str]":
        return self._in_process(command.split())

    def _in_process(self, words: list[str]) -> "subprocess.CompletedProcess[str]":
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, **IDENTITY, "PATH": path, "OMP_NUM_THREADS": "1"}
        return subprocess.run(words, cwd=self.root, env=environment, capture_output=True, text=True, check=False)


def new_project(root: Path) -> Project:
    """The project with made-up clips in place of the download, in debug mode, after its first `dvc repro`."""
    for name in TRACKED:
        source, target = contract.ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "tmp", "cache"))
        else:
            shutil.copy(source, target)
    write_clips(root / "data" / "raw" / "sample")
    params = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(params.replace("debug: false", "debug: true").replace("count: 2", "count: 1"))
    project = Project(root)
    project.run("git init -q -b main")
    project.run("dvc repro check")  # which the download depends on
    project.run("dvc commit --force download")  # the clips count as downloaded
    project.run("dvc repro")
    project.run("git add .")
    project.run("git commit -q -m first")
    return project


def ran(output: str) -> list[str]:
    """The stages that DVC says it ran, in their order."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]
