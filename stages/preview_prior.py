"""Draw poses and motion of the anatomical prior: python -m stages.preview_prior [FOLDER].

Shows what a change of `prior` in params.yaml does before anything is trained. Writes prior_poses.png and
prior_motion.png; visualize draws the same pictures into plots/figures.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from lib.plotting.params import VisualizeParams
from lib.plotting.prior import prior_figures
from lib.plotting.skeletons import SkeletonStyle
from lib.prior.bodies import SKELETON
from lib.prior.sampler import PriorParams
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.files import replacing
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main


def run(folder: Path | None, params: dict[str, Any], paths: Paths) -> None:
    """Write the pictures to a folder, data/scratch unless named."""
    visualize = section(VisualizeParams, "visualize", params)
    folder = folder or paths.root / "data" / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    style = SkeletonStyle(SKELETON, visualize.left_color, visualize.right_color)
    for name, figure in prior_figures(section(PriorParams, "prior", params), style).items():
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=visualize.dpi, format="png")
        Console().announce(f"wrote {folder / name}.png")


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.preview_prior", description=__doc__)
    parser.add_argument("folder", nargs="?", type=named_path, help="data/scratch unless named")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments().folder))
