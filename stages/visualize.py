"""Draw the test split's predictions, the errors, the training and the prior.

Reads the store, the predictions and the tables of evaluate, pretrain and finetune; writes plots/figures as a whole:
training.png, finetuning.png if there was any, joints.png, sequences.png, prior_poses.png, prior_motion.png,
motion_SEQUENCE.gif, hidden_by_joint.png where any keypoint is hidden and, where the source has 3D, examples.png,
error_by_joint.png and error_by_action.png; of a model that reconstructs masked windows, training.png,
reconstruction.png and error_by_mask.png. Writes plots/viewer.html, a page that shows sequences in 3D, at their full
frame rate: 0.3 MB with four sequences of the sample, a kilobyte a frame.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lib.data.masked_windows import Reconstruction
from lib.data.split import Split
from lib.data.store import read_cameras, read_split, tested
from lib.evaluation.reconstruction import read_examples
from lib.inference.predictions import Predictions, read_predictions
from lib.plotting.animation import write_gif
from lib.plotting.figures import (
    error_by_action,
    error_by_joint,
    hidden_by_joint,
    pose_rows,
    reliability_figure,
    training_curves,
)
from lib.plotting.joints import layout_figure
from lib.plotting.params import VisualizeParams
from lib.plotting.prior import prior_figures
from lib.plotting.reconstruction import GUESSES, reconstruction_errors, reconstruction_rows
from lib.plotting.results import Results
from lib.plotting.selection import select_sequences
from lib.plotting.skeletons import SkeletonStyle
from lib.pose.skeleton import Skeleton
from lib.prior.bodies import SKELETON
from lib.prior.sampler import PriorParams
from lib.runtime.arguments import no_options
from lib.runtime.csv_files import read_csv
from lib.runtime.errors import UserError
from lib.runtime.files import temporary_beside
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.viewer.page import write_viewer
from lib.viewer.sequences import scenes

ERRORS = ("mpjpe_mm", "p_mpjpe_mm")
REMEDY = "run `dvc repro evaluate` first"
NONE_ASKED_FOR = "No sequence is shown: visualize.viewer_sequences in params.yaml is 0."
NONE_LIFTED = "No sequence is shown: the model reconstructs masked windows, and lifts none."


def run(params: dict[str, Any], paths: Paths) -> None:
    """Run the stage."""
    visualize = section(VisualizeParams, "visualize", params)
    prior = section(PriorParams, "prior", params)
    curves = {"training": _read_curves(paths.plot("training.csv"), "pretrain")}
    curves["finetuning"] = _read_curves(paths.plot("finetuning.csv"), "finetune")
    training = {name: training_curves(table) for name, table in curves.items() if len(table)}
    examples = read_examples(paths.predictions)
    with _replacing_folder(paths.figures) as folder:
        if examples:
            figures = _reconstructed(paths, examples, visualize)
            write_viewer(paths.viewer, [], empty=NONE_LIFTED)
        else:
            figures = _lifted(paths, visualize, folder) | prior_figures(prior, _style(visualize, SKELETON))
        for name, figure in (training | figures).items():
            figure.savefig(folder / f"{name}.png", dpi=visualize.dpi)


def _style(visualize: VisualizeParams, skeleton: Skeleton) -> SkeletonStyle:
    return SkeletonStyle(skeleton, visualize.left_color, visualize.right_color)


def _reconstructed(paths: Paths, examples: Reconstruction, visualize: VisualizeParams) -> dict[str, Figure]:
    return {
        "reconstruction": reconstruction_rows(examples, _style(visualize, examples.skeleton)),
        "error_by_mask": reconstruction_errors(_evaluated(paths, "reconstruction", tuple(GUESSES), "hidden", "unit")),
    }


def _lifted(paths: Paths, visualize: VisualizeParams, folder: Path) -> dict[str, Figure]:
    """Pictures of lifted poses; the motions go to the folder themselves, one after the other."""
    split = read_split(tested(paths.poses, paths.other_test), "test", "if any")
    predictions = read_predictions(paths.predictions)
    results = Results.of(split, predictions)
    style = _style(visualize, results.skeleton)
    sequences = select_sequences(results.table, visualize.sequences, visualize.count)
    gif_fps = 100 / round(100 / visualize.gif_fps)  # a GIF counts time in hundredths of a second
    for _, sequence in sequences.iterrows() if visualize.gif_frames else ():
        images = results.motion(sequence, visualize.gif_frames, gif_fps, style)
        name = re.sub(r"\W+", "_", f"motion_{sequence['subject']}_{sequence['action']}_{sequence['camera']}")
        write_gif(folder / f"{name}.gif", images, gif_fps)
    _write_page(paths, visualize, split, predictions)
    figures = {"joints": layout_figure(results.layout, style)}
    figures["sequences"] = pose_rows(results.middle_examples(sequences), style)
    if hidden := results.hidden():
        figures["hidden_by_joint"] = hidden_by_joint(hidden, style)
    if results.target is not None:
        figures["examples"] = pose_rows(results.typical_examples(), style)
        figures["error_by_joint"] = error_by_joint(_of_joints(paths, results.skeleton), style)
        figures["reliability"] = reliability_figure(_evaluated(paths, "reliability", ("stated_mm", "mpjpe_mm")))
        figures["error_by_action"] = error_by_action(_evaluated(paths, "per_action", (*ERRORS, "frames"), "action"))
    return figures


def _write_page(paths: Paths, visualize: VisualizeParams, split: Split, predictions: Predictions) -> None:
    """The page of some sequences in 3D."""
    table, count = split.table, visualize.viewer_sequences
    viewed = select_sequences(table, visualize.sequences, count) if count else table[:0]
    cameras = read_cameras(tested(paths.poses, paths.other_test), "test")
    shown = scenes(split, predictions, cameras, viewed)
    colors = to_hex(visualize.left_color), to_hex(visualize.right_color)
    write_viewer(paths.viewer, shown, title="Test sequences", colors=colors, empty=NONE_ASKED_FOR)


def _read_curves(path: Path, stage: str) -> pd.DataFrame:
    """A table of curves, of which every column is numbers."""
    remedy = f"run `dvc repro {stage}` first"
    table = read_csv(path, remedy, ["step"])
    for name, column in table.items():
        if column.dtype.kind not in "fiu" and len(column):
            raise UserError(f"{path}: {name} has something that is no number: {remedy}")
    return table


def _evaluated(paths: Paths, name: str, numbers: Sequence[str], *text: str) -> pd.DataFrame:
    """A table of errors that evaluate wrote."""
    return read_csv(paths.plot(f"{name}.csv"), REMEDY, numbers, text, least=1)


def _of_joints(paths: Paths, skeleton: Skeleton) -> pd.DataFrame:
    """The errors of each joint of the test split, once."""
    table = _evaluated(paths, "per_joint", ERRORS, "joint")
    if sorted(table["joint"].astype(str)) != sorted(skeleton.names):
        raise UserError(f"{paths.plot('per_joint.csv')} has other joints than the predictions: {REMEDY}")
    return table


@contextlib.contextmanager
def _replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on success it takes the place of `path`, on an error it is removed."""
    temporary = temporary_beside(path)
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    no_options(__doc__)
    main(run, lower="visualize.viewer_sequences, visualize.gif_frames or visualize.dpi")
