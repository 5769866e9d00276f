"""The real graph, run by DVC in a copy of the project as a user would run it."""

import json
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from lib.data import store
from lib.runtime.files import sha256
from lib.runtime.params import read
from lib.runtime.paths import Paths
from lib.sources.clips import CLIPS
from stages import pretrain
from tests import contract
from tests.project import Project, ran


def test_a_repro_writes_every_out(project: Project) -> None:
    for stage in contract.stages(project.root).values():
        for path in contract.paths_of(stage, "outs", "metrics", "plots"):
            assert (project.root / path).exists(), path
    metrics = json.loads((project.root / "metrics/evaluate.json").read_text())
    assert metrics["frames"] > 0
    assert metrics["p_mpjpe_mm"] > 0
    assert not project.run("git status --porcelain --ignored=no").strip()


def test_a_second_repro_runs_nothing(project: Project) -> None:
    output = project.run("dvc repro")
    assert "Running stage" not in output
    assert "up to date" in output


def test_a_visualize_param_reruns_only_visualize(project: Project) -> None:
    output = project.run("dvc exp run -S visualize.dpi=60")
    assert ran(output) == ["check", "visualize"]
    project.run("git checkout -q .")
    project.run("dvc checkout -q")


def test_a_learning_rate_reruns_from_pretrain_and_metrics_differ(project: Project) -> None:
    output = project.run("dvc exp run -S training.lr=5e-4")
    assert ran(output) == ["check", "pretrain", "finetune", "evaluate", "visualize"]
    assert read(project.root / "params.yaml")["training"]["lr"] == 5e-4
    assert "p_mpjpe_mm" in project.run("dvc metrics diff")
    assert "training.lr" in project.run("dvc exp show --csv")
    assert "index.html" in project.run("dvc plots show")
    project.run("git checkout -q .")
    project.run("dvc checkout -q")


def test_queued_experiments_run_beside_each_other(project: Project) -> None:
    """Two workers at once, in folders of their own; the workspace stays as it is."""
    project.run("dvc exp run --queue --name slow -S training.lr=5e-4 pretrain")
    project.run("dvc exp run --queue --name fast -S training.lr=0.002 pretrain")
    project.run("dvc queue start -j 2")
    try:
        found = _finished(project, {"slow", "fast"})
    finally:
        project.attempt("dvc queue stop --kill")
    assert not project.run("git status --porcelain --ignored=no").strip()
    rates = {name: _shown(project, f"{ref}:params.yaml").split("lr: ")[1].split()[0] for name, ref in found.items()}
    assert {name: float(rate) for name, rate in rates.items()} == {"slow": 5e-4, "fast": 2e-3}
    losses = {json.loads(_shown(project, f"{ref}:metrics/pretrain.json"))["validation_loss"] for ref in found.values()}
    assert len(losses) == 2
    assert set(found) <= set(project.run("dvc exp list --name-only").split())
    project.run(f"dvc exp remove {' '.join(found)}")


def test_a_fresh_clone_pulls_what_was_pushed_and_runs_nothing(project: Project, tmp_path: Path) -> None:
    """By a remote in a local folder, which is set where git does not see it, as credentials of a real one would be."""
    remote, clone = tmp_path / "remote", Project(tmp_path / "clone")
    project.run(f"dvc remote add --local --default store {remote}")
    try:
        project.run("dvc push -q")
        project.run(f"git clone -q . {clone.root}")
    finally:
        project.run("dvc remote remove --local store")
    assert not (clone.root / "data" / "models").exists()
    clone.run(f"dvc remote add --local --default store {remote}")
    clone.run("dvc pull -q")
    assert ran(clone.run("dvc repro")) == []
    assert not clone.run("git status --porcelain --ignored=no").strip()
    for name in ("data/models/finetuned.pt", "data/predictions/test.h5"):
        assert sha256(clone.root / name) == sha256(project.root / name)


def test_an_experiment_in_a_folder_of_its_own_leaves_the_workspace(project: Project) -> None:
    before = (project.root / "params.yaml").read_bytes()
    project.run("dvc exp run --temp --name aside -S visualize.dpi=60")
    assert (project.root / "params.yaml").read_bytes() == before
    assert not project.run("git status --porcelain --ignored=no").strip()
    ref = project.run("git for-each-ref --format=%(refname) refs/exps/**/aside").strip()
    assert "dpi: 60" in _shown(project, f"{ref}:params.yaml")
    project.run("dvc exp remove aside")


def _finished(project: Project, names: set[str], seconds: float = 600.0) -> dict[str, str]:
    """The commits of experiments by their names, once all of them are there."""
    ends, found = time.monotonic() + seconds, dict[str, str]()
    while set(found) < names:
        assert time.monotonic() < ends, project.attempt("dvc queue status").stdout
        time.sleep(1)
        refs = project.run("git for-each-ref --format=%(refname) refs/exps").split()
        found = {ref.split("/")[-1]: ref for ref in refs if ref.split("/")[-1] in names}
    return found


