"""Variants of params.yaml, trained in a folder of their own and measured like the pipeline's model."""

import copy
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lib.data.preprocessing import preprocess
from lib.data.store import has_labels, read_split
from lib.evaluation.lifting import EvaluationParams, evaluate
from lib.experiments.runs import short_hash
from lib.inference.lifter import Lifter
from lib.models.checkpoints import Checkpoint
from lib.runtime.device import describe_devices, resolve_device
from lib.runtime.errors import UserError
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.tensorboard import Board
from lib.sources.base import SourceParams
from lib.training.pretraining import Pretrained, PretrainParams, pretrain

Changes = Mapping[str, object]  # dotted keys of params.yaml -> values
FIGURES = ("mpjpe_mm", "n_mpjpe_mm", "p_mpjpe_mm", "mpjpe_body_size_mm")
WINDOW_FIGURES = ("n_mpjpe_mm", "p_mpjpe_mm")  # of windows as they are lifted, without sequence-level refinement
PER_WINDOW = {"constant_bone_lengths": False, "denoise": False}


def changed(params: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """A copy of params with other values.

    Raises:
        UserError: params have no such key.
    """
    variant = copy.deepcopy(dict(params))
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = variant
        for name in sections:
            place = place[name]
        if last not in place:
            raise UserError(f"params.yaml: {key} is missing")
        place[last] = value
    return variant


def keypoints_of(paths: Paths, source: str, params: Mapping[str, Any]) -> list[str]:
    """The kinds of 2D that a source has, as far as it is known; else the one that params.yaml names."""
    if source == "sample":
        return ["gt", "noisy"]
    if source != "h36m":
        return [str(params["data"]["keypoints"])]
    found = sorted(path.stem.removeprefix("data_2d_h36m_") for path in paths.raw(source).glob("data_2d_h36m_*.npz"))
    if not found:
        raise UserError(f"{paths.raw(source)} has no data_2d_h36m_*.npz: its README says where they come from")
    return found


def scratch(paths: Paths, name: str, source: str) -> Paths:
    """A folder of its own for runs beside the pipeline's, with the same raw files."""
    own = Paths(paths.root / "data" / "scratch" / name)
    own.raw(source).parent.mkdir(parents=True, exist_ok=True)
    if not own.raw(source).is_symlink():
        own.raw(source).symlink_to(paths.raw(source).resolve())
    return own


def prepare(params: Mapping[str, Any], own: Paths, needed: tuple[str, ...]) -> None:
    """Make the store of a variant; what could not be measured is refused before anything is trained.

    Raises:
        UserError: one of the `needed` splits has no 3D.
    """
    data = section(SourceParams, "data", params)
    preprocess(data, own.raw(data.source).resolve(), own.poses)  # errors name the folder that users know
    for split in needed:
        require_labels(own.poses, split)


def prepare_once(params: Mapping[str, Any], own: Paths, needed: tuple[str, ...], made_with: Mapping[str, str]) -> None:
    """`prepare`, unless the store in the folder is of the same data params, code and raw files.

    Raises:
        UserError: one of the `needed` splits has no 3D.
    """
    key, marker = short_hash([made_with, params["data"]]), own.poses.with_suffix(".key")
    if not marker.exists() or marker.read_text() != key:
        marker.unlink(missing_ok=True)  # a store that a kill leaves half-way is nobody's
        prepare(params, own, needed)
        marker.write_text(key)
    for split in needed:  # others may have been needed when the store was made
        require_labels(own.poses, split)


def require_labels(poses: Path, split: str) -> None:
    """Refuse a split whose errors cannot be measured.

    Raises:
        UserError: it has no 3D.
    """
    if not has_labels(poses, split):
        raise UserError(f"{poses} has no 3D for the {split} split, so errors cannot be measured: this source has none")


def train(params: Mapping[str, Any], own: Paths) -> Pretrained:
    """Pre-train a variant on its store."""
    return pretrain(PretrainParams.read(params), own.poses, Board(own.logs, "pretrain"))


def measured(checkpoint: Checkpoint, poses: Path, split: str, params: Mapping[str, Any]) -> dict[str, float]:
    """The errors of a lifter on a split, as evaluate measures them, and of single windows."""
    evaluation = section(EvaluationParams, "evaluation", params)
    lifter, truth = Lifter(checkpoint, resolve_device(evaluation.device)), read_split(poses, split, "if any")
    whole, windows = (
        evaluate(truth, lifter.lift(truth, **lifting), evaluation.scale, lifter.body_size).metrics
        for lifting in (evaluation.lifting, evaluation.lifting | PER_WINDOW)
    )
    return {
        "frames": float(whole["frames"]),
        **{name: round(float(whole[name]), 2) for name in FIGURES},
        **{f"windows_{name}": round(float(windows[name]), 2) for name in WINDOW_FIGURES},
    }


def protocol(params: Mapping[str, Any]) -> dict[str, object]:
    """Who trains and tests, on what hardware, and when: the same columns for every table."""
    trained_on = resolve_device(params["training"]["device"])
    hardware = next(info.hardware for info in describe_devices() if info.device == trained_on)
    split = params["data"]["split"]
    return {
        "subjects": split
        if isinstance(split, str)
        else " ".join(f"{part}: {'+'.join(names)}" for part, names in split.items()),
        "hardware": f"{hardware}, {torch.get_num_threads()} threads",
        "date": time.strftime("%Y-%m-%d"),
    }
