"""How fast training, lifting and the metrics are on one thread of this CPU: python -m stages.speed [--to 45].

Each figure is measured in turn with what bounds it, on the store of preprocess and its test subjects; --to also
pre-trains until the validation subjects' P-MPJPE has fallen to so many mm, which needs their 3D. Writes only logs in
data/scratch.
"""

import argparse
from functools import partial
from typing import Any

import torch

from lib.data.store import read_split
from lib.evaluation.lifting import EvaluationParams
from lib.experiments.speed import Measured, alignment, lifting, seconds_to, training
from lib.inference.lifter import Lifter
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.device import describe_devices
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive
from lib.training.pretraining import PretrainParams

COLUMNS = ("what", "unit", "measured", "bound", "ratio")


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print a row a figure."""
    chosen, console = PretrainParams.read(params), Console()
    evaluation = section(EvaluationParams, "evaluation", params)
    lifter = Lifter.load(arguments.checkpoint or paths.finetuned, "cpu")
    split = read_split(paths.poses, "test")
    console.announce(f"one thread of {describe_devices()[-1].hardware}")
    torch.set_num_threads(1)
    seconds, rounds = arguments.seconds, arguments.rounds
    rows = [
        *training(chosen, paths, seconds, rounds),
        *lifting(lifter, split, evaluation.batch_size, seconds, rounds),
        *alignment(arguments.poses, rounds),
    ]
    console.table(COLUMNS, [_cells(row) for row in rows])
    if arguments.to is not None:
        validation = read_split(paths.poses, "validation", "needed")
        took, error = seconds_to(arguments.to, chosen, paths, validation)
        console.announce(f"pre-training took {took:,.0f} CPU seconds to P-MPJPE {error:.1f} mm")


def _cells(row: Measured) -> tuple[str, ...]:
    return row.name, row.unit, f"{row.value:,.0f}", f"{row.bound:,.0f}", f"{row.ratio:.2f}"


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.speed", description=__doc__)
    parser.add_argument(
        "checkpoint", type=named_path, nargs="?", help="of a lifter; data/models/finetuned.pt if none is named"
    )
    parser.add_argument("--seconds", type=positive(float), default=10.0, help="of each measurement")
    parser.add_argument("--rounds", type=positive(int), default=5)
    parser.add_argument("--poses", type=positive(int), default=1_000_000, help="for timing P-MPJPE")
    parser.add_argument("--to", type=positive(float), metavar="MM", help="pre-train until P-MPJPE is at most this")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
