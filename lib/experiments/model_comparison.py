"""Checkpoints side by side: the same split, lifted and measured as evaluate does, and how sure the differences are."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from lib.data.split import Split
from lib.evaluation.comparison import Differences, Sums, differences, draw_counts, mean_differences
from lib.evaluation.lifting import ERRORS, Evaluation, EvaluationParams, evaluate
from lib.inference.lifter import LiftedSplit, Lifter
from lib.models import checkpoints
from lib.runtime.device import resolve_device
from lib.runtime.errors import UserError
from lib.runtime.files import require_file
from lib.sources.base import action_name

COMPARED = ("model", "value", "difference", "low", "high")  # of a metric; the first model has no difference
OVERALL = ("metric", *COMPARED)
BY_JOINT = ("joint", "metric", *COMPARED)
BY_ACTION = ("action", "metric", *COMPARED)
ACTION_MEAN = "_action_mean_mm"  # ends the names of means over actions
OF_BONES = ("bone_symmetry_error", "bone_constancy_error")  # need no 3D
TIMED_FRAMES, ROUNDS = 4096, 3


class Model(NamedTuple):
    """A checkpoint that lifts."""

    name: str  # no other has
    lifter: Lifter

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return sum(parameter.numel() for parameter in self.lifter.model.parameters())


@dataclass(frozen=True)
class Comparison:
    """Tables with a row a metric and model, and what they are of."""

    overall: pd.DataFrame  # OVERALL
    by_joint: pd.DataFrame  # BY_JOINT; no rows without 3D
    by_action: pd.DataFrame  # BY_ACTION; no rows without 3D
    evaluations: tuple[Evaluation, ...]  # of each model, over the whole split


def load_models(paths: Sequence[Path], device: str) -> list[Model]:
    """Read checkpoints, which get distinct names.

    Raises:
        UserError: one is missing, damaged, or does not lift.
    """
    models = []
    for path, name in zip(paths, distinct_names(paths), strict=True):
        require_file(path, "name checkpoints that there are, such as data/models/finetuned.pt")
        checkpoint = checkpoints.load(path)
        if not checkpoint.lifts:
            raise UserError(f"{path} is for {checkpoint.task} and does not lift: leave it out")
        models.append(Model(name, Lifter(checkpoint, resolve_device(device))))
    return models


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The files' names, with as many of their folders as tell them apart; the same file again gets a number."""
    files = [path.resolve() for path in paths]
    parts = [(*file.parent.parts[1:], file.name.removesuffix(checkpoints.SMALL).removesuffix(".pt")) for file in files]
    if len(set(parts)) < len(set(files)):  # the same but for their endings
        parts = [file.parts[1:] for file in files]
    names = ["/".join(_told_apart(part, set(parts))) for part in parts]
    before = [names[:number].count(name) for number, name in enumerate(names)]
    return [f"{name} ({count + 1})" if count else name for name, count in zip(names, before, strict=True)]


