"""Train and measure tables of variants, each from the raw files on: python -m stages.benchmark TABLE --source h36m.

It runs the stages' own functions in data/scratch/benchmark and adds a row a run to metrics/benchmark.csv, with all
that is needed to repeat it. Runs that the file already has, with the same params, are skipped, so an interrupted
benchmark goes on; delete the file after a change of code.
"""

import argparse
import copy
import hashlib
import itertools
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import torch

from lib.console import Console
from lib.device import describe_devices, resolve_device
from lib.errors import UserError
from lib.evaluation import EvaluationParams, evaluate, read_split
from lib.files import replacing
from lib.inference import Lifter
from lib.params import section
from lib.paths import Paths
from lib.sources.catalog import SOURCES
from lib.stage import main, positive
from lib.training import TrainingParams
from stages import preprocess, pretrain

Changes = Mapping[str, object]  # dotted keys of params.yaml -> values
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
FIGURES = ("mpjpe_mm", "n_mpjpe_mm", "p_mpjpe_mm", "mpjpe_body_size_mm")
WINDOWS = ("n_mpjpe_mm", "p_mpjpe_mm")  # of windows as they are lifted, without what sequences know
KEYS = ("table", "row", "source", "keypoints", "split", "seed", "params")


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Run what is missing of a table and print it, one line a variant and kind of keypoints."""
    console, done = Console(), _read(paths)
    training = section(TrainingParams, "training", params)
    epochs = arguments.epochs or training.epochs
    length = {"training.epochs": epochs, "training.prior_epochs": min(epochs // 3, training.prior_epochs)}
    called: list[dict[str, Any]] = []
    # Seed by seed, so that a table is whole before its spread is known.
    table = TABLES[arguments.table]
    rows = {name: table[name] for name in table if name in (arguments.rows or table)}
    if not rows:
        raise UserError(f"--rows names none of the table {arguments.table}: it has {', '.join(table)}")
    every = itertools.product(range(arguments.seeds), _keypoints(paths, arguments), rows.items())
    for seed, keypoints, (name, changes) in every:
        chosen = {"data.source": arguments.source, "data.keypoints": keypoints, "seed": seed, **length, **changes}
        variant = _changed(params, chosen)
        row = {
            "table": arguments.table,
            "row": name,
            "source": arguments.source,
            "keypoints": keypoints,
            "split": arguments.split,
            "seed": seed,
            "params": hashlib.sha256(json.dumps(variant, sort_keys=True).encode()).hexdigest()[:12],
        }
        known = [old for old in done if all(str(old[key]) == str(row[key]) for key in KEYS)]
        if not known:
            console.announce(f"benchmark: {name}, {keypoints}, seed {seed}")
            known = [row | _measure(variant, paths, arguments.split)]
            done += known
            with replacing(paths.metrics("benchmark").with_suffix(".csv")) as temporary:
                pd.DataFrame(done).to_csv(temporary, index=False)
        called += known[-1:]
    _print(console, pd.DataFrame(called))


def _measure(params: dict[str, Any], paths: Paths, split: str) -> dict[str, object]:
    """Preprocess and pre-train in a scratch folder, and evaluate on a split."""
    scratch = Paths(paths.root / "data" / "scratch" / "benchmark")
    raw = scratch.raw(params["data"]["source"])
    raw.parent.mkdir(parents=True, exist_ok=True)
    if not raw.is_symlink():
        raw.symlink_to(paths.raw(params["data"]["source"]).resolve())
    preprocess.run(params, scratch)
    pretrain.run(params, scratch)
    evaluation = section(EvaluationParams, "evaluation", params)
    lifter, truth = Lifter.load(scratch.pretrained, evaluation.device), read_split(scratch.poses, split)
    measured, windows = (
        evaluate(truth, lifter.lift(truth, **lifting), evaluation.scale, lifter.body_size).metrics
        for lifting in (evaluation.lifting, evaluation.lifting | {"steady": False, "smooth": False})
    )
    trained_on = resolve_device(section(TrainingParams, "training", params).device)
    trained = json.loads(scratch.metrics("pretrain").read_text(encoding="utf-8"))
    hardware = next(info.hardware for info in describe_devices() if info.device == trained_on)
    return {
        "subjects": " ".join(f"{part}: {'+'.join(names)}" for part, names in params["data"]["split"].items()),
        "frames": measured["frames"],
        "steps": trained["steps"],
        "training_minutes": round(trained["seconds"] / 60, 1),
        "hardware": f"{hardware}, {torch.get_num_threads()} threads",
        **{name: round(float(measured[name]), 2) for name in FIGURES},
        **{f"windows_{name}": round(float(windows[name]), 2) for name in WINDOWS},
    }


def _keypoints(paths: Paths, arguments: argparse.Namespace) -> list[str]:
    """Those that are named, or all that the raw folder of a source holds."""
    source = arguments.source
    if arguments.keypoints:
        return list(arguments.keypoints)
    if source == "sample":
        return ["gt", "noisy"]
    found = sorted(path.stem.removeprefix("data_2d_h36m_") for path in paths.raw(source).glob("data_2d_h36m_*.npz"))
    if not found:
        raise UserError(f"{paths.raw(source)} has no data_2d_h36m_*.npz: its README says where they come from")
    return found


def _changed(params: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    changed = copy.deepcopy(dict(params))
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = changed
        for name in sections:
            place = place[name]
        if last not in place:
            raise UserError(f"params.yaml: {key} is missing")
        place[last] = value
    return changed


def _read(paths: Paths) -> list[dict[str, Any]]:
    path = paths.metrics("benchmark").with_suffix(".csv")
    if not path.exists():
        return []
    try:
        return pd.read_csv(path, dtype={"params": str}).to_dict("records")  # type: ignore[return-value]
    except (pd.errors.EmptyDataError, pd.errors.ParserError):
        raise UserError(f"{path} is damaged: delete it, or restore it with git checkout") from None


def _print(console: Console, runs: pd.DataFrame) -> None:
    """Mean and, over several seeds, standard deviation of the runs of a call."""
    groups = runs.groupby(["row", "keypoints", "split"], sort=False)
    columns, lines = [*FIGURES, *(f"windows_{name}" for name in WINDOWS)], []
    for (row, keypoints, split), group in groups:
        figures = [
            f"{group[name].mean():.1f}" + (f" +- {group[name].std():.1f}" if len(group) > 1 else "") for name in columns
        ]
        lines.append(
            (str(row), str(keypoints), str(split), str(len(group)), f"{group['training_minutes'].mean():.1f}", *figures)
        )
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
