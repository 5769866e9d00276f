"""The command of sweeps, with DVC's part made up."""

import copy
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib.experiments.variants import Changes
from lib.pipeline.overrides import copied, metric_of
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import sweep as stage
from tests.project import IDENTITY
from tests.settings import PARAMS

pytest.importorskip("optuna", reason="pip install -r requirements-tuning.txt")
pytestmark = pytest.mark.filterwarnings("default")  # Optuna's, of what is experimental


def git(root: Path, *command: str) -> str:
    result = subprocess.run(["git", *command], cwd=root, check=True, capture_output=True, text=True, env=IDENTITY)
    return result.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one commit."""
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    return tmp_path


class Dvc:
    """Keeps experiments as DVC does, and a loss that falls with the rate; the third fails."""

    def __init__(self, root: Path) -> None:
        self.root, self.ran = root, list[list[str]]()

    def run(self, changes: Changes, root: Path, options: Sequence[str]) -> int:
        self.ran.append(list(options))
        name = options[options.index("--name") + 1]
        if name.endswith("2"):
            return 1
        lr = changes["training.lr"]
        assert isinstance(lr, float)
        file = self.root / "metrics" / "pretrain.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"validation_loss": 1 - lr, "noise": None}))
        git(self.root, "add", "metrics")
        commit = git(self.root, "commit-tree", git(self.root, "write-tree"), "-m", name)
        git(self.root, "update-ref", f"refs/exps/ab/cdef/{name}", commit)
        return 0


def run(root: Path, space: str, *options: str, params: dict[str, Any] = PARAMS) -> None:
    (root / "tuning.yaml").write_text(space)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sweep", str(root / "tuning.yaml"), *options])
        arguments = stage._arguments()
    stage.run(arguments, params, Paths(root))


def test_trials_a_table_and_a_picture(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dvc = Dvc(root)
    monkeypatch.setattr(stage, "experiment", dvc.run)
    space = "training.lr: {low: 1e-4, high: 1e-2, log: true}\ntraining.optimizer: {choices: [adam, sgd]}\n"
    run(root, space, "--trials", "4", "--name", "mine")
    assert dvc.ran[0] == ["--temp", "--name", "mine-000", "pretrain"]
    run(root, space, "--trials", "6", "--name", "mine")
    assert [options[2] for options in dvc.ran] == [f"mine-00{number}" for number in range(6)]
    lines = capsys.readouterr().out.splitlines()
    table = [line.split()[:2] for line in lines if line.startswith("mine-0") and "  " in line][-6:]
    assert [cells[1] for cells in table] == sorted(cells[1] for cells in table)
    assert table[-1] == ["mine-002", "failed"]
    assert lines[-1].endswith(f"the best is {table[0][0]}: dvc exp apply {table[0][0]}")
    assert "WARNING" not in "".join(lines)  # the criterion reads no label
    with Image.open(root / "plots" / "sweep_mine.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 50


def test_ctrl_c_says_how_to_go_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dvc = Dvc(root)

    def run_once(changes: Changes, root: Path, options: Sequence[str]) -> int:
        if dvc.ran:
            raise KeyboardInterrupt
        return dvc.run(changes, root, options)

    monkeypatch.setattr(stage, "experiment", run_once)
    with pytest.raises(SystemExit, match="stopped after 1 trials: the same command goes on"):
        run(root, "training.lr: {low: 1e-4, high: 1e-2}", "--trials", "3")
    assert (root / "plots" / "sweep_tuning.png").exists()
    monkeypatch.setattr(stage, "experiment", dvc.run)
    run(root, "training.lr: {low: 1e-4, high: 1e-2}", "--trials", "2")
    assert len(dvc.ran) == 2


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        ("training.lrr: {low: 1, high: 2}", [], r"tuning\.yaml: training\.lrr is not a known key"),
        ("training.lr: {low: 0.1, high: 20.5}", [], r"tuning\.yaml: training\.lr = 20\.5: must be a number above 0"),
        ("training.epochs: {low: 1, high: 2.5}", [], r"tuning\.yaml: training\.epochs = 2\.5"),
        ("training.optimizer: {choices: [adam, adm]}", [], r"tuning\.yaml: training\.optimizer = 'adm'"),
        ("losses.prior: {low: 0, high: 1}", [], r"losses\.prior decides what the validation loss measures"),
        ("training.lr: {low: 0.1, high: 0.2}", ["--objective", "p_mpjpe"], "--objective p_mpjpe: must be STAGE.METRIC"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_runs(
    space: str, options: list[str], message: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "experiment", lambda *_: pytest.fail("something ran"))
    with pytest.raises(UserError, match=message) as caught:
        run(root, space, "--trials", "2", *options)
    assert "\n" not in str(caught.value)
    assert not (root / "data").exists()


def test_labels_are_warned_of(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(stage, "experiment", lambda *_: 1)
    run(root, "losses.prior: {low: 0, high: 1}", "--trials", "1", "--objective", "evaluate.p_mpjpe_mm")
    assert "WARNING: evaluate.p_mpjpe_mm uses labels of the test subjects" in capsys.readouterr().out
    supervised: dict[str, Any] = copy.deepcopy(PARAMS)
    supervised["training"]["objective"] = "supervised"
    run(root, "training.lr: {low: 0.1, high: 1}", "--trials", "1", "--name", "b", params=supervised)
    assert "WARNING: pretrain.validation_loss uses labels of the validation" in capsys.readouterr().out


def test_files_that_git_and_dvc_do_not_know_go_along(root: Path) -> None:
    paths, params = Paths(root), copy.deepcopy(PARAMS)
    for file in (paths.raw("h36m") / "a.npz", paths.start("known.pt"), paths.start("mine.pt"), paths.start("none")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    git(root, "add", "data/starts/known.pt", "data/starts/none")
    assert copied(params, paths) == []
    params["data"]["source"] = "h36m"
    params["training"] |= {"start": "known.pt", "resume": "mine.pt"}
    assert copied(params, paths) == ["-C", "data/raw/h36m", "-C", "data/starts/mine.pt"]
    assert metric_of("none", "pretrain", "validation_loss", root) is None
