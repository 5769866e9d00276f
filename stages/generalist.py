"""Train the model that pre-training can start from: python -m stages.generalist [--source sample] [--show].

It trains on the prior in all layouts and on a source's 2D, and writes data/starts/generalist.pt.gz, from which
`training.start: generalist.pt.gz` starts. --show trains nothing: it prints the errors of the file that is there, and
what it was trained with.
"""

import argparse
import json
from functools import partial
from typing import Any

from lib.experiments.generalist import FILE, Generalist, train_generalist
from lib.models.checkpoints import load, save
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive
from lib.sources.catalog import SOURCES


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Train it and write it, or show what is there."""
    path = paths.start(FILE)
    if not arguments.show:
        chosen = Generalist(arguments.source, arguments.keypoints, arguments.epochs)
        save(train_generalist(chosen, params, paths), path)
        Console().announce(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")
    print(json.dumps(load(path, "generalist").training, indent=2))


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.generalist", description=__doc__)
    parser.add_argument("--source", default="sample", choices=SOURCES)
    parser.add_argument("--keypoints", default="gt", help="of the source, as data.keypoints")
    parser.add_argument("--epochs", type=positive(int), help="instead of its own")
    parser.add_argument("--show", action="store_true", help="print the errors of the existing one; train nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