def _told_apart(path: tuple[str, ...], among: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The shortest end of a path that no other has."""
    ends = (path[-depth:] for depth in range(1, len(path)))
    return next((end for end in ends if sum(other[-len(end) :] == end for other in among) == 1), path)


def speeds(models: Sequence[Model], split: Split, evaluation: EvaluationParams) -> list[float]:
    """Frames a second that each model lifts, without what is done to whole sequences: the best of some rounds.

    The models take turns, so that what else the machine does hinders all of them. Threads are as they are.
    """
    frames = torch.linspace(0, len(split.keypoints) - 1, min(TIMED_FRAMES, len(split.keypoints))).long()
    taken: list[list[float]] = [[] for _ in models]
    for _ in range(ROUNDS):
        for model, seconds in zip(models, taken, strict=True):
            started = time.perf_counter()
            poses = model.lifter.lift_windows(split, evaluation.batch_size, evaluation.flip, frames)
            poses.points.cpu()  # waits for the device
            seconds.append(time.perf_counter() - started)
    return [len(frames) / min(seconds) for seconds in taken]


def compare(
    models: Sequence[Model], split: Split, evaluation: EvaluationParams, seed: int, takes: bool = False
) -> Comparison:
    """Measure models on a split; differences are from the first of them, with intervals that resample sequences.

    With `takes`, sequences of the same subject and action are drawn together: those of one take before several cameras.

    Raises:
        UserError: a model does not know the split's layout, or its predictions are not finite.
    """
    names, whole, single = [model.name for model in models], [], []
    for model in models:
        try:
            lifted = model.lifter.lift(split, **evaluation.lifting)
            whole.append(evaluate(split, lifted, evaluation.scale, model.lifter.body_size))
        except UserError as error:
            raise UserError(f"{model.name}: {error}") from None
        single.append(list(_each_sequence(split, lifted, evaluation, model.lifter.body_size)))
    counts = draw_counts(len(split.table), seed)
    if takes:
        take, found = pd.factorize(pd.MultiIndex.from_frame(split.table[["subject", "action"]]))
        counts = draw_counts(len(found), seed)[:, torch.from_numpy(take)]
    overall = _overall(names, whole, single, counts, split.table)
    if not len(whole[0].per_joint):
        joints, actions = (pd.DataFrame(columns=pd.Index(columns)) for columns in (BY_JOINT, BY_ACTION))
        return Comparison(overall, joints, actions, tuple(whole))
    keys = [(str(joint), error) for error in ERRORS for joint in whole[0].per_joint["joint"]]
    sums = _sums([[_joint_parts(one) for one in model] for model in single], [" ".join(key) for key in keys])
    by_joint = _table(BY_JOINT, keys, names, sums.values, differences(sums, counts))
    return Comparison(overall, by_joint, _by_action(names, single, counts, split.table), tuple(whole))


def _each_sequence(
    split: Split, lifted: LiftedSplit, evaluation: EvaluationParams, body_size: float
) -> Iterator[Evaluation]:
    """What evaluate says of each sequence alone; of one without 3D among others that have it, only its bones."""
    for number, (start, length) in enumerate(zip(split.table["start"], split.table["length"], strict=True)):
        frames = torch.arange(int(start), int(start + length))
        one = split.take(frames, split.table.iloc[[number]].assign(start=0).reset_index(drop=True))
        if one.positions is not None and not one.labelled.any():
            one = replace(one, positions=None)
        result = evaluate(one, LiftedSplit(*(part[frames] for part in lifted)), evaluation.scale, body_size)
        if one.positions is None and split.positions is not None:
            kept = {name: result.metrics[name] for name in ("frames", "labelled_frames", *OF_BONES)}
            result = replace(result, metrics=kept)
        yield result


Parts = Mapping[str, tuple[float, float]]  # of each metric: the sum over a sequence, and its weight


def _parts(one: Evaluation, names: Sequence[str]) -> Parts:
    """What a sequence adds to metrics: those of bones count by frames or sequences, velocity by pairs of frames."""
    metrics = {name: float(value) for name, value in one.metrics.items() if not isinstance(value, str)}
    frames, labelled = metrics["frames"], metrics["labelled_frames"]
    weights = {OF_BONES[0]: frames, OF_BONES[1]: 1.0, "mpjve_mm_per_s": labelled - 1}
    usual = labelled or frames
    parts = {}
    for name in names:
        weight = weights.get(name, usual) if name in metrics else 0.0
        if name == "error_over_stated":
            weight *= metrics.get("stated_error_mm", 0.0)
        parts[name] = (metrics[name] * weight if weight else 0.0, weight)
    return parts


def _joint_parts(one: Evaluation) -> Parts:
    """The same of every joint and error."""
    weight = float(one.metrics["labelled_frames"])
    rows = one.per_joint.set_index("joint")
    return {
        f"{joint} {error}": (weight * float(rows.loc[joint, error]), weight) for error in ERRORS for joint in rows.index
    }


def _sums(parts: Sequence[Sequence[Parts]], names: Sequence[str]) -> Sums:
    """Parts by model and sequence; a sequence that says nothing has none."""
    pairs = torch.tensor(
        [[[one.get(name, (0.0, 0.0)) for name in names] for one in model] for model in parts], dtype=torch.float64
    )
    return Sums(*pairs.unbind(-1))


def _overall(
    names: list[str], whole: list[Evaluation], single: list[list[Evaluation]], counts: Tensor, table: pd.DataFrame
) -> pd.DataFrame:
    """Every metric that is a mean over sequences, or over actions."""
    measured = [name for name, value in whole[0].metrics.items() if isinstance(value, float)]
    means = [name for name in measured if not name.endswith(ACTION_MEAN)]
    sums = _sums([[_parts(one, means) for one in model] for model in single], means)
    rows = _table(OVERALL, [(name,) for name in means], names, sums.values, differences(sums, counts))
    if len(means) < len(measured):
        groups = list(_actions(single, table).values())
        values = torch.stack([group.values for group in groups]).nanmean(0)
        keys = [(f"{error[:-3]}{ACTION_MEAN}",) for error in ERRORS]
        rows = pd.concat([rows, _table(OVERALL, keys, names, values, mean_differences(groups, counts))])
    order = {name: place for place, name in enumerate(measured)}
    return rows.sort_values("metric", key=lambda column: column.map(order), kind="stable").reset_index(drop=True)


def _by_action(names: list[str], single: list[list[Evaluation]], counts: Tensor, table: pd.DataFrame) -> pd.DataFrame:
    tables = [
        _table(BY_ACTION, [(action, error) for error in ERRORS], names, sums.values, differences(sums, counts))
        for action, sums in _actions(single, table).items()
    ]
    return pd.concat(tables, ignore_index=True)


def _actions(single: list[list[Evaluation]], table: pd.DataFrame) -> dict[str, Sums]:
    """The errors of the sequences of each action; the weights of all others are 0."""
    sums = _sums([[_parts(one, ERRORS) for one in model] for model in single], ERRORS)
    actions = table["action"].map(action_name)
    found = {}
    for action in sorted(set(actions)):
        of_action = torch.from_numpy((actions == action).to_numpy()).double()[:, None]
        part = Sums(sums.total * of_action, sums.weight * of_action)
        if part.weight.any():
            found[action] = part
    return found


def _table(
    columns: Sequence[str], keys: Sequence[tuple[str, ...]], names: Sequence[str], values: Tensor, off: Differences
) -> pd.DataFrame:
    """A row a metric and model."""
    rows = []
    for metric, key in enumerate(keys):
        for model, name in enumerate(names):
            numbers = [float(part[model, metric]) if model else float("nan") for part in off]
            rows.append((*key, name, float(values[model, metric]), *numbers))
    return pd.DataFrame(rows, columns=pd.Index(columns))
