"""Draw layouts, their keypoints and names: python -m stages.layouts [NAME or FILE.yaml ...].

Without a name, all that there are (`lib.pose.layouts`); a YAML file is one of your own. Writes data/scratch/layouts.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from lib.plotting.joints import layout_figure
from lib.plotting.params import VisualizeParams
from lib.plotting.skeletons import SkeletonStyle
from lib.pose.layouts import FURTHER_LAYOUTS, LAYOUTS, layout_named
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.files import replacing
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main


def run(names: Sequence[str], params: dict[str, Any], paths: Paths) -> None:
    """Write a picture a layout."""
    visualize = section(VisualizeParams, "visualize", params)
    folder = paths.root / "data" / "scratch" / "layouts"
    folder.mkdir(parents=True, exist_ok=True)
    for layout in [layout_named(name) for name in names or (*LAYOUTS, *FURTHER_LAYOUTS)]:
        style = SkeletonStyle(layout.skeleton, visualize.left_color, visualize.right_color)
        with replacing(folder / f"{layout.name}.png") as temporary:
            layout_figure(layout, style).savefig(temporary, dpi=visualize.dpi, format="png")
        Console().announce(f"wrote {folder / layout.name}.png")


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.layouts", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME or FILE.yaml", help="default: all")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments().names))
