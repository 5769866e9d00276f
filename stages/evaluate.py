"""Measure a checkpoint on the test split: what it lifts, or what it reconstructs of masked windows."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from lib.data.split import Split
from lib.data.store import read_split, tested
from lib.evaluation.lifting import PER_ACTION, PER_JOINT, RELIABILITY, Evaluation, EvaluationParams, evaluate
from lib.evaluation.parts import FRAMES, merged
from lib.evaluation.reconstruction import COLUMNS, evaluate_reconstruction, write_examples
from lib.inference.lifter import LiftedSplit, Lifter
from lib.inference.predictions import writing_predictions
from lib.models import checkpoints
from lib.runtime.arguments import no_options
from lib.runtime.device import resolve_device
from lib.runtime.files import replacing, write_json
from lib.runtime.logs import say
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main

TABLES = {  # without rows where none apply
    "per_joint": PER_JOINT,
    "per_action": PER_ACTION,
    "reliability": RELIABILITY,
    "reconstruction": COLUMNS,
}


def run(params: dict[str, Any], paths: Paths) -> None:
    """Write metrics/evaluate.json, plots/*.csv and data/predictions/test.h5."""
    evaluation = section(EvaluationParams, "evaluation", params)
    poses = tested(paths.poses, paths.other_test)
    split, checkpoint = read_split(poses, "test", "if any"), checkpoints.load(paths.finetuned, "finetune")
    tables = {name: pd.DataFrame(columns=pd.Index(columns)) for name, columns in TABLES.items()}
    if checkpoint.lifts:
        lifter = Lifter(checkpoint, resolve_device(evaluation.device))
        with writing_predictions(paths.predictions, split) as write:
            result = merged(_evaluated(split, lifter, evaluation, write))
        tables |= {name: getattr(result, name) for name in ("per_joint", "per_action", "reliability")}
        metrics = result.metrics
    else:
        train = read_split(paths.poses, "train", "if any")
        if checkpoint.coords == 3:
            train, split = read_split(paths.poses, "train", "needed"), read_split(poses, "test", "needed")
        device = resolve_device(evaluation.device)
        reconstruction = evaluate_reconstruction(checkpoint, train, split, device, evaluation.batch_size)
        write_examples(paths.predictions, reconstruction.examples)
        tables |= {"reconstruction": reconstruction.table}
        metrics = reconstruction.metrics
    for name, table in tables.items():
        _write_csv(paths, f"{name}.csv", table)
    write_json(paths.metrics("evaluate"), metrics)
    say(", ".join(f"{name} {_short(value)}" for name, value in metrics.items()))


def _evaluated(
    split: Split, lifter: Lifter, evaluation: EvaluationParams, write: Callable[[LiftedSplit], None]
) -> Iterator[tuple[Split, Evaluation]]:
    """Lift and measure a split, a large one in parts, and write each part's poses."""
    for part in split.parts(FRAMES):
        result = evaluate(part, lifter.lift(part, **evaluation.lifting), evaluation.scale, lifter.body_size)
        write(result.predicted)
        yield part, result


def _write_csv(paths: Paths, name: str, table: pd.DataFrame) -> None:
    with replacing(paths.plot(name)) as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f")


def _short(value: int | float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


if __name__ == "__main__":
    no_options(__doc__)
    main(run, lower="evaluation.batch_size")
