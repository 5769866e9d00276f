"""Errors against labels, pre-trained and from scratch: python -m stages.label_efficiency --source h36m.

Runs are in data/scratch/label_efficiency. Each adds a row to metrics/label_efficiency.csv. The table is drawn into
plots/label_efficiency.png.
"""

import argparse
from functools import partial
from typing import Any

from lib.experiments.label_efficiency import FRACTIONS, LabelEfficiency, label_efficiency, summary
from lib.plotting.efficiency import label_efficiency_figure
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.files import replacing
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive
from lib.sources.catalog import SOURCES


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Run what is missing, print the table and draw it."""
    console = Console()
    runs = label_efficiency(LabelEfficiency(**vars(arguments)), params, paths, console)
    console.table(*summary(runs))
    with replacing(paths.plot("label_efficiency.png")) as temporary:
        label_efficiency_figure(runs).savefig(temporary, dpi=100)


def _share(text: str) -> float:
    share = positive(float)(text)
    if share > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is more than all labels")
    return share


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.label_efficiency", description=__doc__)
    parser.add_argument("--source", default="h36m", choices=SOURCES)
    parser.add_argument("--keypoints", default="gt")
    parser.add_argument("--split", default="test", choices=("validation", "test"), help="to choose models: validation")
    parser.add_argument("--fractions", nargs="+", type=_share, default=FRACTIONS, help="of the labels")
    parser.add_argument("--seeds", type=positive(int), default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
