"""Run one experiment with the values of a file: python -m stages.experiment FILE.yaml [--name NAME] [--queue].

The file has some of params.yaml's keys, nested as there. They are checked first; then `dvc exp run` takes them.
"""

import argparse
import sys
from functools import partial
from typing import Any

from lib.pipeline.overrides import experiment, read_overrides
from lib.runtime.arguments import Parser, named_path
from lib.runtime.paths import Paths
from lib.runtime.stage import main


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Check the values, and hand them to DVC, whose exit code is this command's."""
    changes = read_overrides(arguments.file, params)
    options = [*(["--name", arguments.name] if arguments.name else []), *(["--queue"] if arguments.queue else [])]
    code = experiment(changes, paths.root, options)
    if code:
        sys.exit(code)


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.experiment", description=__doc__)
    parser.add_argument("file", type=named_path, metavar="FILE.yaml")
    parser.add_argument("--name", help="of the experiment in `dvc exp show`")
    parser.add_argument("--queue", action="store_true", help="run it later: dvc queue start")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
