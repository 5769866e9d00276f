"""Tables of variants, each trained from the raw files on: accuracy, ablation, windows.

A row a run goes to metrics/benchmark.csv, with all that is needed to repeat it.
"""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from lib.experiments.runs import Runs, mean_and_std
from lib.experiments.variants import (
    FIGURES,
    WINDOW_FIGURES,
    Changes,
    changed,
    keypoints_of,
    measured,
    prepare,
    protocol,
    scratch,
    train,
)
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.training.loop import TrainingParams

TABLES: dict[str, dict[str, Changes]] = {
    "accuracy": {
        "without labels": {},
        "the same with all labels": {"training.objective": "supervised"},
    },
    "ablation": {
        "default": {},
        "no drawn poses": {"losses.prior": 0.0},
        "bones of the teacher's poses vary": {"training.constant_bone_lengths": False},
        "no self-distillation": {"losses.distillation": 0.0},
        "plausibility": {"losses.plausibility": 0.01},
        "symmetric bones": {"losses.symmetry": 0.1},
        "constant bones": {"losses.constancy": 0.1},
        "the prior's proportions": {"losses.proportions": 0.01},
        "smoothness": {"losses.smoothness": 0.1},
        "reconstruction of 2D": {"losses.reconstruction": 0.1},
        "vertical not learned": {"losses.vertical": 0.0},
        "proportions not learned": {"prior.bone_length_update": 0.0},
        "rest directions vary": {"prior.rest_direction_std_deg": 6.0},
    },
    "windows": {
        f"{frames} frames": {"data.window.frames": frames, "data.window.interval_seconds": interval}
        for frames, interval in ((1, 0.06), (9, 0.06), (27, 0.04), (81, 0.02))
    },
}


class Benchmark(NamedTuple):
    """Which rows of a table are run, on what."""

    table: str
    source: str
    split: str = "test"
    keypoints: Sequence[str] | None = None  # all that the source has, unless named
    rows: Sequence[str] | None = None  # of the table, all unless named
    seeds: int = 1
    epochs: int | None = None  # of every run, in place of training.epochs


def benchmark(chosen: Benchmark, params: Mapping[str, Any], paths: Paths, console: Console) -> pd.DataFrame:
    """The rows of a table, run now or read from the file.

    Raises:
        UserError: the table has no such row, or the source cannot be measured.
    """
    table = TABLES[chosen.table]
    for name in chosen.rows or ():
        if name not in table:
            raise UserError(f"--rows: the table {chosen.table} has no row {name!r}; it has {', '.join(table)}")
    runs = Runs(paths.metrics("benchmark").with_suffix(".csv"), paths.raw(chosen.source), chosen.split)
    training = section(TrainingParams, "training", params)
    epochs = chosen.epochs or training.epochs
    base = {
        "training.objective": "lift",  # whatever params.yaml trains now
        "training.epochs": epochs,
        "training.prior_epochs": min(epochs // 3, training.prior_epochs),
        "data.source": chosen.source,
    }
    keypoints_used = chosen.keypoints or keypoints_of(paths, chosen.source, params)
    called: list[dict[str, Any]] = []
    # Seed by seed, so that a table is whole before its standard deviations are known.
    for seed, keypoints, name in itertools.product(range(chosen.seeds), keypoints_used, chosen.rows or table):
        variant = changed(params, {**base, "data.keypoints": keypoints, "seed": seed, **table[name]})
        title = f"benchmark: {name}, {keypoints}, seed {seed}"
        measure = partial(_measure, console, title, variant, scratch(paths, "benchmark", chosen.source), chosen.split)
        called.append(runs.once({"table": chosen.table, "row": name}, variant, measure))
    return pd.DataFrame(called)


def summary(runs: pd.DataFrame) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of a table for people: mean and, over several seeds, standard deviation."""
    columns, lines = [*FIGURES, *(f"windows_{name}" for name in WINDOW_FIGURES)], []
    for names, group in runs.groupby(["row", "keypoints", "split"], sort=False):
        numbers = group[["training_minutes", *columns]].astype(float)
        figures = (mean_and_std(numbers[name]) for name in columns)
        lines.append((*map(str, names), str(len(group)), f"{numbers['training_minutes'].mean():.1f}", *figures))
    return ("row", "2D", "split", "seeds", "minutes", *(name.removesuffix("_mm") for name in columns)), lines


def _measure(console: Console, title: str, params: dict[str, Any], own: Paths, split: str) -> dict[str, object]:
    console.announce(title)
    prepare(params, own, (split,))
    trained = train(params, own)
    return {
        **protocol(params),
        "steps": trained.metrics["steps"],
        "training_minutes": round(trained.speed["seconds"] / 60, 1),
        **measured(trained.checkpoint, own.poses, split, params),
    }
