"""Which number without labels ranks checkpoints as P-MPJPE does? python -m stages.criteria --source h36m --seeds 3.

It pre-trains in data/scratch/criteria, without early stopping, and keeps the averaged weights of some epochs. It
measures their errors on the subjects of a split and criteria that read no label, and adds a row a checkpoint to
metrics/criteria.csv. What is there already is not repeated. It prints how errors and criteria correlate over
all rows of the file, and what it costs to choose by them; --table only prints.
"""

import argparse
from functools import partial
from typing import Any

from lib.experiments.checkpoint_choice import Chosen, checkpoint_choice, early_stopping, read_rows, tables
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive
from lib.sources.catalog import SOURCES


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Train and measure what is missing, and print the tables."""
    console, options = Console(), vars(arguments)
    chosen = Chosen(**{name: options[name] for name in Chosen._fields})
    rows = read_rows(paths) if arguments.table else checkpoint_choice(chosen, params, paths, console)
    for title, columns, lines in tables(rows):
        console.announce(title)
        console.table(columns, lines)
    for line in early_stopping(rows):
        console.announce(line)


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.criteria", description=__doc__)
    parser.add_argument("--source", default="h36m", choices=SOURCES)
    parser.add_argument("--keypoints", default="gt")
    splits = ("train", "validation", "test")
    parser.add_argument("--split", default="validation", choices=splits, help="to choose models: validation")
    parser.add_argument("--seeds", type=positive(int), default=1)
    parser.add_argument("--every", type=positive(int), default=2, help="epochs between two checkpoints")
    parser.add_argument("--table", action="store_true", help="only print the tables of the existing rows")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
