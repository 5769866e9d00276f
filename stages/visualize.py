"""Draw the test split's predictions, the errors, the training and the prior.

Reads the store, the predictions and the tables of evaluate and pretrain; writes plots/figures as a whole:
training.png, sequences.png, prior_poses.png, prior_motion.png, motion_SEQUENCE.gif and, where the source has 3D,
examples.png, error_by_joint.png and error_by_action.png.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from lib.anatomy import PriorParams
from lib.errors import UserError
from lib.evaluation import read_predictions, read_split
from lib.params import section
from lib.paths import Paths
from lib.plotting.animation import write_gif
from lib.plotting.figures import error_by_action, error_by_joint, pose_rows, training_curves
from lib.plotting.params import VisualizeParams
from lib.plotting.prior import prior_figures
from lib.plotting.results import Results
from lib.plotting.selection import select_sequences
from lib.plotting.skeletons import Colors
from lib.stage import main


def run(params: dict[str, Any], paths: Paths) -> None:
    """Run the stage."""
    visualize = section(VisualizeParams, "visualize", params)
    prior = section(PriorParams, "prior", params)
    gif_fps = 100 / round(100 / visualize.gif_fps)  # a GIF counts time in hundredths of a second
    colors = Colors(visualize.left_color, visualize.right_color)
    results = Results.of(read_split(paths.poses, "test"), read_predictions(paths.predictions))
    sequences = select_sequences(results.table, visualize.sequences, visualize.count)
    with _replacing_folder(paths.figures) as folder:
        figures = _figures(paths, results, sequences, colors) | prior_figures(prior, colors)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=visualize.dpi)
        for _, sequence in sequences.iterrows() if visualize.gif_frames else ():
            images = results.motion(sequence, visualize.gif_frames, gif_fps, colors)
            name = re.sub(r"\W+", "_", f"motion_{sequence['subject']}_{sequence['action']}_{sequence['camera']}")
            write_gif(folder / f"{name}.gif", images, gif_fps)


def _figures(paths: Paths, results: Results, sequences: pd.DataFrame, colors: Colors) -> dict[str, Figure]:
    figures = {
        "training": training_curves(_read_csv(paths.plot("training.csv"), "pretrain")),
        "sequences": pose_rows(results.middle_examples(sequences), colors),
    }
    per_joint = _read_csv(paths.plot("per_joint.csv"), "evaluate")
    per_action = _read_csv(paths.plot("per_action.csv"), "evaluate")
    if results.target is not None:
        figures["examples"] = pose_rows(results.typical_examples(), colors)
        figures["error_by_joint"] = error_by_joint(per_joint, colors)
        figures["error_by_action"] = error_by_action(per_action)
    return figures


def _read_csv(path: Path, stage: str) -> pd.DataFrame:
    if not path.exists():
        raise UserError(f"{path} is missing: run `dvc repro {stage}` first")
    try:
        return pd.read_csv(path)
    except (pd.errors.EmptyDataError, pd.errors.ParserError):
        raise UserError(f"{path} is damaged: delete it and run `dvc repro {stage}`") from None


@contextlib.contextmanager
def _replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on success it takes the place of `path`, on an error it is removed."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main(run)
