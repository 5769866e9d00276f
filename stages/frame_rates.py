"""How much the error depends on the frame rate: python -m stages.frame_rates.

It resamples the 3D of a split to 24 to 240 frames a second and to uneven times, projects it exactly, lifts it, and
prints P-MPJPE in mm beside that of the split's own frames at the same instants.
"""

import argparse
from functools import partial
from typing import Any

from lib.data.store import read_split
from lib.evaluation.lifting import EvaluationParams
from lib.experiments.frame_rates import COLUMNS, frame_rates
from lib.inference.lifter import Lifter
from lib.models import checkpoints
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.device import resolve_device
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print a row a rate."""
    evaluation = section(EvaluationParams, "evaluation", params)
    checkpoint = checkpoints.load(arguments.checkpoint or paths.finetuned, "finetune")
    lifter = Lifter(checkpoint, resolve_device(evaluation.device))
    split = read_split(paths.poses, arguments.split, "needed")
    Console().table(COLUMNS, [one.row for one in frame_rates(lifter, split, evaluation.lifting, params["seed"])])


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.frame_rates", description=__doc__)
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--checkpoint", type=named_path, help="instead of the model that is evaluated")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