def _shown(project: Project, place: str) -> str:
    return project.run(f"git show {place}")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.lr=-1", "training.lr = -1: must be a number above 0 and at most 10"),
        ("visualize.dpi=9999", "visualize.dpi = 9999: must be a whole number from 50 to 400"),
        ("+trainig.lr=1e-3", "trainig is not a known key"),
        ("finetune.checkpoint=data/models/other.pt", "finetune.checkpoint = 'data/models/other.pt': there is no such"),
        ("data.source=", "data.source = ''"),
    ],
)
def test_a_bad_param_is_one_line_and_costs_no_file(project: Project, setting: str, message: str) -> None:
    before = _outs(project)
    result = project.attempt(f"dvc exp run -S {setting}")
    after = _outs(project)
    project.run("git checkout -q .")
    project.run("dvc checkout -q")
    assert result.returncode != 0
    assert f"error: params.yaml: {message}" in result.stderr
    assert "Traceback" not in result.stderr
    assert ran(result.stdout) == ["check"]
    assert after == before


def test_a_stage_that_fails_leaves_the_last_outs(project: Project) -> None:
    """What only data can tell is found by the stage itself, for which DVC would have removed its outs."""
    before = _outs(project)
    result = project.attempt("dvc exp run -S data.min_frames=100000")
    after = _outs(project)
    project.run("git checkout -q .")
    project.run("dvc checkout -q")
    assert result.returncode != 0 and "leaves no sequence" in result.stderr
    assert ran(result.stdout) == ["check", "preprocess"]
    assert after == before


def test_a_bad_param_that_is_taken_back_runs_nothing_else(project: Project) -> None:
    assert project.attempt("dvc exp run -S training.lr=-1").returncode != 0
    project.run("git checkout -q params.yaml")
    assert set(ran(project.run("dvc repro"))) <= {"check"}
    assert not project.run("git status --porcelain --ignored=no").strip()


def test_missing_h36m_files_are_one_line(project: Project) -> None:
    result = project.attempt("dvc exp run -S data.source=h36m")
    project.run("git checkout -q .")
    project.run("dvc checkout -q")
    assert result.returncode != 0
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    for part in ("data_3d_h36m.npz", "data_2d_h36m_gt.npz", "data/raw/h36m", "VideoPose3D"):
        assert part in line


def test_how_pictures_look_is_no_reason_to_train_again(project: Project) -> None:
    """Every file of lib/plotting is touched; the check reads the params of pictures."""
    files = sorted((project.root / "lib/plotting").glob("*.py"))
    before = {file: file.read_text() for file in files}
    for expected in ({"check", "visualize"}, {"visualize"}):
        for file, text in before.items():
            file.write_text(text if file.stem == "params" and "check" not in expected else f"{text}# another colour\n")
        status = project.run("dvc status").splitlines()
        assert {line.rstrip(":") for line in status if not line.startswith((" ", "\t"))} == expected
    for file, text in before.items():
        file.write_text(text)


def test_what_is_learned_is_a_reason_to_train_again(project: Project) -> None:
    """So that the test above can fail: `dvc status` sees changed code."""
    file = project.root / "lib/objectives/losses.py"
    before = file.read_text()
    file.write_text(f"{before}# another loss\n")
    status = project.run("dvc status")
    file.write_text(before)
    assert {"pretrain:", "finetune:"} <= set(status.splitlines())
    assert "lib/objectives" in status and "visualize:" not in status


def test_pretraining_cannot_see_3d(project: Project, tmp_path: Path) -> None:
    """With the store's 3D removed or scrambled, pre-training gives bit-identical weights."""
    params = read(project.root / "params.yaml")
    params["training"]["threads"] = 1
    weights = []
    for change in ("keep", "remove", "scramble"):
        paths = Paths(tmp_path / change)
        paths.poses.parent.mkdir(parents=True)
        shutil.copy(project.root / "data/processed/poses.h5", paths.poses)
        with h5py.File(paths.poses, "r+") as file:
            for split in file.values():
                positions = split["positions"][:]
                if change != "keep":
                    del split["positions"]
                if change == "scramble":
                    split["positions"] = np.random.default_rng(0).normal(size=positions.shape).astype(np.float32)
        pretrain.run(params, paths)
        weights.append(torch.load(paths.pretrained, weights_only=True)["weights"])
    first, *others = weights
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)
    assert store.read_split(Paths(tmp_path / "keep").poses, "train").positions is None


def test_the_sample_has_the_clips_that_the_project_writes(project: Project) -> None:
    clips = {path.stem.removeprefix("humanoid3d_") for path in (project.root / "data/raw/sample").glob("*.txt")}
    assert clips >= {clip for role in CLIPS.values() for clip in role}


def _outs(project: Project) -> dict[str, str]:
    """Every file that a stage writes, with its digest."""
    paths = [
        project.root / path
        for stage in contract.stages(project.root).values()
        for path in contract.paths_of(stage, "outs", "metrics", "plots")
    ]
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return {str(file.relative_to(project.root)): sha256(file) for file in files if file.is_file()}
