"""Draw motion capture as the pipeline reads it: python -m stages.preview_mocap [FOLDER].

Ten moments of each take in data/raw/bvh, or another folder of BVH files, as the first virtual camera sees them: people
should be upright, feet down, their left in its colour. Writes data/scratch/mocap.png, and says what is left out.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lib.plotting.params import VisualizeParams
from lib.plotting.prior import ACROSS, rows_of_poses
from lib.plotting.skeletons import SkeletonStyle
from lib.pose.geometry import root_centred
from lib.pose.skeleton import H36M
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.files import replacing
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.sources import bvh
from lib.sources.base import AutoSplit, SourceParams

MOST = 24  # takes in the picture
SHOWN = 14  # letters of a name


def run(folder: Path | None, params: dict[str, Any], paths: Paths) -> None:
    """Write the picture."""
    visualize, own = section(VisualizeParams, "visualize", params), section(SourceParams, "data", params)
    virtual = own.virtual_cameras.model_copy(update={"count": 1})
    read = own.model_copy(update={"keypoints": "gt", "split": AutoSplit(), "virtual_cameras": virtual})
    data = bvh.read(folder or paths.raw("bvh"), read)
    rows = {}
    for number, sequence in enumerate(data.sequences[:MOST], start=1):
        assert sequence.positions is not None
        moments = torch.linspace(0, len(sequence.positions) - 1, ACROSS).round().long()
        rows[f"{number} {sequence.subject[:SHOWN]}\n{sequence.action[:SHOWN]}"] = root_centred(
            sequence.positions[moments], H36M
        )
    style = SkeletonStyle(H36M, visualize.left_color, visualize.right_color)
    figure = rows_of_poses(rows, style, "Takes of motion capture, from left to right in time")
    target = paths.root / "data" / "scratch" / "mocap.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        figure.savefig(temporary, dpi=visualize.dpi, format="png")
    console = Console()
    for each in data.dropped:
        console.announce(f"left out: {each.why}")
    more = f"; {len(data.sequences) - MOST} more are not drawn" if len(data.sequences) > MOST else ""
    console.announce(f"wrote {target}: {len(rows)} takes{more}")


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.preview_mocap", description=__doc__)
    parser.add_argument("folder", nargs="?", type=named_path, help="data/raw/bvh unless named")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments().folder))
