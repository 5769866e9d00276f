import json
from pathlib import Path

import h5py
import pandas as pd
import pytest
import torch
from torch import Tensor

from lib.data.split import Split
from lib.data.store import read_split
from lib.evaluation.reconstruction import read_examples
from lib.inference.lifter import LiftedSplit
from lib.inference.predictions import read_predictions
from lib.models import checkpoints
from lib.models.checkpoints import Checkpoint
from lib.models.tasks import Task
from lib.pose.geometry import root_centred
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import evaluate
from tests.settings import tiny_checkpoint
from tests.synthetic import BODY_SIZE, lifted_points, lifted_truth, write_store

LIFTING = {"batch_size": 7, "flip": True, "constant_bone_lengths": True, "depth_signs": True, "denoise": False}
PARAMS = {"evaluation": {"device": "cpu", "scale": "root_depth", **LIFTING}}


class PerfectLifter:
    """Stands in for lib.inference.lifter.Lifter: knows the truth, whether the source has it or not."""

    body_size = BODY_SIZE

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        assert (checkpoint.task, device.type) == ("lifting", "cpu")

    def lift(self, split: Split, **lifting: object) -> LiftedSplit:
        assert lifting == LIFTING
        stated = torch.full_like(self.truth[..., 0], 0.01)
        return lifted_points(self.truth, self.truth, stated, stated)

    truth: Tensor


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    paths = Paths(tmp_path)
    positions = read_split(write_store(paths.poses), "test", "if any").positions
    assert positions is not None
    monkeypatch.setattr(PerfectLifter, "truth", lifted_truth(positions), raising=False)
    monkeypatch.setattr(evaluate, "Lifter", PerfectLifter)
    checkpoints.save(tiny_checkpoint(frames=3), paths.finetuned)
    return paths


def test_evaluate_writes_metrics_tables_and_predictions(paths: Paths) -> None:
    evaluate.run(PARAMS, paths)
    metrics = json.loads(paths.metrics("evaluate").read_text())
    assert metrics["frames"] == 60
    assert metrics["p_mpjpe_mm"] < 0.01
    per_joint, per_action = (pd.read_csv(paths.plot(name)) for name in ("per_joint.csv", "per_action.csv"))
    assert per_joint.columns.tolist() == ["joint", "mpjpe_mm", "n_mpjpe_mm", "p_mpjpe_mm"]
    assert per_action.columns.tolist() == ["action", "frames", "mpjpe_mm", "n_mpjpe_mm", "p_mpjpe_mm"]
    assert (len(per_joint), len(per_action)) == (17, 2)
    reliability = pd.read_csv(paths.plot("reliability.csv"))
    assert reliability.columns.tolist() == ["stated_mm", "mpjpe_mm", "points"]
    assert reliability["points"].sum() == 60 * 16
    assert 40 < metrics["stated_error_mm"] < 65  # a hundredth of the distance
    with h5py.File(paths.predictions) as file:
        assert file["predicted_error"][:].mean() == pytest.approx(metrics["stated_error_mm"] / 1000, rel=1e-3)
    truth = read_split(paths.poses, "test", "if any")
    assert truth.positions is not None
    torch.testing.assert_close(read_predictions(paths.predictions).predicted, root_centred(truth.positions, H36M))


def test_without_3d_the_tables_have_only_a_header(paths: Paths) -> None:
    write_store(paths.poses, labels=False)
    evaluate.run(PARAMS, paths)
    metrics = json.loads(paths.metrics("evaluate").read_text())
    names = {"frames", "undetected_frames", "labelled_frames", "stated_error_mm", "mpjpe_scale"}
    names |= {"bone_symmetry_error", "bone_constancy_error"}
    assert set(metrics) == names
    assert paths.plot("per_joint.csv").read_text() == "joint,mpjpe_mm,n_mpjpe_mm,p_mpjpe_mm\n"
    assert paths.plot("per_action.csv").read_text() == "action,frames,mpjpe_mm,n_mpjpe_mm,p_mpjpe_mm\n"
    assert paths.plot("reliability.csv").read_text() == "stated_mm,mpjpe_mm,points\n"
    assert read_predictions(paths.predictions).predicted.shape == (60, 17, 3)


@pytest.mark.parametrize(("task", "unit"), [("reconstruction_2d", "px"), ("reconstruction_3d", "mm")])
def test_a_model_that_reconstructs_is_measured_beside_guesses(paths: Paths, task: Task, unit: str) -> None:
    checkpoints.save(tiny_checkpoint(frames=3, task=task), paths.finetuned)
    evaluate.run(PARAMS, paths)
    metrics = json.loads(paths.metrics("evaluate").read_text())
    for kind in ("joints", "frames", "tubelets"):
        errors = [metrics[f"{kind}_{guess}_{unit}"] for guess in ("model", "mean_pose", "interpolation")]
        assert min(errors) > 0
        model, mean_pose, line = errors
        # People in the store walk steadily: between frames a line is near. An untrained model does not know bodies, but
        # starts from where a smooth path has a joint, and is near between frames as well.
        assert line < 0.6 * mean_pose or kind == "joints"
        assert model < 0.2 * mean_pose if kind == "frames" else model > mean_pose
    table = pd.read_csv(paths.plot("reconstruction.csv"))
    assert table["hidden"].value_counts().to_dict() == {"joints": 16, "frames": 16, "tubelets": 16}
    assert paths.plot("per_joint.csv").read_text() == "joint,mpjpe_mm,n_mpjpe_mm,p_mpjpe_mm\n"
    examples = read_examples(paths.predictions)
    assert examples is not None and examples.output.shape == examples.whole.shape


def test_nothing_is_written_when_the_store_is_missing(paths: Paths) -> None:
    paths.poses.unlink()
    with pytest.raises(UserError, match="poses.h5 is missing: run `dvc repro preprocess` first"):
        evaluate.run(PARAMS, paths)
    assert not paths.metrics("evaluate").exists()
