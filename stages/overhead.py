"""How long `dvc repro` takes when there is nothing to do: python -m stages.overhead.

Measurements alternate with a pipeline of one empty stage in a folder of its own, which is the least that DVC needs.
"""

import argparse
from functools import partial
from statistics import median
from typing import Any

from lib.experiments.overhead import overhead
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print the seconds of every round, their medians and the median of their ratios."""
    del params
    pairs = overhead(paths.root, arguments.rounds)
    rows = [(str(number), *_cells(*pair)) for number, pair in enumerate(pairs, start=1)]
    own, empty = (median(seconds) for seconds in zip(*pairs, strict=True))
    ratio = median(one / other for one, other in pairs)
    rows.append(("median", f"{own:.2f}", f"{empty:.2f}", f"{ratio:.2f}"))
    Console().table(("round", "this pipeline, s", "an empty one, s", "ratio"), rows)


def _cells(own: float, empty: float) -> tuple[str, str, str]:
    return f"{own:.2f}", f"{empty:.2f}", f"{own / empty:.2f}"


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.overhead", description=__doc__)
    parser.add_argument("--rounds", type=positive(int), default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
