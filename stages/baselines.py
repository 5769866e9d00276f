"""Print what an untrained model and the mean pose would score on the test split: python -m stages.baselines.

The mean pose is that of the training subjects' 3D, so it exists for evaluation alone.
"""

from typing import Any

import torch

from lib.data.store import read_split, tested
from lib.evaluation.lifting import EvaluationParams, evaluate, mean_pose_baseline
from lib.experiments.variants import PER_WINDOW
from lib.inference.lifter import Lifter
from lib.models import checkpoints
from lib.runtime.arguments import no_options
from lib.runtime.console import Console
from lib.runtime.device import resolve_device
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main

COLUMNS = ("mpjpe_mm", "n_mpjpe_mm", "p_mpjpe_mm")


def run(params: dict[str, Any], paths: Paths) -> None:
    """Print a row each for the mean pose, an untrained and the trained model."""
    evaluation = section(EvaluationParams, "evaluation", params)
    test = read_split(tested(paths.poses, paths.other_test), "test", "if any")
    rows = {"mean pose": mean_pose_baseline(read_split(paths.poses, "train", "if any"), test)}
    lifter = Lifter(checkpoints.load(paths.finetuned, "finetune"), resolve_device(evaluation.device))
    torch.manual_seed(0)
    windows = evaluation.lifting | PER_WINDOW
    lifted = {
        "untrained": lifter.untrained().lift(test, **windows),
        "trained, per-window": lifter.lift(test, **windows),
        "trained": lifter.lift(test, **evaluation.lifting),
    }
    for name, poses in lifted.items():
        metrics = evaluate(test, poses, evaluation.scale, lifter.body_size).metrics
        rows[name] = {column: float(metrics[column]) for column in COLUMNS}
    Console().table(
        ("", *COLUMNS), [(name, *(f"{row[column]:.1f}" for column in COLUMNS)) for name, row in rows.items()]
    )


if __name__ == "__main__":
    no_options(__doc__)
    main(run)
