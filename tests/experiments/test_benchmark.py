"""The benchmark command: changes of params, resuming, and one real row on tiny data."""

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lib.experiments.benchmark import CONDITIONS, TABLES, Benchmark, benchmark, summary, summary_of_conditions
from lib.experiments.variants import changed, require_labels
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from tests.settings import PARAMS
from tests.synthetic import write_store


@pytest.fixture
def params() -> dict[str, Any]:
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    params["data"]["split"] = {"train": ["S1"], "validation": ["S8"], "test": ["S9"]}
    params["training"]["debug"] = True
    return params


def run(params: dict[str, Any], paths: Paths, **changes: Any) -> pd.DataFrame:
    return benchmark(Benchmark("accuracy", "h36m", **changes), params, paths, Console())


@pytest.mark.parametrize("table", TABLES)
def test_every_variant_changes_params_that_exist(table: str, params: dict[str, Any]) -> None:
    for changes in TABLES[table].values():
        changed(params, changes)
    with pytest.raises(UserError, match=r"params\.yaml: losses\.magic is missing"):
        changed(params, {"losses.magic": 1})


def test_missing_raw_files_belong_into_the_folder_that_users_know(tmp_path: Path, params: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"^{tmp_path}/data/raw/h36m lacks data_3d_h36m\.npz and data_2d_h36m_gt\.npz"):
        run(params, Paths(tmp_path), keypoints=["gt"])


def test_rows_are_measured_once_and_kept(
    tmp_path: Path, h36m_raw: Path, params: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = Paths(tmp_path)
    run(params, paths)
    path = paths.metrics("benchmark").with_suffix(".csv")
    runs = pd.read_csv(path)
    assert runs[["row", "keypoints", "split", "seed"]].to_numpy().tolist() == [
        ["without labels", "gt", "test", 0],
        ["the same with all labels", "gt", "test", 0],
    ]
    assert runs["subjects"][0] == "train: S1 validation: S8 test: S9"
    assert runs["p_mpjpe_mm"][0] > 0
    written = path.read_bytes()
    capsys.readouterr()
    again = run(params, paths)
    assert path.read_bytes() == written
    assert "benchmark:" not in capsys.readouterr().out  # nothing was trained again
    _, lines = summary(again)
    assert lines[0][:4] == ("without labels", "gt", "test", "1")
    assert f"{runs['p_mpjpe_mm'][0]:.1f}" in lines[0]


def test_the_parts_of_what_detectors_see_are_measured_under_every_condition(
    tmp_path: Path, h36m_raw: Path, params: dict[str, Any]
) -> None:
    paths = Paths(tmp_path)
    chosen = Benchmark(CONDITIONS, "h36m", keypoints=["gt"], rows=["default", "one layout"], split="validation")
    runs = benchmark(chosen, params, paths, Console())
    columns, lines = summary_of_conditions(runs)
    assert columns == ("p_mpjpe", "default", "one layout")
    by_condition = {name: figures for name, *figures in lines}
    assert {"nothing hidden, own", "both legs below the hip hidden, own", "marked as coco, h36m"} <= set(by_condition)
    first, second = map(float, by_condition["nothing hidden, own"])
    assert 1 < first < 2000 and 1 < second < 2000
    written = pd.read_csv(paths.metrics(CONDITIONS).with_suffix(".csv"))
    assert written["row"].tolist() == ["default", "one layout"]
    assert written["p_mpjpe_mm, marked as coco, h36m"].nunique() == 2
    assert not paths.metrics("benchmark").with_suffix(".csv").exists()


def test_rows_without_labels_have_none_whatever_params_train(
    tmp_path: Path, h36m_raw: Path, params: dict[str, Any]
) -> None:
    params["training"]["objective"] = "supervised"
    run(params, Paths(tmp_path))
    runs = pd.read_csv(Paths(tmp_path).metrics("benchmark").with_suffix(".csv"))
    assert runs["params"].nunique() == runs["p_mpjpe_mm"].nunique() == 2


def test_a_source_without_3d_is_refused_before_training(tmp_path: Path) -> None:
    poses = write_store(tmp_path / "poses.h5", labels=False)
    with pytest.raises(UserError, match="has no 3D for the test split, so errors cannot be measured"):
        require_labels(poses, "test")


def test_an_unknown_row_is_one_line(tmp_path: Path, h36m_raw: Path, params: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"the table accuracy has no row 'magic'; it has without labels, the same"):
        run(params, Paths(tmp_path), rows=["without labels", "magic"])


def test_missing_files_are_one_line(tmp_path: Path, params: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"data/raw/h36m has no data_2d_h36m_\*\.npz"):
        run(params, Paths(tmp_path))
