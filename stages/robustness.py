"""Measure a checkpoint on keypoints as users have them: python -m stages.robustness [CHECKPOINT] [--split NAME].

The 2D of a split with Human3.6M's 3D is changed: joints are hidden, the layout is another, focal lengths are wrong (see
lib/experiments/robustness.py). Writes metrics/robustness.csv.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from lib.data.store import read_split
from lib.evaluation.lifting import EvaluationParams
from lib.experiments.robustness import COLUMNS, robustness
from lib.inference.lifter import Lifter
from lib.runtime.console import Console
from lib.runtime.files import replacing
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print a row a condition."""
    evaluation = section(EvaluationParams, "evaluation", params)
    lifter = Lifter.load(arguments.checkpoint or paths.finetuned, evaluation.device)
    table = robustness(lifter, read_split(paths.poses, arguments.split, "needed"), evaluation.batch_size)
    with replacing(paths.metrics("robustness").with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False, float_format="%.2f")
    Console().table(COLUMNS, [tuple(map(_text, row)) for row in table.itertuples(index=False)])


def _text(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.robustness", description=__doc__)
    parser.add_argument("checkpoint", nargs="?", type=Path, help="data/models/finetuned.pt, unless named")
    parser.add_argument("--split", default="test", choices=("validation", "test"), help="choose by validation")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
