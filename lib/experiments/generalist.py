"""A model to start from: trained on the prior in all layouts alike and on a source's 2D, from cameras anywhere.

Its file says how it came about: the command's params, hashes of code and raw files, and its errors.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lib.data.store import read_split
from lib.evaluation.lifting import EvaluationParams
from lib.experiments.robustness import robustness
from lib.experiments.runs import code_hash, deciding, short_hash
from lib.experiments.variants import Changes, changed, prepare, scratch, train
from lib.inference.lifter import Lifter
from lib.models.checkpoints import Checkpoint
from lib.runtime.device import resolve_device
from lib.runtime.files import sha256
from lib.runtime.params import section
from lib.runtime.paths import Paths

FILE = "generalist.pt.gz"  # in data/starts
CHANGES: Changes = {
    "training.objective": "lift",
    "training.start": "none",
    "training.epochs": 48,
    "prior.other_layouts_probability": 0.5,
    "prior.any_elevation_probability": 0.25,
    "prior.roll_std_deg": 5,
}


class Generalist(NamedTuple):
    """A source to train on."""

    source: str
    keypoints: str
    epochs: int | None = None  # None: those of CHANGES


def train_generalist(chosen: Generalist, params: Mapping[str, Any], paths: Paths) -> Checkpoint:
    """Train it in data/scratch, and measure it on the source's test subjects, if they have 3D.

    Raises:
        UserError: the source's files are missing or wrong.
    """
    epochs = {} if chosen.epochs is None else {"training.epochs": chosen.epochs}
    variant = changed(params, {**CHANGES, **epochs, "data.source": chosen.source, "data.keypoints": chosen.keypoints})
    own = scratch(paths, "generalist", chosen.source)
    prepare(variant, own, ())
    checkpoint = train(variant, own).checkpoint
    origin = {
        "source": f"{chosen.source}, {chosen.keypoints}",
        "params": short_hash(deciding(variant)),
        "code": code_hash(),
        "data": short_hash(content_hashes(own.raw(chosen.source))),
        "metrics": _errors(checkpoint, own.poses, variant),
    }
    return replace(checkpoint, training={**checkpoint.training, **origin})


def content_hashes(raw: Path) -> dict[str, str]:
    """The hash of each raw file of a source."""
    files = sorted(path for path in raw.rglob("*") if path.is_file())
    return {str(path.relative_to(raw)): sha256(path) for path in files}


def _errors(checkpoint: Checkpoint, poses: Path, params: Mapping[str, Any]) -> dict[str, float]:
    """P-MPJPE in mm on the test subjects, by the conditions of `lib.experiments.robustness`."""
    test = read_split(poses, "test", "if any")
    if test.positions is None or test.layout.name != "h36m":
        return {}
    evaluation = section(EvaluationParams, "evaluation", params)
    table = robustness(Lifter(checkpoint, resolve_device(evaluation.device)), test, evaluation.batch_size)
    rows = zip(*(table[name].tolist() for name in ("condition", "joints", "p_mpjpe_mm")), strict=True)
    return {f"{condition}, {joints}": round(error, 1) for condition, joints, error in rows}
