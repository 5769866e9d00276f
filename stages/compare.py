"""Compare checkpoints on a split: python -m stages.compare CHECKPOINT... [--output DIR] [--split NAME].

The models are measured with the params of `evaluation`. Differences are from the first one, with 95 % intervals from
2,000 resamples of the split's sequences (see lib/evaluation/comparison.py). Writes to data/scratch/compare, or to
--output: overall.csv, per_joint.csv, per_action.csv, comparison.md, viewer.html, which shows the models beside each
other, and, if there is 3D, per_joint.png and per_action.png.
"""

import argparse
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.colors import to_hex

from lib.data.split import Split
from lib.data.store import read_cameras, read_split, tested
from lib.evaluation.lifting import EvaluationParams
from lib.experiments.model_comparison import Comparison, Model, compare, load_models, speeds
from lib.inference.motion import Motion
from lib.inference.predictions import Predictions
from lib.plotting.comparison import comparison_figure
from lib.plotting.params import VisualizeParams
from lib.plotting.selection import select_sequences
from lib.pose.cameras import Camera
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.device import choose_threads
from lib.runtime.files import refuse_file, replacing
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive
from lib.viewer.packing import Scene
from lib.viewer.page import write_viewer
from lib.viewer.sequences import scenes

DRAWN = "p_mpjpe_mm"
Rows = list[tuple[str, ...]]


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print the table of all metrics, and write everything."""
    evaluation = section(EvaluationParams, "evaluation", params)
    visualize = section(VisualizeParams, "visualize", params)
    folder: Path = arguments.output or paths.root / "data" / "scratch" / "compare"
    refuse_file(folder)
    models = load_models(arguments.checkpoints, evaluation.device)
    poses = tested(paths.poses, paths.other_test) if arguments.split == "test" else paths.poses
    split = read_split(poses, arguments.split, "if any")
    threads = torch.get_num_threads()
    torch.set_num_threads(choose_threads(arguments.threads))
    try:
        found = compare(models, split, evaluation, params["seed"], arguments.resample == "takes")
        speed = speeds(models, split, evaluation)
    finally:
        torch.set_num_threads(threads)
    columns, rows = ("", *(model.name for model in models)), _costs(models, speed) + _rows(found.overall, "metric")
    Console().table(columns, rows)
    about = f"{_described(split, arguments.split, arguments.resample)}; poses/s: CPU threads {arguments.threads}"
    _write_tables(folder, found, models, speed)
    tables = {"All frames": rows}
    for key, table in (("joint", found.by_joint), ("action", found.by_action)):
        if len(table):
            drawn = table[table["metric"] == DRAWN]
            tables[f"P-MPJPE by {key} (mm)"] = _rows(drawn, key)
            with replacing(folder / f"per_{key}.png") as temporary:
                comparison_figure(drawn, key).savefig(temporary, dpi=visualize.dpi)
    with replacing(folder / "comparison.md") as temporary:
        temporary.write_text(_markdown(columns, tables, about), encoding="utf-8")
    shown = select_sequences(split.table, visualize.sequences, max(1, visualize.viewer_sequences))
    scenes_of_all = side_by_side(split, found, models, read_cameras(poses, arguments.split), shown)
    colors = to_hex(visualize.left_color), to_hex(visualize.right_color)
    write_viewer(folder / "viewer.html", scenes_of_all, "Models side by side", colors=colors)
    Console().announce(f"{about}\nwrote {folder}")


def side_by_side(
    split: Split, found: Comparison, models: list[Model], cameras: list[Camera], rows: pd.DataFrame
) -> list[Scene]:
    """A scene for each of some rows of a split's table, with what every model makes of it."""
    parts: dict[str, list[Motion]] = {}
    for model, evaluation in zip(models, found.evaluations, strict=True):
        one = evaluation.predicted
        predictions = Predictions(split.table, one.keypoints, one.joints, one.keypoint_error, one.joint_error)
        for scene in scenes(split, predictions, cameras, rows):
            parts.setdefault(scene.title, []).extend(replace(motion, model=model.name) for motion in scene.motions)
    return [Scene(title, motions) for title, motions in parts.items()]


def _described(split: Split, name: str, resampled: str) -> str:
    return (
        f"{len(split.keypoints):,} frames in {len(split.table)} sequences of the split {name}; in brackets: the "
        f"difference from the first model, and from where to where it is in 95 % of resamples of {resampled}"
    )


def _costs(models: list[Model], speed: list[float]) -> Rows:
    return [
        ("parameters", *(f"{model.parameters:,}" for model in models)),
        ("poses/s", *(f"{one:,.0f}" for one in speed)),
    ]


def _rows(table: pd.DataFrame, key: str) -> Rows:
    """A row a metric, joint or action; a cell a model."""
    return [
        (str(name), *(_cell(*row) for row in some[["value", "difference", "low", "high"]].itertuples(index=False)))
        for name, some in table.groupby(key, sort=False)
    ]


def _cell(value: float, difference: float, low: float, high: float) -> str:
    if math.isnan(difference):
        return f"{value:.2f}"
    difference, low, high = (round(number, 2) + 0.0 for number in (difference, low, high))  # not -0.00
    interval = "" if math.isnan(low) else f"; {low:+.2f} to {high:+.2f}"  # of one sequence there is none
    return f"{value:.2f} ({difference:+.2f}{interval})"


def _write_tables(folder: Path, found: Comparison, models: list[Model], speed: list[float]) -> None:
    costs = [
        (metric, model.name, value)
        for metric, values in (("parameters", [model.parameters for model in models]), ("poses_per_s", speed))
        for model, value in zip(models, values, strict=True)
    ]
    overall = pd.concat([pd.DataFrame(costs, columns=pd.Index(["metric", "model", "value"])), found.overall])
    for name, table in (("overall", overall), ("per_joint", found.by_joint), ("per_action", found.by_action)):
        with replacing(folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.4f")


def _markdown(columns: tuple[str, ...], tables: dict[str, Rows], about: str) -> str:
    parts = []
    for title, rows in tables.items():
        lines = [columns, ("---",) * len(columns), *rows]
        cells = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
        parts.append(f"## {title}\n\n" + "\n".join(f"| {line} |" for line in cells))
    return f"# Comparison\n\n{about[0].upper()}{about[1:]}.\n\n" + "\n\n".join(parts) + "\n"


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.compare", description=__doc__)
    parser.add_argument(
        "checkpoints", nargs="+", type=named_path, metavar="CHECKPOINT", help="the others are compared with the first"
    )
    parser.add_argument("--output", type=named_path, metavar="DIR", help="the folder to write")
    parser.add_argument("--split", default="test", choices=("validation", "test"), help="to choose models: validation")
    parser.add_argument(
        "--resample", default="sequences", choices=("sequences", "takes"), help="takes: cameras of a take together"
    )
    parser.add_argument("--threads", type=positive(int), default=1, help="of the CPU, while models are timed")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
