"""How well criteria without labels rank the checkpoints of runs, and what it costs to choose by them.

Runs of `lift` without early stopping keep the averaged weights of some epochs. Every checkpoint is measured, and a row
each goes to metrics/criteria.csv.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lib.data.preprocessing import one_thread
from lib.experiments.criteria import ERROR, ERRORS, Judge
from lib.experiments.runs import code_hash, data_hash, deciding, short_hash
from lib.experiments.variants import changed, prepare_once, scratch
from lib.models import checkpoints
from lib.models.checkpoints import Checkpoint
from lib.runtime.console import Console
from lib.runtime.csv_files import read_csv
from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.runtime.paths import Paths
from lib.runtime.tensorboard import Board
from lib.training.pretraining import PretrainParams, pretrain

RUN = ["source", "keypoints", "split", "seed"]  # columns that name a run, and on whom it is judged
LAST = "take the last"
CURVES = ("validation/total", "validation/prior", "validation/distillation", "train/total")
PATIENCE = 5  # validations, as params.yaml had it when these runs were made
NAMES = ("run", "peer_run", *RUN, "step", "kept_by_patience", *ERRORS)  # every other column is a criterion


class Chosen(NamedTuple):
    """What is trained, and on whom its checkpoints are measured."""

    source: str
    keypoints: str = "gt"
    split: str = "validation"
    seeds: int = 1
    every: int = 2  # epochs from one checkpoint to the next


@one_thread()
def checkpoint_choice(chosen: Chosen, params: Mapping[str, Any], paths: Paths, console: Console) -> pd.DataFrame:
    """Train and measure what is missing; returns all rows of the file.

    A run with other params, code or raw files takes the place of the one that there was.

    Raises:
        UserError: the source cannot be measured, or a run would keep no checkpoint.
    """
    variants = [_variant(chosen, params, seed) for seed in range(chosen.seeds)]
    epochs = PretrainParams.read(variants[0]).training.epochs
    if chosen.every > epochs:
        raise UserError(f"--every {chosen.every}: a run has {epochs} epochs and would keep no checkpoint")
    own = scratch(paths, f"criteria/{chosen.source}-{chosen.keypoints}", chosen.source)
    made_with = {"code": code_hash(), "data": data_hash(paths.raw(chosen.source))}
    prepare_once(variants[0], own, (chosen.split,), made_with)
    folders = []
    for variant in variants:
        console.announce(f"criteria: {chosen.source}, {chosen.keypoints}, seed {variant['seed']}")
        folders.append(_trained(variant, own, chosen.every, made_with, console))
    _measure(chosen, variants, folders, own, paths, console)
    return read_rows(paths)


def read_rows(paths: Paths) -> pd.DataFrame:
    """A row a checkpoint, of all that was measured.

    Raises:
        UserError: there is no such file, or it is damaged.
    """
    path = _file(paths)
    if not path.exists():
        raise UserError(f"{path} is missing: run without --table first")
    *named, seed = RUN
    return read_csv(path, "delete it, or restore it with git checkout", [seed, "step", ERROR], ["run", *named])


def tables(rows: pd.DataFrame) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """The title, columns and rows of a table of correlations and costs, for each kind of data and for all."""
    criteria = [LAST, *(str(name) for name in rows if name not in NAMES)]
    rows = rows.assign(**{LAST: -rows["step"]})
    for title, some in chain(rows.groupby(RUN[:-1], sort=False), [(("all",), rows)]):
        table = within_runs(some, criteria)
        table.insert(5, "across seeds", across_seeds(some, criteria))
        lines = [tuple(map(_cell, row)) for row in table.to_numpy().tolist()]
        yield ", ".join(map(str, title)), tuple(map(str, table)), lines


def early_stopping(rows: pd.DataFrame) -> Iterator[str]:
    """A line a run: what early stopping would have kept, and its error beside the last and the best."""
    for _, run in rows.groupby(RUN, sort=False):
        kept, last = int(run["kept_by_patience"].iloc[0]), run.loc[run["step"].idxmax()]
        near = run.loc[(run["step"] - kept).abs().idxmin()]
        yield (
            f"{', '.join(map(str, last[RUN]))}: patience of {PATIENCE} keeps step {kept}; P-MPJPE at {near['step']} is "
            f"{near[ERROR]:.2f}, at the last {last[ERROR]:.2f}, at best {run[ERROR].min():.2f} mm"
        )


def early_stopping_step(losses: Mapping[int, float], patience: int) -> int:
    """The step of the lowest loss before `patience` validations without a lower one: what early stopping keeps."""
    steps = sorted(losses)
    best, waited = steps[0], 0
    for step in steps[1:]:
        best, waited = (step, 0) if losses[step] < losses[best] else (best, waited + 1)
        if waited == patience:
            break
    return best


def within_runs(rows: pd.DataFrame, criteria: Sequence[str]) -> pd.DataFrame:
    """A row a criterion: rank correlation with P-MPJPE over the checkpoints of a run, and what choosing by it costs.

    Errors fall while a run goes on, so that whatever falls too ranks checkpoints like them. The changes of a criterion
    from checkpoint to checkpoint tell whether it says more than the step; theirs is the second half alone.

    Costs are millimetres of P-MPJPE above the best checkpoint of the run and above its last; all are means over runs.
    """
    runs = [run.sort_values("step") for _, run in rows.groupby(RUN, sort=False)]
    found = []
    for criterion in criteria:
        usable = [run for run in runs if run[criterion].notna().all()]
        late = [run.iloc[len(run) // 2 :] for run in usable]
        chosen = _series(run[ERROR].loc[run[criterion].idxmin()] for run in usable)
        above_last = chosen - _series(run[ERROR].iloc[-1] for run in usable)
        found.append(
            {
                "criterion": criterion,
                "runs": len(usable),
                "whole run": _rank_correlation(usable, criterion),
                "second half": _rank_correlation(late, criterion),
                "changes": _rank_correlation([_changes(run, criterion) for run in late], criterion),
                "above the best, mm": (chosen - _series(run[ERROR].min() for run in usable)).mean(),
                "above the last, mm": above_last.mean(),
                "at worst, mm": above_last.max(),
            }
        )
    return pd.DataFrame(found)


def across_seeds(rows: pd.DataFrame, criteria: Sequence[str]) -> list[float]:
    """Rank correlation with P-MPJPE over seeds at the same step of the second half, a mean over steps and data."""
    late = rows[rows["step"] > rows["step"].max() / 2]
    groups = [group for _, group in late.groupby([*RUN[:-1], "step"]) if len(group) > 1]
    return [
        _rank_correlation([group for group in groups if group[criterion].notna().all()], criterion)
        for criterion in criteria
    ]


def _changes(run: pd.DataFrame, criterion: str) -> pd.DataFrame:
    return run[[criterion, ERROR]].diff().iloc[1:]


def _rank_correlation(groups: Sequence[pd.DataFrame], criterion: str) -> float:
    """The mean over groups of checkpoints of Spearman's rank correlation with the error."""
    ranks = [group[[criterion, ERROR]].rank() for group in groups if group[criterion].nunique() > 1]
    return float(_series(rank[criterion].corr(rank[ERROR]) for rank in ranks).mean())


