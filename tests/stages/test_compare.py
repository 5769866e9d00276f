"""Checkpoints side by side by a command: tables, pictures, and what cannot be compared."""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from lib.data import store
from lib.data.split import Split
from lib.evaluation.lifting import ERRORS, EvaluationParams, evaluate
from lib.experiments.model_comparison import ACTION_MEAN, Model, compare, distinct_names
from lib.inference.lifter import Lifter
from lib.models import checkpoints
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.params import section
from lib.runtime.paths import Paths
from stages import compare as stage
from tests.settings import tiny_checkpoint
from tests.stages.test_robustness import SETTINGS
from tests.synthetic import sequence, write_store

PARAMS: dict[str, Any] = SETTINGS | {"seed": 0}
EVALUATION = section(EvaluationParams, "evaluation", PARAMS)


def model(name: str, seed: int, frames: int = 3) -> Model:
    """An untrained lifter, another for each seed."""
    lifter = Lifter(tiny_checkpoint(frames), torch.device("cpu"))
    torch.manual_seed(seed)
    return Model(name, lifter.untrained())


def half_labelled(path: Path) -> Split:
    """Two takes of two actions before two cameras, of which the second has 3D in one action alone."""
    actions = [("Eating 1", True), ("Eating 1", True), ("Walking", True), ("Walking", False)]
    takes = [sequence("S9", action, 12 + 5 * n, seed=n, labels=known) for n, (action, known) in enumerate(actions)]
    store.write(path, {"test": takes}, H36M_LAYOUT)
    return store.read_split(path, "test", "if any")


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return store.read_split(write_store(tmp_path / "poses.h5"), "test", "if any")


def value(table: pd.DataFrame, name: str, **where: str) -> "pd.Series[Any]":
    rows = table[(table["model"] == name) & (table[list(where)] == pd.Series(where)).all(axis=1)]
    return rows.iloc[0]


@pytest.mark.parametrize("labels", ["all", "half", "none"])
def test_every_metric_is_that_of_evaluate(labels: str, tmp_path: Path) -> None:
    if labels == "half":
        split = half_labelled(tmp_path / "poses.h5")
    else:
        split = store.read_split(write_store(tmp_path / "poses.h5", labels == "all"), "test", "if any")
    models = [model("a", 1), model("b", 2, frames=5)]
    found = compare(models, split, EVALUATION, seed=0)
    for one in models:
        whole = evaluate(split, one.lifter.lift(split, **EVALUATION.lifting), EVALUATION.scale, one.lifter.body_size)
        measured = {name: number for name, number in whole.metrics.items() if isinstance(number, float)}
        rows = found.overall[found.overall["model"] == one.name].set_index("metric")["value"]
        assert list(rows.index) == list(measured)
        for name, number in measured.items():
            assert rows[name] == pytest.approx(number, rel=1e-4), name
        for key, table, wanted in (
            ("joint", found.by_joint, whole.per_joint),
            ("action", found.by_action, whole.per_action),
        ):
            own = table[table["model"] == one.name]
            assert set(own[key]) == set(wanted[key])
            for _, row in own.iterrows():
                number = wanted.set_index(key).loc[row[key], row["metric"]]
                assert row["value"] == pytest.approx(number, rel=1e-4, abs=1e-4)


def test_differences_are_from_the_first(split: Split) -> None:
    first, other = model("a", 1), model("b", 2)
    found = compare([first, other, Model("again", first.lifter)], split, EVALUATION, seed=0)
    for table in (found.overall, found.by_joint, found.by_action):
        assert table[table["model"] == "a"]["difference"].isna().all()
        same = table[table["model"] == "again"][["difference", "low", "high"]].fillna(0.0)
        assert (same == 0.0).all(axis=None)
    for metric in (*ERRORS, f"p_mpjpe{ACTION_MEAN}", "bone_symmetry_error"):
        row = value(found.overall, "b", metric=metric)
        assert row["difference"] == pytest.approx(row["value"] - value(found.overall, "a", metric=metric)["value"])
        assert row["low"] < row["difference"] < row["high"]
    alone = value(found.by_action, "b", action="Walking", metric="p_mpjpe_mm")
    assert pd.isna(alone["low"]) and not pd.isna(alone["difference"])  # one sequence of that action


def test_cameras_of_one_take_can_count_once(tmp_path: Path) -> None:
    split = half_labelled(tmp_path / "poses.h5")
    models = [model("a", 1), model("b", 2)]
    sequences, takes = (compare(models, split, EVALUATION, 0, together) for together in (False, True))
    where = {"action": "Eating", "metric": "p_mpjpe_mm"}
    assert not pd.isna(value(sequences.by_action, "b", **where)["low"])
    assert pd.isna(value(takes.by_action, "b", **where)["low"])
    assert not pd.isna(value(takes.overall, "b", metric="p_mpjpe_mm")["low"])


