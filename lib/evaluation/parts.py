"""One evaluation of several: of a split that is too large for memory, and is lifted some sequences at a time.

Means over frames stay means over all frames. What a lifter finds over a whole split, such as how strong the noise is,
it finds over each part; bins of stated errors are made of the parts' bins.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.data.split import Split, labelled_only
from lib.evaluation.lifting import BINS, ERRORS, PER_ACTION, PER_JOINT, RELIABILITY, Evaluation

FRAMES = 1 << 17  # of a part: lifting needs about 5 kB a frame
COUNTS = ("frames", "undetected_frames", "labelled_frames")
Metrics = dict[str, int | float | str]


class Evaluated(NamedTuple):
    """What is left of an evaluation without its poses."""

    metrics: Metrics
    per_joint: pd.DataFrame
    per_action: pd.DataFrame
    reliability: pd.DataFrame


class _Part(NamedTuple):
    result: Evaluated
    sequences: int
    moving: int  # frames of sequences with 3D after their first, which have a velocity


def merged(parts: Iterable[tuple[Split, Evaluation]]) -> Evaluated:
    """One evaluation of those of parts, which may be made as they are asked for: no poses are kept."""
    kept = [_without_poses(split, evaluation) for split, evaluation in parts]
    if len(kept) == 1:
        return kept[0].result
    known = [part for part in kept if part.result.metrics["labelled_frames"]]
    per_joint, per_action = _per_joint(known), _per_action(known)
    metrics: Metrics = {name: sum(int(part.result.metrics[name]) for part in kept) for name in COUNTS}
    for name, value in (known or kept)[0].result.metrics.items():
        if name in COUNTS:
            continue
        if isinstance(value, str):
            metrics[name] = value
        elif name.endswith("_action_mean_mm"):
            metrics[name] = float(per_action[name.replace("_action_mean", "")].mean())
        elif name == "error_over_stated":
            error = _mean(
                [(_number(part, name) * _number(part, "stated_error_mm"), _weight(part, name)) for part in known]
            )
            metrics[name] = error / float(metrics["stated_error_mm"])
        else:
            of = kept if name.startswith("bone_") else known or kept
            metrics[name] = _mean(
                [(_number(part, name), _weight(part, name)) for part in of if name in part.result.metrics]
            )
    return Evaluated(metrics, per_joint, per_action, _reliability(known))


def _without_poses(split: Split, evaluation: Evaluation) -> _Part:
    known = labelled_only(split) if split.labelled.any() else None
    moving = 0 if known is None else len(known.keypoints) - len(known.table)
    tables = (evaluation.per_joint, evaluation.per_action, evaluation.reliability)
    return _Part(Evaluated(evaluation.metrics, *tables), len(split.table), moving)


def _number(part: _Part, name: str) -> float:
    return float(part.result.metrics[name])


def _weight(part: _Part, name: str) -> float:
    """What a metric is a mean over."""
    metrics = part.result.metrics
    others = {
        "bone_constancy_error": part.sequences,
        "bone_symmetry_error": metrics["frames"],
        "mpjve_mm_per_s": part.moving,
    }
    return float(others.get(name, metrics["labelled_frames"] or metrics["frames"]))


def _mean(values: list[tuple[float, float]]) -> float:
    numbers, weights = zip(*values, strict=True)
    return float(np.average(numbers, weights=weights))


def _per_joint(known: list[_Part]) -> pd.DataFrame:
    if not known:
        return pd.DataFrame(columns=pd.Index(PER_JOINT))
    weights = [_number(part, "labelled_frames") for part in known]
    first = known[0].result.per_joint
    errors = np.average([part.result.per_joint[list(ERRORS)].to_numpy() for part in known], axis=0, weights=weights)
    return pd.DataFrame({"joint": first["joint"], **dict(zip(ERRORS, errors.T, strict=True))})


def _per_action(known: list[_Part]) -> pd.DataFrame:
    if not known:
        return pd.DataFrame(columns=pd.Index(PER_ACTION))
    rows = pd.concat([part.result.per_action for part in known])
    errors = list(ERRORS)
    rows[errors] = rows[errors].mul(rows["frames"], axis=0)
    sums = rows.groupby("action", sort=True).sum()
    sums[errors] = sums[errors].div(sums["frames"], axis=0)
    return sums.reset_index()[list(PER_ACTION)]


def _reliability(known: list[_Part]) -> pd.DataFrame:
    if not known:
        return pd.DataFrame(columns=pd.Index(RELIABILITY))
    rows = pd.concat([part.result.reliability for part in known]).sort_values("stated_mm", ignore_index=True)
    points = rows["points"].to_numpy()
    bins = ((points.cumsum() - points / 2) * BINS / points.sum()).astype(int)
    weighed = rows.assign(**{name: rows[name] * points for name in RELIABILITY[:2]}).groupby(bins).sum()
    return weighed.assign(**{name: weighed[name] / weighed["points"] for name in RELIABILITY[:2]}).reset_index(
        drop=True
    )