def _series(values: Iterable[Any]) -> "pd.Series[float]":
    return pd.Series(list(values), dtype=float)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.2f}"
    return str(value)


def _file(paths: Paths) -> Path:
    return paths.metrics("criteria").with_suffix(".csv")


def _variant(chosen: Chosen, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
    changes = {
        "data.source": chosen.source,
        "data.keypoints": chosen.keypoints,
        "seed": seed,
        "training.objective": "lift",
        "training.patience": 0,
        "training.validate_every": 1,  # checkpoints are of validations
        "training.threads": 1,  # a seed then gives the same weights each time
    }
    return changed(params, changes)


def _trained(params: dict[str, Any], own: Paths, every: int, made_with: object, console: Console) -> Path:
    """The folder with a run's checkpoints of every so many epochs, and its curves."""
    decides = {name: part for name, part in deciding(params).items() if name != "finetune"}
    folder = own.root / "runs" / f"seed-{params['seed']}-{short_hash([made_with, decides, every])}"
    curves = folder / "curves.csv"
    if curves.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    read = PretrainParams.read(params)
    between = every * read.training.steps_per_epoch

    def keep(checkpoint: Checkpoint) -> None:
        step = int(checkpoint.training["step"])
        if step % between == 0:
            checkpoints.save(checkpoint, folder / f"{step:06d}.pt")

    result = pretrain(read, own.poses, Board(own.logs, "pretrain"), console, keep)
    with replacing(curves) as temporary:  # last: a folder without it is of a run that was cut off
        pd.DataFrame(result.curves).to_csv(temporary, index=False)
    return folder


def _measure(
    chosen: Chosen, variants: list[dict[str, Any]], folders: list[Path], own: Paths, paths: Paths, console: Console
) -> None:
    """Add a row for every checkpoint that the file does not have; each seed's peer is the one before it."""
    path = _file(paths)
    rows = _records(read_rows(paths)) if path.exists() else []
    judge = None
    for number, (variant, folder) in enumerate(zip(variants, folders, strict=True)):
        peer = folders[number - 1]
        run = {
            "run": f"{own.root.name}/{folder.name}",
            "peer_run": peer.name if peer != folder else "none",
            **{name: variant["data"][name] for name in ("source", "keypoints")},
            "split": chosen.split,
            "seed": variant["seed"],
        }
        rows = [row for row in rows if not _agree(row, run, RUN) or _agree(row, run, ("run", "peer_run"))]
        known = {int(row["step"]) for row in rows if _agree(row, run, RUN)}
        files = sorted(folder.glob("*.pt"))
        missing = [file for file in files if int(file.stem) not in known]
        if not missing:
            continue
        console.announce(f"criteria: measuring {run['run']}")
        judge = judge or Judge(variant, own.poses, chosen.split)
        curves = {
            int(row["step"]): row for row in _records(read_csv(folder / "curves.csv", f"delete {folder}", ["step"]))
        }
        losses = {step: row[CURVES[0]] for step, row in curves.items()}
        run["kept_by_patience"] = early_stopping_step(losses, PATIENCE)
        half = checkpoints.load(files[(len(files) - 1) // 2])
        others = judge.lifted(checkpoints.load(max(peer.glob("*.pt")))) if peer != folder else None
        for file in missing:
            step = int(file.stem)
            found = judge(checkpoints.load(file), half, others)
            rows.append({**run, "step": step, **found, **{name: curves[step][name] for name in CURVES}})
            with replacing(path) as temporary:
                pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.5g")


def _agree(row: Mapping[str, Any], other: Mapping[str, Any], columns: Iterable[str]) -> bool:
    return all(row[name] == other[name] for name in columns)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
