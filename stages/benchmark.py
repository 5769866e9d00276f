"""Train and measure a table of variants, each from the raw files: python -m stages.benchmark TABLE --source h36m.

Runs are in data/scratch/benchmark and add a row each to metrics/benchmark.csv, or those of detections to
metrics/detections.csv, with all that is needed to repeat them.
Runs that the file already has, with the same params, code and raw files, are skipped, so an interrupted benchmark can
go on.
"""

import argparse
from functools import partial
from typing import Any

from lib.experiments.benchmark import CONDITIONS, TABLES, Benchmark, benchmark, summary, summary_of_conditions
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive
from lib.sources.catalog import SOURCES


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Run what is missing of a table and print it, one line a variant and kind of keypoints."""
    console = Console()
    runs = benchmark(Benchmark(**vars(arguments)), params, paths, console)
    console.table(*(summary_of_conditions if arguments.table == CONDITIONS else summary)(runs))


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.benchmark", description=__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--source", default="h36m", choices=SOURCES)
    parser.add_argument("--keypoints", nargs="*", help="default: all that the source has")
    parser.add_argument("--split", default="test", choices=("validation", "test"), help="to choose models: validation")
    parser.add_argument("--rows", nargs="*", help="of the table; default: all")
    parser.add_argument("--seeds", type=positive(int), default=1)
    parser.add_argument("--epochs", type=positive(int), help="of every run, instead of training.epochs")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
