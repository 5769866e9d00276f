"""Lift the test split and measure the result: metrics, tables for plots, and the predicted poses."""

from typing import Any

import pandas as pd

from lib.evaluation import EvaluationParams, evaluate, read_split, write_predictions
from lib.files import replacing, write_json
from lib.inference import Lifter
from lib.params import section
from lib.paths import Paths
from lib.stage import main


def run(params: dict[str, Any], paths: Paths) -> None:
    """Write metrics/evaluate.json, plots/per_joint.csv, plots/per_action.csv and data/predictions/test.h5."""
    evaluation = section(EvaluationParams, "evaluation", params)
    split = read_split(paths.poses, "test")
    lifter = Lifter.load(paths.pretrained, evaluation.device)
    lifted = lifter.lift(split, **evaluation.lifting)
    result = evaluate(split, lifted, evaluation.scale, lifter.body_size)
    write_predictions(paths.predictions, split, result.predicted)
    _write_csv(paths, "per_joint.csv", result.per_joint)
    _write_csv(paths, "per_action.csv", result.per_action)
    write_json(paths.metrics("evaluate"), result.metrics)
    print(", ".join(f"{name} {_short(value)}" for name, value in result.metrics.items()))


def _write_csv(paths: Paths, name: str, table: pd.DataFrame) -> None:
    with replacing(paths.plot(name)) as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f")


def _short(value: int | float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


if __name__ == "__main__":
    main(run)
