"""How much other processes slow training down, by number of threads: python -m stages.contention.

Trains on the store of preprocess with params.yaml, with `auto` and with each number of threads in turn: alone, then
beside processes that each keep a core busy, then alone again. Writes only logs in data/scratch.
"""

import argparse
from functools import partial
from typing import Any

from lib.experiments.contention import PHASES, contention, rows
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive
from lib.training.pretraining import PretrainParams


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Measure every choice in turn, and print the medians with what auto loses against the best number."""
    console = Console()
    measured = contention(PretrainParams.read(params), paths, console, **vars(arguments))
    console.table(("threads", *PHASES), rows(measured))


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.contention", description=__doc__)
    parser.add_argument("--seconds", type=positive(float), default=15.0, help="of each phase")
    parser.add_argument("--rounds", type=positive(int), default=3)
    parser.add_argument("--processes", type=positive(int), default=1, help="that each keep a core busy")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
