"""Measure a checkpoint on 2D as in practice: python -m stages.robustness [CHECKPOINT] [--split NAME] [--gif TEXT].

The 2D of a split with Human3.6M's 3D is changed: joints are hidden, cameras look from above, the layout is another,
focal lengths are wrong (see lib/experiments/robustness.py). Writes metrics/robustness.csv. With --gif it
writes no table, but GIFs of the first of `visualize.sequences` to data/scratch/robustness, for all conditions whose
name contains the text, such as 'legs' or 'higher'.
"""

import argparse
import re
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from lib.data.split import Split
from lib.data.store import read_split
from lib.evaluation.lifting import EvaluationParams
from lib.experiments.robustness import COLUMNS, check_split, conditions, robustness
from lib.inference.lifter import Lifter
from lib.inference.predictions import Predictions, root_distance
from lib.plotting.animation import write_gif
from lib.plotting.params import VisualizeParams
from lib.plotting.results import Results
from lib.plotting.selection import select_sequences
from lib.plotting.skeletons import SkeletonStyle
from lib.pose.skeleton import H36M
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main

PIXELS = 1000.0  # of a focal length: what the pictures' axes count


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print a row a condition."""
    evaluation = section(EvaluationParams, "evaluation", params)
    lifter = Lifter.load(arguments.checkpoint or paths.finetuned, evaluation.device)
    split = read_split(paths.poses, arguments.split, "needed")
    if arguments.gif is not None:
        _animate(arguments.gif, lifter, split, section(VisualizeParams, "visualize", params), paths)
        return
    table = robustness(lifter, split, evaluation.batch_size)
    with replacing(paths.metrics("robustness").with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False, float_format="%.2f")
    Console().table(COLUMNS, [tuple(map(_text, row)) for row in table.itertuples(index=False)])


def _animate(text: str, lifter: Lifter, split: Split, visualize: VisualizeParams, paths: Paths) -> None:
    """Write a GIF of each condition on Human3.6M's joints whose name has a text in it."""
    check_split(split)
    sequence = select_sequences(split.table, visualize.sequences, 1).iloc[0]
    start = int(sequence["start"])
    frames, table = torch.arange(start, start + int(sequence["length"])), split.table.loc[[sequence.name]]
    one = split.take(frames, table.assign(start=0).reset_index(drop=True))
    chosen = [(name, changed) for name, changed, _ in conditions(one) if text in name and changed.layout == one.layout]
    if not chosen:
        raise UserError(f"--gif {text}: no condition of Human3.6M's joints has that in its name")
    style = SkeletonStyle(H36M, visualize.left_color, visualize.right_color)
    gif_fps = 100 / round(100 / visualize.gif_fps)
    for name, changed in chosen:
        assert changed.positions is not None
        metres = root_distance(changed.positions, H36M)
        lifted = lifter.lift(changed).scaled(metres)
        seen = replace(changed, keypoints=PIXELS * changed.rays)
        others = lifted.joints, lifted.keypoint_error, lifted.joint_error
        results = Results.of(seen, Predictions(changed.table, lifted.keypoints, *others))
        _, titled = next(results.table.iterrows())
        titled["camera"] = f"{titled['camera']}: {name}"
        images = results.motion(titled, max(1, visualize.gif_frames), gif_fps, style)
        path = paths.root / "data" / "scratch" / "robustness" / f"{re.sub(r'[^a-z0-9]+', '_', name)}.gif"
        with replacing(path) as temporary:
            write_gif(temporary, images, gif_fps)
        Console().announce(f"wrote {path}")


def _text(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.robustness", description=__doc__)
    parser.add_argument("checkpoint", nargs="?", type=named_path, help="data/models/finetuned.pt, unless named")
    parser.add_argument("--gif", metavar="TEXT", help="draw conditions whose name contains this; no table")
    parser.add_argument("--split", default="test", choices=("validation", "test"), help="to choose models: validation")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
