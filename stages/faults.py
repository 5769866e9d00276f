"""Kill the pipeline at random moments and let it go on: python -m stages.faults.

Runs preprocess, pretrain and finetune briefly on the sample, under DVC, in a folder of their own that is removed later.
The stage, DVC or both get SIGKILL, often while a file is being written. Writes metrics/faults.csv, a row a kill.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from lib.experiments.faults import ANY, Kill, faults
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print and write down every kill, and fail if any output is not that of an undisturbed run."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        outcome = faults(paths.root, params, Path(folder), arguments.moments, arguments.seed, console.announce)
    with replacing(paths.metrics("faults").with_suffix(".csv")) as temporary:
        pd.DataFrame(outcome.kills, columns=pd.Index(Kill._fields)).to_csv(temporary, index=False)
    kills = outcome.kills
    writing = sum(kill.kind != ANY for kill in kills)
    console.announce(
        f"{len(kills)} kills in {kills[-1].round} runs, {writing} of them while a file was written; "
        f"{outcome.refused} commands waited for an orphan; {len(outcome.differing)} outputs differ"
    )
    if outcome.differing:
        raise UserError(f"other bytes than without kills: {'; '.join(outcome.differing)}")


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.faults", description=__doc__)
    parser.add_argument("--moments", type=positive(int), default=20, help="number of kills")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
