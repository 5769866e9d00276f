"""Errors against the share of the labels: pre-trained and fine-tuned, and trained from scratch.

For every seed a network is pre-trained once an objective and fine-tuned with shares of the labels; the same network is
trained without pre-training. A row a run goes to metrics/label_efficiency.csv.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from lib.experiments.runs import Runs, deciding, mean_and_std, short_hash
from lib.experiments.variants import changed, measured, prepare_once, protocol, scratch, train
from lib.models.checkpoints import Checkpoint, load, save
from lib.runtime.console import Console
from lib.runtime.paths import Paths
from lib.runtime.tensorboard import Board
from lib.training.finetuning import Finetuning, finetune

FRACTIONS = (0.001, 0.01, 0.1, 1.0)
OBJECTIVES = ("lift", "mask_2d")  # mask_3d reads all 3D, which is what this counts
SCRATCH = "from scratch"
ERRORS = {"p_mpjpe_mm": "P-MPJPE", "n_mpjpe_mm": "N-MPJPE"}


class LabelEfficiency(NamedTuple):
    """Which shares are measured, on what."""

    source: str
    keypoints: str = "gt"
    split: str = "test"
    fractions: Sequence[float] = FRACTIONS
    seeds: int = 1


def label_efficiency(
    chosen: LabelEfficiency, params: Mapping[str, Any], paths: Paths, console: Console
) -> pd.DataFrame:
    """The runs, made now or read from the file; label_fraction and ERRORS are numbers."""
    runs = Runs(paths.metrics("label_efficiency").with_suffix(".csv"), paths.raw(chosen.source), chosen.split)
    own = scratch(paths, "label_efficiency", chosen.source)
    called: list[dict[str, Any]] = []
    for seed in range(chosen.seeds):
        data = {"data.source": chosen.source, "data.keypoints": chosen.keypoints, "seed": seed}
        for start, fraction in _rows(chosen.fractions):
            variant = changed(params, {**data, **_start(start, params), "finetune.label_fraction": fraction or 1.0})
            title = f"label efficiency: {start}, {100 * fraction:g} % of the labels, seed {seed}"
            measure = partial(_measure, console, title, variant, fraction, runs, own)
            called.append(runs.once({"start": start, "label_fraction": fraction}, variant, measure))
    table, numbers = pd.DataFrame(called), ["label_fraction", *ERRORS]
    table[numbers] = table[numbers].astype(float)
    return table


def summary(runs: pd.DataFrame) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows for people: a row a share of the labels, a column a start, over the seeds."""
    starts = list(dict.fromkeys(runs["start"]))
    lines = []
    for fraction, some in runs.groupby("label_fraction"):
        cells = [
            " / ".join(mean_and_std(some.loc[some["start"] == start, error]) for error in ERRORS)
            if start in set(some["start"])
            else "-"
            for start in starts
        ]
        lines.append((f"{100 * float(str(fraction)):g} %", *cells))
    return (f"labels, {' / '.join(ERRORS.values())}", *starts), lines


def _rows(fractions: Sequence[float]) -> list[tuple[str, float]]:
    """What is trained, by its start and its share of the labels; without any, lift alone can lift."""
    return [("lift", 0.0), *((start, share) for share in fractions for start in (*OBJECTIVES, SCRATCH))]


def _start(start: str, params: Mapping[str, Any]) -> dict[str, object]:
    """What a start changes.

    Where layers are new they learn as fast, and from as many windows a step, as those of the reference with all labels.
    """
    if start == "lift":
        return {"training.objective": start}
    training = params["training"]
    new = {"finetune.lr": training["lr"], "finetune.batch_size": training["batch_size"] + training["prior_batch_size"]}
    if start == SCRATCH:
        return {**new, "training.objective": "lift", "finetune.from_scratch": True}
    return {**new, "training.objective": start}


def _measure(
    console: Console, title: str, params: dict[str, Any], fraction: float, runs: Runs, own: Paths
) -> dict[str, object]:
    console.announce(title)
    checkpoint, seconds, steps, frames = _pretrained(params, runs, own), 0.0, 0, 0
    if fraction > 0:
        tuned = finetune(Finetuning.read(params), checkpoint, own.poses, Board(own.logs, "finetune"))
        checkpoint, seconds = tuned.checkpoint, tuned.speed["seconds"]
        steps, frames = int(str(tuned.metrics["steps"])), int(str(tuned.metrics["labelled_frames"]))
    return {
        **protocol(params),
        "labelled_frames": frames,
        "steps": steps,
        "minutes": round(seconds / 60, 1),
        **measured(checkpoint, own.poses, runs.split, params),
    }


def _pretrained(params: dict[str, Any], runs: Runs, own: Paths) -> Checkpoint:
    """The model that is pre-trained with these params, from an earlier row if there is one.

    The store is made once for a kind of keypoints.
    """
    prepare_once(params, own, ("train", "validation", runs.split), runs.made_with)
    key = short_hash([runs.made_with, {name: part for name, part in deciding(params).items() if name != "finetune"}])
    kept = own.root / "pretrained" / f"{params['training']['objective']}-{params['seed']}-{key}.pt"
    if not kept.exists():
        save(train(params, own).checkpoint, kept)
    return load(kept)
