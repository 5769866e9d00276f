"""What a stage makes of params, in a fraction of a second: made-up data, tiny networks, no logs."""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import jaxtyping
import numpy as np
import pandas as pd
import pytest
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from lib.data.store import read_split
from lib.inference.predictions import read_predictions, write_predictions
from lib.models.checkpoints import load
from lib.plotting.figures import new_figure
from lib.pose.geometry import root_centred
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from lib.runtime.tensorboard import Board
from stages import evaluate, finetune, preprocess, pretrain, visualize
from tests.data.files import clip_frames, h36m_takes, write_clips, write_h36m
from tests.data.mocap_files import write_bvh
from tests.golden import weights_hash
from tests.param_cases import BASE, CONTEXTS, Changes
from tests.settings import PARAMS
from tests.sources.detector_files import prior_keypoints, write_openpose
from tests.synthetic import lifted, motion, write_store

SUBJECTS = ("S1", "S5", "S7", "S8", "S9", "S11")
SHORT = 20  # frames of one of the actions
Product = dict[str, Any]


def params_with(context: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a context, with some of them changed."""
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    for key, value in {**BASE, **CONTEXTS[context], **changes}.items():
        *sections, last = key.split(".")
        place = params
        for name in sections:
            place = place[name]
        place[last] = copy.deepcopy(value)
    return params


class Runs:
    """A folder of files for every stage, in which stages run one after the other; each run only once."""

    def __init__(self, root: Path) -> None:
        self.raw, self.trained, self.drawn = (Paths(root / name) for name in ("raw", "trained", "drawn"))
        self._known: dict[str, Product] = {}
        _write_raw(self.raw)
        preprocess.run(params_with("lift", {}), self.raw)
        self.trained.poses.parent.mkdir(parents=True)
        self.trained.poses.write_bytes(self.raw.poses.read_bytes())
        self._keep("another", params_with("lift", {"seed": 1}))
        self.trained.start("other.pt").parent.mkdir(parents=True)
        self.trained.start("other.pt").write_bytes(self.trained.pretrained.with_name("another.pt").read_bytes())
        self._keep("mask_2d", params_with("mask_2d", {}))
        self._keep("lift", params_with("lift", {}))
        finetune.run(params_with("lift", {"finetune.enabled": False}), self.trained)
        self.trained.finetuned.rename(self.trained.finetuned.with_name("evaluated.pt"))
        _write_predictions(self.drawn)

    def product(self, stage: str, context: str, changes: Changes) -> Product:
        """What a stage makes in a context with some params changed, or the error with which it refuses."""
        name = json.dumps([stage, context, changes])
        if name not in self._known:
            try:
                self._known[name] = self.run(stage, params_with(context, changes))
            except UserError as error:
                self._known[name] = {"error": str(error)}
        return self._known[name]

    def run(self, stage: str, params: dict[str, Any]) -> Product:
        """Run a stage, whatever ran before."""
        match stage:
            case "preprocess":
                preprocess.run(params, self.raw)
                arrays, tested = _arrays(self.raw.poses), _arrays(self.raw.other_test)
                layout = read_split(self.raw.poses, "train").layout.name
                return {"arrays": arrays, "tested": tested, "layout": layout}
            case "pretrain":
                pretrain.run(params, self.trained)
                return {"weights": _weights(self.trained.pretrained)} | _curves(self.trained, "training")
            case "finetune":
                finetune.run(params, self.trained)
                return {"weights": _weights(self.trained.finetuned)} | _curves(self.trained, "finetuning")
            case "evaluate":
                self.trained.finetuned.write_bytes(self.trained.finetuned.with_name("evaluated.pt").read_bytes())
                evaluate.run(params, self.trained)
                metrics: Product = json.loads(self.trained.metrics("evaluate").read_text())
                del metrics["mpjpe_scale"]  # a copy of the param
                return metrics | {
                    "poses": _hash(read_predictions(self.trained.predictions).predicted.numpy().tobytes())
                }
            case _:
                visualize.run(params, self.drawn)
                drawn = [*sorted(self.drawn.figures.iterdir()), self.drawn.viewer]
                return {path.name: _hash(path.read_bytes()) for path in drawn}

    def _keep(self, name: str, params: dict[str, Any]) -> None:
        """Pre-train a checkpoint to fine-tune from."""
        pretrain.run(params, self.trained)
        self.trained.pretrained.rename(self.trained.pretrained.with_name(f"{name}.pt"))


class NoBoard(Board):
    """Logs nothing: logs are no product of a stage."""

    def __init__(self, logs: Path, name: str, draw: str | None = None, embed: str | None = None) -> None:
        super().__init__(logs, name)

    def params(self, params: Mapping[str, Any]) -> None: ...

    def scalars(self, row: Mapping[str, float], step: int) -> None: ...


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """Leave out what takes time and what no param decides: measuring speeds, long validations, drawing the prior."""
    patch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # other tests check shapes
    for stage in ("pretrain", "finetune"):
        patch.setattr(f"stages.{stage}.Board", NoBoard)
    patch.setattr("lib.training.pretraining._rate", lambda *_: 0.0)
    patch.setattr("lib.training.loop.VALIDATION_STEPS", 1)
    patch.setattr("lib.training.loop.VALIDATION_WINDOWS", 16)
    patch.setattr("lib.objectives.plausibility.STEPS", 2)
    patch.setattr("lib.objectives.rehearsal.SETTLING", 1)
    patch.setattr("lib.plotting.prior.rows_of_poses", _written_rows)


def _written_rows(rows: Mapping[str, Float[Tensor, "person joint 3"]], *_: object) -> Figure:
    """A picture of poses as a word that they decide, in place of a hundred people."""
    figure = new_figure(5.0, 1.0)
    figure.suptitle(_hash(b"".join(poses.numpy().tobytes() for poses in rows.values())))
    return figure


def _write_raw(paths: Paths) -> None:
    """The raw files of the sources; other keypoints are a little off, and one action is short."""
    positions, keypoints = h36m_takes(SUBJECTS)
    for subject in SUBJECTS:
        positions[subject]["Eating 2"] = positions[subject]["Eating 2"][:SHORT]
        keypoints[subject]["Eating 2"] = [view[:SHORT] for view in keypoints[subject]["Eating 2"]]
    write_h36m(paths.raw("h36m"), positions, keypoints)
    off = {
        subject: {action: [view + np.float32(1) for view in views] for action, views in actions.items()}
        for subject, actions in keypoints.items()
    }
    write_h36m(paths.raw("h36m"), positions, off, "other")
    write_clips(paths.raw("sample"), clip_frames(seconds=0.3))
    for number in range(3):  # videos of two people, the second of whom comes late
        one, other = (prior_keypoints("body_25", frames) for frames in (60, 40))
        first = 20 + number
        people = [
            [one[frame], *([other[frame - first] + 1000] if frame - first in range(40) else [])] for frame in range(60)
        ]
        write_openpose(paths.raw("keypoints") / f"video{number}", people)
    for subject in ("S1", "S8", "S9"):
        write_bvh(paths.raw("bvh") / subject / "walk.bvh", frames=12)


def _write_predictions(paths: Paths) -> None:
    """What the pictures show, without 3D: there are fewer of them."""
    split = read_split(write_store(paths.poses, labels=False), "test", "if any")
    write_predictions(paths.predictions, split, lifted(root_centred(motion(len(split.keypoints)), split.skeleton)))
    paths.plot("").mkdir()
    for name in ("training", "finetuning"):
        paths.plot(f"{name}.csv").write_text("step\n")


def _weights(path: Path) -> str:
    return weights_hash(load(path).weights)


def _curves(paths: Paths, name: str) -> Product:
    """The losses; the learning rate is there to be seen, and has to act on the weights."""
    return {"losses": pd.read_csv(paths.plot(f"{name}.csv")).drop(columns="lr", errors="ignore").to_csv()}


def _arrays(path: Path) -> dict[str, str]:
    """Every array and text of an HDF5 file."""
    found: dict[str, str] = {}

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = _hash(repr(np.asarray(item[()]).tolist()).encode())

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return found


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
