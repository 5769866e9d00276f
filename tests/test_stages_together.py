"""The stages one after the other, for every network and objective, in seconds; test_pipeline.py has DVC run them."""

import copy
import json
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
import pytest

from lib.data import store
from lib.models import checkpoints
from lib.models.networks import NETWORKS
from lib.objectives.catalog import OBJECTIVES
from lib.pose.layouts import LAYOUTS, read_layout
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import evaluate, finetune, preprocess, pretrain, visualize
from tests.settings import PARAMS


@pytest.fixture
def params() -> dict[str, Any]:
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    params["data"] |= {"source": "h36m", "split": {"train": ["S1"], "validation": ["S8"], "test": ["S9"]}}
    params["training"] |= {"debug": True, "device": "cpu", "threads": 1}
    params["visualize"] |= {"gif_frames": 2, "count": 1}
    return params


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_network_runs_with_every_objective(
    network: str, objective: str, params: dict[str, Any], tmp_path: Path, h36m_raw: Path
) -> None:
    params["model"]["name"], params["training"]["objective"] = network, objective
    paths = Paths(tmp_path)
    for stage in (preprocess, pretrain, finetune, evaluate, visualize):
        stage.run(params, paths)
    checkpoint = checkpoints.load(paths.pretrained)
    assert (checkpoint.model["name"], checkpoint.objectives) == (network, (objective,))
    metrics = json.loads(paths.metrics("evaluate").read_text())
    names = {"mask_2d": "joints_model_px", "mask_3d": "joints_model_mm"}
    assert 0 < metrics[names.get(objective, "p_mpjpe_mm")] < 2000
    assert len(pd.read_csv(paths.plot("training.csv"))) == 2
    pictures = {path.name for path in paths.figures.iterdir()}
    assert pictures >= ({"reconstruction.png"} if not checkpoint.lifts else {"examples.png", "error_by_joint.png"})


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_fine_tuning_starts_from_every_objective(
    network: str, objective: str, params: dict[str, Any], tmp_path: Path, h36m_raw: Path
) -> None:
    params["model"]["name"], params["training"]["objective"] = network, objective
    params["finetune"] |= {"enabled": True, "label_fraction": 0.3}
    paths = Paths(tmp_path)
    for stage in (preprocess, pretrain, finetune, evaluate, visualize):
        stage.run(params, paths)
    metrics = json.loads(paths.metrics("finetune").read_text())
    assert metrics["labelled_frames"] == round(0.3 * 2 * 4 * 30)  # two actions before four cameras
    assert metrics["tensors_loaded"] > metrics["tensors_new"]
    assert 0 < json.loads(paths.metrics("evaluate").read_text())["p_mpjpe_mm"] < 2000
    assert len(pd.read_csv(paths.plot("finetuning.csv"))) == 2
    assert {path.name for path in paths.figures.iterdir()} >= {"finetuning.png", "examples.png"}


@pytest.mark.parametrize("objective", [name for name, kind in OBJECTIVES.items() if not kind.labels])
def test_objectives_that_claim_no_labels_run_without_any(
    objective: str, params: dict[str, Any], tmp_path: Path, h36m_raw: Path
) -> None:
    params["training"]["objective"] = objective
    paths = Paths(tmp_path)
    preprocess.run(params, paths)
    with h5py.File(paths.poses, "r+") as file:
        for split in file.values():
            del split["positions"]
    pretrain.run(params, paths)
    assert checkpoints.load(paths.pretrained).weights


OWN = """\
keypoints: # in the order of the files, whose names for three of them are others
  hips: { left_hip: 0.5, right_hip: 0.5 }
  right_hip: right_hip
  right_knee: right_knee
  right_ankle: right_ankle
  left_hip: left_hip
  left_knee: left_knee
  left_ankle: left_ankle
  middle: spine
  chest: thorax
  nose: nose
  top: head_top
  left_shoulder: left_shoulder
  left_elbow: left_elbow
  left_wrist: left_wrist
  right_shoulder: right_shoulder
  right_elbow: right_elbow
  right_wrist: right_wrist
"""


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_runs_in_a_layout_of_a_users_own(
    objective: str, params: dict[str, Any], tmp_path: Path, h36m_raw: Path
) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    params["data"]["layout"] = str(tmp_path / "own.yaml")
    params["training"]["objective"] = objective
    paths = Paths(tmp_path)
    for stage in (preprocess, pretrain, finetune, evaluate, visualize):
        stage.run(params, paths)
    own = read_layout(tmp_path / "own.yaml")
    checkpoint = checkpoints.load(paths.pretrained)
    assert checkpoint.layout == own and own in checkpoint.layouts
    assert (paths.figures / ("joints.png" if checkpoint.lifts else "reconstruction.png")).exists()
    if checkpoint.lifts:
        with h5py.File(paths.predictions) as file:
            assert list(file.attrs["joints"])[9:11] == ["nose", "head_top"]
            assert store.read_layout(file) == own
        assert pd.read_csv(paths.plot("per_joint.csv"))["joint"].tolist() == list(own.landmarks)
    params["data"]["layout"] = "h36m"  # which a lifter knows as well, and another model does not
    preprocess.run(params, paths)
    if checkpoint.lifts:
        evaluate.run(params, paths)
        assert pd.read_csv(paths.plot("per_joint.csv"))["joint"].tolist() == list(LAYOUTS["h36m"].landmarks)
    else:
        with pytest.raises(UserError, match=r"does not know the layout 'h36m' of the data .*: pretrain on this data"):
            evaluate.run(params, paths)
