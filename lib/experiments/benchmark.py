"""Tables of variants, each trained from the raw files on: accuracy, ablation, windows, detections.

A row a run goes to metrics/benchmark.csv, with all that is needed to repeat it; those of detections, which are measured
under the conditions of `lib.experiments.robustness`, to metrics/detections.csv.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lib.data.store import read_split
from lib.evaluation.lifting import EvaluationParams
from lib.experiments.robustness import robustness
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
from lib.inference.lifter import Lifter
from lib.models.checkpoints import Checkpoint
from lib.runtime.console import Console
from lib.runtime.device import resolve_device
from lib.runtime.errors import UserError
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.training.params import TrainingParams

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
    # What training does about what detectors see, each part of it left out.
    "detections": {
        "default": {},
        "nothing hidden together": {
            f"data.occlusion.{name}": 0.0 for name in ("part", "joints", "edge", "away", "far_side")
        },
        "confidence is certain": {"data.transforms.any_noise_probability": 0.0},
        "one layout": {"prior.other_layouts_probability": 0.0},
        "usual cameras": {"prior.any_elevation_probability": 0.0},
        "errors not stated": {"losses.error": 0.0},
    },
}
CONDITIONS = "detections"  # the table whose rows are measured under conditions
P_MPJPE = "p_mpjpe_mm, "


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
    name = CONDITIONS if chosen.table == CONDITIONS else "benchmark"
    runs = Runs(paths.metrics(name).with_suffix(".csv"), paths.raw(chosen.source), chosen.split)
    figures = _under_conditions if chosen.table == CONDITIONS else measured
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
        measure = partial(
            _measure, console, title, variant, scratch(paths, "benchmark", chosen.source), chosen.split, figures
        )
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


def summary_of_conditions(runs: pd.DataFrame) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of the table of detections: P-MPJPE by condition, a column a variant."""
    conditions = [name for name in runs.columns if str(name).startswith(P_MPJPE)]
    variants = {str(name): group for name, group in runs.groupby("row", sort=False)}
    lines = [
        (
            str(name).removeprefix(P_MPJPE),
            *(mean_and_std(group[name].astype(float)) for group in variants.values()),
        )
        for name in conditions
    ]
    return ("p_mpjpe", *variants), lines


def _under_conditions(checkpoint: Checkpoint, poses: Path, split: str, params: Mapping[str, Any]) -> dict[str, float]:
    """P-MPJPE under each condition of `lib.experiments.robustness`, and of each layout's own keypoints."""
    evaluation = section(EvaluationParams, "evaluation", params)
    lifter = Lifter(checkpoint, resolve_device(evaluation.device))
    table = robustness(lifter, read_split(poses, split, "needed"), evaluation.batch_size)
    rows = zip(*(table[name].tolist() for name in ("condition", "joints", "p_mpjpe_mm")), strict=True)
    return {f"{P_MPJPE}{condition}, {joints}": round(error, 2) for condition, joints, error in rows}


def _measure(
    console: Console,
    title: str,
    params: dict[str, Any],
    own: Paths,
    split: str,
    figures: Callable[[Checkpoint, Path, str, Mapping[str, Any]], dict[str, float]],
) -> dict[str, object]:
    console.announce(title)
    prepare(params, own, (split,))
    trained = train(params, own)
    return {
        **protocol(params),
        "steps": trained.metrics["steps"],
        "training_minutes": round(trained.speed["seconds"] / 60, 1),
        **figures(trained.checkpoint, own.poses, split, params),
    }
