"""Do several processes learn the same as one? Losses step by step: python -m stages.data_parallel.

Pre-trains and fine-tunes on the store of preprocess for a few steps, in one process and in several that share the same
shards. Prints losses and the largest difference, and writes all to metrics/data_parallel.csv.
"""

import argparse
from functools import partial
from typing import Any

from lib.experiments.data_parallel import data_parallel
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.files import replacing
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive

ROWS = 5  # of each stage that are shown


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Train, print and write."""
    console = Console()
    table = data_parallel(params, paths, arguments.steps, arguments.processes, console.announce)
    with replacing(paths.metrics("data_parallel").with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False)
    rows = []
    for stage, group in table.groupby("stage", sort=False):
        for row in group.iloc[:: max(1, len(group) // ROWS)].itertuples(index=False):
            rows.append((str(stage), str(row[1]), *(f"{loss:.7f}" for loss in row[2:4]), f"{row[4]:.1e}"))
        rows.append((str(stage), "largest", "", "", f"{group['difference'].max():.1e}"))
    console.table(("stage", "step", "one process", f"{arguments.processes} processes", "difference"), rows)


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.data_parallel", description=__doc__)
    parser.add_argument("--steps", type=positive(int), default=50)
    parser.add_argument("--processes", type=positive(int), default=2, help="which share as many shards")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