def test_names_are_as_short_as_they_can_be_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one/model.pt", "two/model.pt", "two/other.pt.gz")]
    assert distinct_names(paths) == ["one/model", "two/model", "other"]
    assert distinct_names(paths[1:]) == ["model", "other"]
    assert distinct_names([paths[2], paths[2], paths[2]]) == ["other", "other (2)", "other (3)"]
    assert distinct_names([paths[0], paths[1], paths[0]]) == ["one/model", "two/model", "one/model (2)"]
    assert distinct_names([tmp_path / "model.pt", tmp_path / "model.pt.gz"]) == ["model.pt", "model.pt.gz"]


# The command


def run(root: Path, *models: Path, split: str = "test", output: Path | None = None) -> None:
    arguments = {"output": output, "split": split, "resample": "sequences", "threads": 1}
    stage.run(argparse.Namespace(checkpoints=models, **arguments), PARAMS, Paths(root))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_store(Paths(tmp_path).poses)
    checkpoints.save(tiny_checkpoint(frames=3), tmp_path / "one.pt")
    other = replace(tiny_checkpoint(frames=5, network="vit"), layout=LAYOUTS["coco"])
    checkpoints.save(other, tmp_path / "two.pt.gz")
    return tmp_path


def test_tables_and_pictures_are_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(root, root / "one.pt", root / "two.pt.gz")
    folder = root / "data" / "scratch" / "compare"
    names = ["overall.csv", "per_action.csv", "per_joint.csv", "comparison.md", "per_action.png", "per_joint.png"]
    names.append("viewer.html")
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    overall = pd.read_csv(folder / "overall.csv")
    assert set(overall["model"]) == {"one", "two"}
    assert {"parameters", "poses_per_s", *ERRORS, "auc", "bone_constancy_error"} <= set(overall["metric"])
    assert set(pd.read_csv(folder / "per_joint.csv")["joint"]) == set(H36M.names)
    assert set(pd.read_csv(folder / "per_action.csv")["action"]) == {"Eating", "Walking"}
    for name in ("per_action.png", "per_joint.png"):
        with Image.open(folder / name) as image:
            assert image.width > 500
    text = (folder / "comparison.md").read_text()
    row = overall[(overall["metric"] == "p_mpjpe_mm") & (overall["model"] == "two")].iloc[0]
    cell = f"{row['value']:.2f} ({row['difference']:+.2f}; {row['low']:+.2f} to {row['high']:+.2f})"
    assert f"| {cell} |" in text and cell in capsys.readouterr().out
    assert "60 frames in 3 sequences of the split test" in " ".join(text.split())
    page = (folder / "viewer.html").read_text()
    scenes = json.loads(page.split('type="application/json" id="data">')[1].split("</script>")[0])["scenes"]
    assert scenes and all([motion["model"] for motion in scene["motions"]] == ["one", "two"] for scene in scenes)
    assert text.count("\n| --- |") == 3 and "| left_wrist |" in text and "| Walking |" in text


def test_without_3d_there_is_what_needs_none(root: Path) -> None:
    write_store(Paths(root).poses, labels=False)
    run(root, root / "one.pt")
    folder = root / "data" / "scratch" / "compare"
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".csv") == ["comparison.md", "viewer.html"]
    assert set(pd.read_csv(folder / "overall.csv")["metric"]) == {
        *("parameters", "poses_per_s", "stated_error_mm", "bone_symmetry_error", "bone_constancy_error")
    }
    assert pd.read_csv(folder / "per_joint.csv").empty


def test_what_cannot_be_compared_is_one_line(root: Path) -> None:
    checkpoints.save(tiny_checkpoint(frames=3, task="reconstruction_3d"), root / "masked.pt")
    with pytest.raises(UserError, match=r"masked\.pt is for reconstruction_3d and does not lift: leave it out"):
        run(root, root / "one.pt", root / "masked.pt")
    with pytest.raises(UserError, match=r"nothing\.pt is missing: name checkpoints that there are"):
        run(root, root / "one.pt", root / "nothing.pt")
    with pytest.raises(
        UserError, match=r"/data is a folder, where a file belongs: move it elsewhere, and name checkpo"
    ):
        run(root, root / "one.pt", root / "data")
    with pytest.raises(UserError, match=r"one\.pt is a file, where a folder belongs: move it elsewhere, or name ano"):
        run(root, root / "one.pt", output=root / "one.pt")
    known = replace(tiny_checkpoint(frames=3), layouts=(LAYOUTS["coco"],), layout=LAYOUTS["coco"])
    rows = {name: part[:1] if name.endswith("layout_embedding") else part for name, part in known.weights.items()}
    checkpoints.save(replace(known, weights=rows), root / "coco.pt")
    with pytest.raises(UserError, match="coco: the checkpoint does not know the layout 'h36m'"):
        run(root, root / "one.pt", root / "coco.pt")
    shutil.rmtree(root / "data" / "processed")
    with pytest.raises(UserError, match="run `dvc repro preprocess` first"):
        run(root, root / "one.pt")
    assert not (root / "data" / "scratch").exists()
