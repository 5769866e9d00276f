"""Tables of runs: variants of params, what is measured of each, and a CSV file that remembers it."""

import copy
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lib.data.store import has_labels, read_split
from lib.evaluation.lifting import EvaluationParams, evaluate
from lib.inference.lifter import Lifter
from lib.models.checkpoints import Checkpoint
from lib.runtime.device import describe_devices, resolve_device
from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.runtime.params import section
from lib.runtime.paths import Paths

Changes = Mapping[str, object]  # dotted keys of params.yaml -> values
FIGURES = ("mpjpe_mm", "n_mpjpe_mm", "p_mpjpe_mm", "mpjpe_body_size_mm")
WINDOWS = ("n_mpjpe_mm", "p_mpjpe_mm")  # of windows as they are lifted, without what sequences know
CODE = ("lib", "stages")


class Runs:
    """A CSV file with a row a run, which is known again by its params, the code and the raw files."""

    def __init__(self, path: Path, raw: Path, split: str) -> None:
        self.path, self.split, self.rows = path, split, _read(path)
        self.made_with = {"code": code_hash(), "data": data_hash(raw)}

    def once(
        self, named: Mapping[str, object], params: Mapping[str, Any], measure: Callable[[], dict[str, object]]
    ) -> dict[str, Any]:
        """The run with these names and params, from the file or measured now and written down."""
        data = params["data"]
        run = {"source": data["source"], "keypoints": data["keypoints"], "split": self.split, "seed": params["seed"]}
        row = {**named, **run, "params": short_hash(params), **self.made_with}
        known = [old for old in self.rows if all(str(old.get(key)) == str(value) for key, value in row.items())]
        if not known:
            known = [{**row, **measure()}]
            self.rows += known
            with replacing(self.path) as temporary:
                pd.DataFrame(self.rows).to_csv(temporary, index=False)
        return known[-1]


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


def short_hash(content: object) -> str:
    """Twelve characters that stand for plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def code_hash(root: Path = Path(__file__).parents[2]) -> str:
    """What stands for the project's code, so that figures of other code are measured again."""
    files = sorted(path for folder in CODE for path in (root / folder).rglob("*") if path.suffix in (".py", ".json"))
    return short_hash([(str(path.relative_to(root)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files])


def data_hash(raw: Path) -> str:
    """What stands for a source's raw files: their names, sizes and times, for their content would take minutes."""
    files = sorted(path for path in raw.rglob("*") if path.is_file())
    return short_hash([(str(path.relative_to(raw)), path.stat().st_size, path.stat().st_mtime) for path in files])


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


def require_labels(poses: Path, split: str) -> None:
    """Refuse, before anything is trained, what could not be measured.

    Raises:
        UserError: the split has no 3D.
    """
    if not has_labels(poses, split):
        raise UserError(f"{poses} has no 3D for the {split} split, so errors cannot be measured: this source has none")


def measured(checkpoint: Checkpoint, poses: Path, split: str, params: Mapping[str, Any]) -> dict[str, float]:
    """The errors of a lifter on a split, as evaluate measures them, and without what sequences know."""
    evaluation = section(EvaluationParams, "evaluation", params)
    lifter, truth = Lifter(checkpoint, resolve_device(evaluation.device)), read_split(poses, split, "if any")
    whole, windows = (
        evaluate(truth, lifter.lift(truth, **lifting), evaluation.scale, lifter.body_size).metrics
        for lifting in (evaluation.lifting, evaluation.lifting | {"steady": False, "smooth": False})
    )
    return {
        "frames": float(whole["frames"]),
        **{name: round(float(whole[name]), 2) for name in FIGURES},
        **{f"windows_{name}": round(float(windows[name]), 2) for name in WINDOWS},
    }


def protocol(params: Mapping[str, Any]) -> dict[str, object]:
    """Who trains and tests, on what hardware, and when: the same columns for every table."""
    trained_on = resolve_device(params["training"]["device"])
    hardware = next(info.hardware for info in describe_devices() if info.device == trained_on)
    return {
        "subjects": " ".join(f"{part}: {'+'.join(names)}" for part, names in params["data"]["split"].items()),
        "hardware": f"{hardware}, {torch.get_num_threads()} threads",
        "date": time.strftime("%Y-%m-%d"),
    }


def spread(values: "pd.Series[float]") -> str:
    """A mean, and over several runs the standard deviation."""
    return f"{values.mean():.1f}" + (f" +- {values.std():.1f}" if len(values) > 1 else "")


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        rows = pd.read_csv(path, dtype=str).to_dict("records")
    except (pd.errors.EmptyDataError, pd.errors.ParserError):
        raise UserError(f"{path} is damaged: delete it, or restore it with git checkout") from None
    return [{str(name): value for name, value in row.items()} for row in rows]
