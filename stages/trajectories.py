"""Errors of positions before the camera and on the floor: python -m stages.trajectories [CHECKPOINT] [--split test].

Needs 3D of Human3.6M's joints. Prints a table, of live windows as well, and writes nothing.
"""

import argparse
from functools import partial
from typing import Any

from lib.data.store import read_split
from lib.evaluation.lifting import EvaluationParams
from lib.experiments.trajectories import COLUMNS, cells, trajectories
from lib.inference.lifter import Lifter
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Measure a checkpoint on the store that is there."""
    evaluation = section(EvaluationParams, "evaluation", params)
    lifter = Lifter.load(arguments.checkpoint or paths.finetuned, evaluation.device)
    table = trajectories(lifter, read_split(paths.poses, arguments.split, "needed"), evaluation.batch_size)
    Console().table(COLUMNS, list(cells(table)))


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.trajectories", description=__doc__)
    parser.add_argument("checkpoint", nargs="?", type=named_path, help="data/models/finetuned.pt, unless named")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
