"""How criteria rank checkpoints, what choosing by them costs, and the command that trains and measures."""

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lib.experiments import checkpoint_choice as module
from lib.experiments.checkpoint_choice import (
    Chosen,
    across_seeds,
    checkpoint_choice,
    early_stopping,
    early_stopping_step,
    read_rows,
    tables,
    within_runs,
)
from lib.experiments.criteria import ERROR
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from tests.param_runs import make_quick
from tests.settings import PARAMS


def rows(seed: int, errors: list[float], criterion: list[float], source: str = "h36m") -> pd.DataFrame:
    """A run's checkpoints."""
    steps = [200 * (number + 1) for number in range(len(errors))]
    return pd.DataFrame(
        {
            "source": source,
            "keypoints": "gt",
            "split": "validation",
            "seed": seed,
            "step": steps,
            ERROR: errors,
            "criterion": criterion,
        }
    )


def test_rank_correlation_and_costs_within_runs() -> None:
    agrees = rows(0, [50.0, 40.0, 32.0, 30.0], [0.9, 0.5, 0.11, 0.1])
    misleads = rows(1, [60.0, 45.0, 30.0, 35.0], [1.0, 2.0, 4.0, 3.0])  # chooses 60: 25 above the last
    table = within_runs(pd.concat([agrees, misleads], ignore_index=True), ["criterion"]).set_index("criterion")
    found = table.loc["criterion"]
    assert found["runs"] == 2
    assert found["whole run"] == pytest.approx((1 - 1) / 2)
    assert found["second half"] == pytest.approx((1 - 1) / 2)
    assert found["above the best, mm"] == pytest.approx((0 + 30) / 2)
    assert found["above the last, mm"] == pytest.approx((0 + 25) / 2)
    assert found["at worst, mm"] == pytest.approx(25)


def test_changes_show_what_falls_with_the_step_alone() -> None:
    errors = [60.0, 50.0, 40.0, 30.0, 20.0, 18.0, 15.0, 11.0]  # of the second half: -2, -3, -4
    knows, falls = [e / 2 for e in errors], [8.0, 7.0, 6.0, 5.0, 4.0, 1.0, 0.5, 0.4]  # of the latter: -3, -0.5, -0.1
    both = rows(0, errors, knows).assign(falls=falls)
    table = within_runs(both, ["criterion", "falls"])
    assert table["whole run"].tolist() == pytest.approx([1, 1])
    assert table["changes"].tolist() == pytest.approx([1, -1])


def test_a_criterion_that_a_run_lacks_is_judged_on_the_others() -> None:
    lacks = rows(0, [50.0, 40.0], [float("nan"), float("nan")])
    has = rows(1, [50.0, 40.0], [2.0, 1.0])
    found = within_runs(pd.concat([lacks, has], ignore_index=True), ["criterion"]).iloc[0]
    assert (found["runs"], found["whole run"]) == (1, pytest.approx(1))


def test_seeds_are_compared_at_the_same_step_of_the_same_data_in_the_second_half() -> None:
    first = rows(0, [50.0, 40.0, 31.0, 30.0], [9.0, 8.0, 2.0, 1.0])
    other = rows(1, [49.0, 39.0, 32.0, 29.0], [9.5, 9.0, 3.0, 2.0])  # agrees at step 600, not at step 800
    elsewhere = rows(0, [10.0, 9.0, 8.0, 7.0], [0.1, 0.1, 0.1, 0.1], source="sample")
    both = pd.concat([first, other, elsewhere], ignore_index=True)
    assert across_seeds(both, ["criterion"]) == pytest.approx([0.0])
    assert across_seeds(both[both["step"] == 600], ["criterion"]) == pytest.approx([1.0])


def test_early_stopping_keeps_the_lowest_loss_before_its_patience_ends() -> None:
    losses = {100: 5.0, 200: 3.0, 300: 3.5, 400: 3.2, 500: 1.0}
    assert early_stopping_step(losses, patience=2) == 200
    assert early_stopping_step(losses, patience=3) == 500


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    make_quick(monkeypatch)
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    params["data"]["split"] = {"train": ["S1"], "validation": ["S8"], "test": ["S9"]}
    params["training"] |= {"epochs": 2, "steps_per_epoch": 5, "batch_size": 16, "prior_batch_size": 16}
    params["training"] |= {"prior_epochs": 1, "validate_every": 2}
    return params


