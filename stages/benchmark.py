"""Train and measure tables of variants, each from the raw files on: python -m stages.benchmark TABLE --source h36m.

It runs the stages' own functions in data/scratch/benchmark and adds a row a run to metrics/benchmark.csv, with all
that is needed to repeat it. Runs that the file already has, with the same params, code and raw files, are skipped, so
that an interrupted benchmark goes on.
"""

import argparse
import itertools
import json
from functools import partial
from typing import Any

import pandas as pd

from lib.experiments.runs import (
    FIGURES,
    WINDOWS,
    Changes,
    Runs,
    changed,
    keypoints_of,
    measured,
    protocol,
    require_labels,
    scratch,
    spread,
)
from lib.models import checkpoints
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive
from lib.sources.catalog import SOURCES
from lib.training.loop import TrainingParams
from stages import preprocess, pretrain

TABLES: dict[str, dict[str, Changes]] = {
    "accuracy": {
        "without labels": {},
        "the same with all labels": {"training.objective": "supervised"},
    },
    "ablation": {
        "default": {},
        "no drawn poses": {"losses.prior": 0.0},
        "bones of the teacher's poses vary": {"training.steady_teacher": False},
        "no self-distillation": {"losses.distillation": 0.0},
        "plausibility": {"losses.plausibility": 0.01},
        "symmetric bones": {"losses.symmetry": 0.1},
        "constant bones": {"losses.constancy": 0.1},
        "the prior's proportions": {"losses.proportions": 0.01},
        "smoothness": {"losses.smoothness": 0.1},
        "reconstruction of 2D": {"losses.reconstruction": 0.1},
        "elevation not learned": {"losses.elevation": 0.0},
        "proportions not learned": {"prior.bone_learning": 0.0},
        "rest directions vary": {"prior.tilt_spread_deg": 6.0},
    },
    "time": {
        f"{frames} frames": {"data.window.frames": frames, "data.window.dilation": dilation}
        for frames, dilation in ((1, 1), (9, 3), (27, 2), (81, 1))
    },
}


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Run what is missing of a table and print it, one line a variant and kind of keypoints."""
    console = Console()
    runs = Runs(paths.metrics("benchmark").with_suffix(".csv"), paths.raw(arguments.source), arguments.split)
    training = section(TrainingParams, "training", params)
    epochs = arguments.epochs or training.epochs
    base = {
        "training.objective": "lift",  # whatever params.yaml trains now
        "training.epochs": epochs,
        "training.prior_epochs": min(epochs // 3, training.prior_epochs),
    }
    called: list[dict[str, Any]] = []
    table = TABLES[arguments.table]
    for name in arguments.rows or ():
        if name not in table:
            raise UserError(f"--rows: the table {arguments.table} has no row {name!r}; it has {', '.join(table)}")
    rows = {name: table[name] for name in arguments.rows or table}
    keypoints_used = arguments.keypoints or keypoints_of(paths, arguments.source, params)
    # Seed by seed, so that a table is whole before its spread is known.
    for seed, keypoints, (name, changes) in itertools.product(range(arguments.seeds), keypoints_used, rows.items()):
        chosen = {"data.source": arguments.source, "data.keypoints": keypoints, "seed": seed}
        variant = changed(params, {**base, **chosen, **changes})
        measure = partial(_measure, console, f"benchmark: {name}, {keypoints}, seed {seed}", variant, paths, runs.split)
        called.append(runs.once({"table": arguments.table, "row": name}, variant, measure))
    _print(console, pd.DataFrame(called))


def _measure(console: Console, title: str, params: dict[str, Any], paths: Paths, split: str) -> dict[str, object]:
    """Preprocess and pre-train in a scratch folder, and evaluate on a split."""
    console.announce(title)
    own = scratch(paths, "benchmark", params["data"]["source"])
    preprocess.run(params, own)
    require_labels(own.poses, split)
    pretrain.run(params, own)
    trained = json.loads(own.metrics("pretrain").read_text(encoding="utf-8"))
    return {
        **protocol(params),
        "steps": trained["steps"],
        "training_minutes": round(trained["seconds"] / 60, 1),
        **measured(checkpoints.load(own.pretrained), own.poses, split, params),
    }


def _print(console: Console, runs: pd.DataFrame) -> None:
    """Mean and, over several seeds, standard deviation of the runs of a call."""
    columns, lines = [*FIGURES, *(f"windows_{name}" for name in WINDOWS)], []
    for names, group in runs.groupby(["row", "keypoints", "split"], sort=False):
        numbers = group[["training_minutes", *columns]].astype(float)
        figures = (spread(numbers[name]) for name in columns)
        lines.append((*map(str, names), str(len(group)), f"{numbers['training_minutes'].mean():.1f}", *figures))
    console.table(("row", "2D", "split", "seeds", "minutes", *(name.removesuffix("_mm") for name in columns)), lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.benchmark", description=__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--source", default="h36m", choices=SOURCES)
    parser.add_argument("--keypoints", nargs="*", help="all that the source has, unless named")
    parser.add_argument("--split", default="test", choices=("validation", "test"), help="choose by validation")
    parser.add_argument("--rows", nargs="*", help="of the table, all unless named")
    parser.add_argument("--seeds", type=positive(int), default=1)
    parser.add_argument("--epochs", type=positive(int), help="of every run, instead of training.epochs")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
