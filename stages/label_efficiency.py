"""Errors against labels, pre-trained and from scratch: python -m stages.label_efficiency --source h36m.

For every seed it pre-trains once an objective, fine-tunes with shares of the labels and trains the same network without
pre-training, in data/scratch/label_efficiency. It adds a row a run to metrics/label_efficiency.csv, as the benchmark
does, and draws plots/label_efficiency.png.
"""

import argparse
from functools import partial
from typing import Any

import pandas as pd

from lib.experiments.runs import (
    Runs,
    changed,
    measured,
    protocol,
    require_labels,
    scratch,
    short_hash,
    spread,
)
from lib.models.checkpoints import Checkpoint, load
from lib.plotting.efficiency import label_efficiency
from lib.runtime.console import Console
from lib.runtime.files import replacing
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive
from lib.runtime.tensorboard import Board
from lib.sources.catalog import SOURCES
from lib.training.finetuning import Finetuning, finetune
from stages import preprocess, pretrain

FRACTIONS = (0.001, 0.01, 0.1, 1.0)
OBJECTIVES = ("lift", "mask_2d")  # mask_3d reads all 3D, which is what this counts
SCRATCH = "from scratch"
ERRORS = {"p_mpjpe_mm": "P-MPJPE", "n_mpjpe_mm": "N-MPJPE"}


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Run what is missing, print the table and draw it."""
    console = Console()
    runs = Runs(paths.metrics("label_efficiency").with_suffix(".csv"), paths.raw(arguments.source), arguments.split)
    called: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        chosen = {"data.source": arguments.source, "data.keypoints": arguments.keypoints, "seed": seed}
        for start, fraction in _rows(arguments.fractions):
            variant = changed(params, {**chosen, **_start(start, params), "finetune.label_fraction": fraction or 1.0})
            title = f"label efficiency: {start}, {100 * fraction:g} % of the labels, seed {seed}"
            measure = partial(_measure, console, title, variant, fraction, runs, paths)
            called.append(runs.once({"start": start, "label_fraction": fraction}, variant, measure))
    table = pd.DataFrame(called)
    numbers = ["label_fraction", *ERRORS]
    table[numbers] = table[numbers].astype(float)
    _print(console, table)
    with replacing(paths.plot("label_efficiency.png")) as temporary:
        label_efficiency(table).savefig(temporary, dpi=100)


def _rows(fractions: list[float]) -> list[tuple[str, float]]:
    """What is trained, by its start and its share of the labels; without any, lift alone can lift."""
    return [("lift", 0.0), *((start, share) for share in fractions for start in (*OBJECTIVES, SCRATCH))]


def _start(start: str, params: dict[str, Any]) -> dict[str, object]:
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
    console: Console, title: str, params: dict[str, Any], fraction: float, runs: Runs, paths: Paths
) -> dict[str, object]:
    console.announce(title)
    own = scratch(paths, "label_efficiency", params["data"]["source"])
    checkpoint, seconds, steps, frames = _pretrained(params, runs, own), 0.0, 0, 0
    if fraction > 0:
        tuned = finetune(Finetuning.read(params), checkpoint, own.poses, Board(own.logs, "finetune"))
        checkpoint, seconds = tuned.checkpoint, float(str(tuned.metrics["seconds"]))
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
    made = short_hash([runs.made_with, params["data"]])
    marker = own.poses.with_suffix(".key")
    if not marker.exists() or marker.read_text() != made:
        marker.unlink(missing_ok=True)  # a store that a kill leaves half-way is nobody's
        preprocess.run(params, own)
        for needed in ("train", "validation", runs.split):
            require_labels(own.poses, needed)
        marker.write_text(made)
    key = short_hash([runs.made_with, {name: part for name, part in params.items() if name != "finetune"}])
    kept = own.root / "pretrained" / f"{params['training']['objective']}-{params['seed']}-{key}.pt"
    if not kept.exists():
        pretrain.run(params, own)
        kept.parent.mkdir(exist_ok=True)
        own.pretrained.replace(kept)
    return load(kept)


def _print(console: Console, table: pd.DataFrame) -> None:
    """Mean and standard deviation over the seeds: a row a share of the labels, a column a start."""
    starts = list(dict.fromkeys(table["start"]))
    lines = []
    for fraction, some in table.groupby("label_fraction"):
        cells = [
            " / ".join(spread(some.loc[some["start"] == start, error]) for error in ERRORS)
            if start in set(some["start"])
            else "-"
            for start in starts
        ]
        lines.append((f"{100 * float(str(fraction)):g} %", *cells))
    console.table((f"labels, {' / '.join(ERRORS.values())}", *starts), lines)


def _share(text: str) -> float:
    share = positive(float)(text)
    if share > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is more than all labels")
    return share


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.label_efficiency", description=__doc__)
    parser.add_argument("--source", default="h36m", choices=SOURCES)
    parser.add_argument("--keypoints", default="gt")
    parser.add_argument("--split", default="test", choices=("validation", "test"), help="choose by validation")
    parser.add_argument("--fractions", nargs="+", type=_share, default=FRACTIONS, help="of the labels")
    parser.add_argument("--seeds", type=positive(int), default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