def run(params: dict[str, Any], paths: Paths, **changes: Any) -> pd.DataFrame:
    chosen = {"seeds": 2, "every": 1, **changes}
    return checkpoint_choice(Chosen("h36m", **chosen), params, paths, Console(quiet=True))


def test_every_checkpoint_is_measured_once(
    tmp_path: Path, h36m_raw: Path, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path)
    table = run(params, paths)
    assert table[["seed", "step"]].to_numpy().tolist() == [[0, 5], [0, 10], [1, 5], [1, 10]]
    assert table.notna().all(axis=None)
    assert table[ERROR].nunique() == 4
    curves = pd.concat([pd.read_csv(file) for file in sorted(tmp_path.rglob("curves.csv"))])
    assert table["validation/total"].to_numpy() == pytest.approx(curves["validation/total"].to_numpy(), 1e-4)
    monkeypatch.setattr(module, "pretrain", None)  # nothing is trained again
    assert run(params, paths, split="train")["split"].tolist() == ["validation"] * 4 + ["train"] * 4
    # Without a peer, in place of those with it.
    assert run(params, paths, seeds=1)["peer_run"].eq("none").sum() == 2
    assert len(run(params, paths)) == 8
    path = paths.metrics("criteria").with_suffix(".csv")
    written = path.read_bytes()
    monkeypatch.setattr(module, "Judge", None)  # nor measured
    pd.testing.assert_frame_equal(run(params, paths), read_rows(paths))
    assert path.read_bytes() == written


def test_another_run_takes_the_place_of_the_one_before(tmp_path: Path, h36m_raw: Path, params: dict[str, Any]) -> None:
    paths = Paths(tmp_path)
    store, names = tmp_path / "data/scratch/criteria/h36m-gt/data/processed/poses.h5", []
    names.append(run(params, paths, seeds=1)["run"].unique().item())
    made = store.stat().st_mtime_ns
    rarer = run(params, paths, seeds=1, every=2)
    assert rarer["step"].tolist() == [10]
    assert store.stat().st_mtime_ns == made
    names.append(rarer["run"].item())
    params["data"]["min_frames"] -= 1
    names.append(run(params, paths, seeds=1, every=2)["run"].item())
    assert store.stat().st_mtime_ns > made
    assert len(set(names)) == 3


def test_a_run_that_would_keep_no_checkpoint_is_one_line(
    tmp_path: Path, h36m_raw: Path, params: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match="--every 3: a run has 2 epochs and would keep no checkpoint"):
        run(params, Paths(tmp_path), every=3)


def test_a_missing_or_damaged_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"criteria\.csv is missing: run without --table first"):
        read_rows(Paths(tmp_path))
    path = Paths(tmp_path).metrics("criteria").with_suffix(".csv")
    path.parent.mkdir()
    path.write_text("")
    with pytest.raises(UserError, match=r"criteria\.csv is damaged \(.*\): delete it, or restore it with git checkout"):
        read_rows(Paths(tmp_path))


def test_tables_have_a_row_a_criterion_for_each_kind_of_data_and_for_all() -> None:
    seeds = [rows(0, [50.0, 40.0, 32.0, 30.0], [9.0, 8.0, 2.0, 1.0]), rows(1, [51.0, 41.0, 31.0, 30.5], [9.0] * 4)]
    noisy = rows(0, [60.0, 50.0, 45.0, 46.0], [9.0, 8.0, 2.0, 1.0]).assign(keypoints="noisy")
    every = pd.concat([*seeds, noisy], ignore_index=True).assign(kept_by_patience=500)
    found = list(tables(every))
    assert [title for title, _, _ in found] == ["h36m, gt, validation", "h36m, noisy, validation", "all"]
    _, columns, lines = found[1]
    last, criterion = (dict(zip(columns, line, strict=True)) for line in lines)
    assert (last["criterion"], last["runs"], last["changes"], last["across seeds"]) == ("take the last", "1", "-", "-")
    assert (criterion["criterion"], criterion["whole run"]) == ("criterion", "0.80")
    assert criterion["above the best, mm"] == "1.00"
    assert list(early_stopping(every))[2] == (
        "h36m, noisy, validation, 0: patience of 5 keeps step 500; P-MPJPE at 400 is 50.00, at the last 46.00, "
        "at best 45.00 mm"
    )
