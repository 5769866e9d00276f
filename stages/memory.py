"""Memory and speed with Human3.6M's frames and several times as many: python -m stages.memory --sizes 1 10.

Generates motion in Human3.6M's layout in a folder of its own (17 GB at 10 times Human3.6M's size), runs preprocess,
pretrain and evaluate on it, each in its own process, and removes the folder.
"""

import argparse
from functools import partial
from typing import Any

from lib.experiments.memory import measure
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive

COLUMNS = ("Human3.6M", "stage", "arrays", "seconds", "peak, GB a process", "poses/s in training")


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print a row a process, as they end, and all of them as a table."""
    console, rows = Console(), []
    for each in measure(paths.root, params, arguments.sizes, arguments.steps):
        rate = "" if each.poses_per_second is None else f"{each.poses_per_second:,.0f}"
        rows.append((each.data, each.stage, each.where, f"{each.seconds:.1f}", f"{each.peak_gb:.2f}", rate))
        console.announce("  ".join(rows[-1]))
    console.table(COLUMNS, rows)


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.memory", description=__doc__)
    parser.add_argument(
        "--sizes", type=positive(float), nargs="+", default=[1.0, 10.0], help="of the data, times Human3.6M"
    )
    parser.add_argument("--steps", type=positive(int), default=400, help="of training")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
