import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from lib.data import store
from lib.data.split import Split, labelled_only
from lib.evaluation import metrics
from lib.evaluation.lifting import (
    ERRORS,
    PER_ACTION,
    PER_JOINT,
    RELIABILITY,
    EvaluationParams,
    evaluate,
    mean_pose_baseline,
    reliability,
)
from lib.inference.lifter import LiftedSplit
from lib.inference.predictions import body_scale, root_distance
from lib.pose.geometry import bone_lengths, root_centred
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.params import section
from tests.settings import SMALL, synthetic_split
from tests.synthetic import BODY_SIZE, lifted, lifted_points, lifted_truth, write_store

BONES = ("bone_symmetry_error", "bone_constancy_error")


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return store.read_split(write_store(tmp_path / "poses.h5"), "test", "if any")


@pytest.fixture
def unlabelled(tmp_path: Path) -> Split:
    return store.read_split(write_store(tmp_path / "unlabelled.h5", labels=False), "test", "if any")


def _positions(split: Split) -> Tensor:
    assert split.positions is not None
    return split.positions


def _noisy(split: Split, level: float = 0.01, seed: int = 0) -> LiftedSplit:
    noise = root_centred(torch.randn(_positions(split).shape, generator=torch.Generator().manual_seed(seed)), H36M)
    return lifted(lifted_truth(_positions(split)) + level * noise)


def _number(value: int | float | str) -> float:
    assert not isinstance(value, str)
    return value


def test_the_truth_has_no_error(split: Split) -> None:
    result = evaluate(split, lifted(lifted_truth(_positions(split))), "root_depth", BODY_SIZE)
    for name in (*ERRORS, "mpjpe_action_mean_mm", "mpjpe_body_size_mm", "mpjve_mm_per_s", *BONES):
        assert _number(result.metrics[name]) == pytest.approx(0, abs=0.02), name
    assert result.metrics["pck_150"] == 100
    assert result.metrics["auc"] == pytest.approx(100 * 30 / 31)
    assert result.metrics["frames"] == 60
    torch.testing.assert_close(result.predicted.joints, root_centred(_positions(split), H36M))


def test_metrics_are_flat_numbers_and_the_name_of_the_scale(split: Split) -> None:
    result = evaluate(split, _noisy(split), "root_depth", BODY_SIZE)
    assert json.loads(json.dumps(result.metrics, allow_nan=False)) == result.metrics
    assert [name for name, value in result.metrics.items() if isinstance(value, str)] == ["mpjpe_scale"]


def test_the_scale_changes_mpjpe_and_neither_n_nor_p_mpjpe(split: Split) -> None:
    noisy = _noisy(split)
    depth = evaluate(split, noisy, "root_depth", 1.1 * BODY_SIZE)
    size = evaluate(split, noisy, "body_size", 1.1 * BODY_SIZE)
    assert (depth.metrics["mpjpe_scale"], size.metrics["mpjpe_scale"]) == ("root_depth", "body_size")
    assert _number(size.metrics["mpjpe_mm"]) > _number(depth.metrics["mpjpe_mm"]) + 1
    assert depth.metrics["mpjpe_body_size_mm"] == size.metrics["mpjpe_body_size_mm"] == size.metrics["mpjpe_mm"]
    for name in ("n_mpjpe_mm", "p_mpjpe_mm", *BONES):
        assert _number(depth.metrics[name]) == pytest.approx(_number(size.metrics[name]), rel=1e-3)
    torch.testing.assert_close(bone_lengths(size.predicted.joints, H36M).sum(-1), torch.full((60,), 1.1 * BODY_SIZE))


def test_means_over_frames_and_over_actions(split: Split) -> None:
    level = torch.cat([torch.full((30,), 0.01), torch.full((20,), 0.03), torch.full((10,), 0.02)])
    noise = root_centred(torch.randn(60, 17, 3, generator=torch.Generator().manual_seed(0)), H36M)
    poses = lifted_truth(_positions(split)) + level[:, None, None] * noise
    result = evaluate(split, lifted(poses), "root_depth", BODY_SIZE)
    target = root_centred(_positions(split), H36M) * 1000
    errors = metrics.p_mpjpe(poses * root_distance(_positions(split), H36M)[:, None, None] * 1000, target)
    eating = torch.cat([errors[:30], errors[50:]])  # two takes, two subjects, one action
    walking = errors[30:50]
    assert result.per_action["action"].tolist() == ["Eating", "Walking"]
    assert result.per_action["frames"].tolist() == [40, 20]
    expected = [float(eating.mean()), float(walking.mean())]
    np.testing.assert_allclose(result.per_action["p_mpjpe_mm"], expected, rtol=1e-4)
    assert result.metrics["p_mpjpe_mm"] == pytest.approx(float(errors.mean()), rel=1e-4)
    assert result.metrics["p_mpjpe_action_mean_mm"] == pytest.approx(sum(expected) / 2, rel=1e-4)
    assert result.per_joint["joint"].tolist() == list(H36M.names)
    np.testing.assert_allclose(result.per_joint["p_mpjpe_mm"], errors.mean(0), rtol=1e-4)
    assert result.per_joint["mpjpe_mm"][H36M.root] == 0


def test_velocity_never_crosses_the_border_of_two_sequences(split: Split) -> None:
    truth = lifted_truth(_positions(split))
    sizes = torch.cat([torch.full((30,), 1.0), torch.full((20,), 2.0), torch.full((10,), 3.0)])
    grown = truth * (body_scale(truth, 1.0) * sizes)[:, None, None]
    shrunk = grown / _positions(split)[:, 0].norm(dim=-1)[:, None, None]
    result = evaluate(split, lifted(shrunk), "root_depth", BODY_SIZE)
    target = root_centred(_positions(split), H36M)
    pairs = [(grown[frames] * 1000, target[frames] * 1000) for frames in (slice(30), slice(30, 50), slice(50, 60))]
    expected = torch.cat([metrics.mpjve(*pair, fps=50.0) for pair in pairs]).mean()
    assert result.metrics["mpjve_mm_per_s"] == pytest.approx(float(expected), rel=1e-4)
    crossing = metrics.mpjve(grown * 1000, target * 1000, fps=50.0).mean()
    assert crossing > 1.2 * expected  # so that this test can tell


def test_velocity_is_by_the_time_between_frames_with_3d(split: Split) -> None:
    """A wrist drifts at a constant speed: frames without 3D between others do not make it faster."""
    positions, drift = _positions(split).clone(), torch.zeros(60, 17, 3)
    drift[:, H36M.index("left_wrist"), 0] = 0.001 * torch.arange(60)  # 1 mm a frame, at 50 frames a second
    poses = (root_centred(positions, H36M) + drift) / root_distance(positions, H36M)[:, None, None]
    whole = evaluate(split, lifted(poses), "root_depth", BODY_SIZE).metrics["mpjve_mm_per_s"]
    positions[torch.arange(60) % 10 > 1] = torch.nan
    some = evaluate(replace(split, positions=positions), lifted(poses), "root_depth", BODY_SIZE)
    assert some.metrics["labelled_frames"] == 12
    assert whole == pytest.approx(50 / 17, rel=1e-3)
    assert some.metrics["mpjve_mm_per_s"] == pytest.approx(50 / 17, rel=1e-3)


def test_more_noise_is_worse(split: Split) -> None:
    results = [evaluate(split, _noisy(split, level), "root_depth", BODY_SIZE).metrics for level in (0.001, 0.01, 0.03)]
    for name in (*ERRORS, "mpjve_mm_per_s", *BONES):
        values = [_number(result[name]) for result in results]
        assert values == sorted(values), name
    for name in ("pck_150", "auc"):
        values = [-_number(result[name]) for result in results]
        assert values == sorted(values), name


def test_chunks_change_nothing(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(split, _noisy(split), "root_depth", BODY_SIZE)
    monkeypatch.setattr("lib.evaluation.lifting.CHUNK", 7)
    assert evaluate(split, _noisy(split), "root_depth", BODY_SIZE).metrics == pytest.approx(whole.metrics, rel=1e-5)


def test_without_3d_there_are_the_metrics_that_need_none(split: Split, unlabelled: Split) -> None:
    assert unlabelled.positions is None
    result = evaluate(unlabelled, _noisy(split), "root_depth", BODY_SIZE)
    assert set(result.metrics) == {
        "frames",
        "undetected_frames",
        "labelled_frames",
        "stated_error_mm",
        "mpjpe_scale",
        *BONES,
    }
    assert result.metrics["mpjpe_scale"] == "body_size"
    assert (len(result.per_joint), len(result.per_action)) == (0, 0)
    assert tuple(result.per_joint.columns) == PER_JOINT
    assert tuple(result.per_action.columns) == PER_ACTION
    assert len(result.reliability) == 0 and tuple(result.reliability.columns) == RELIABILITY
    torch.testing.assert_close(bone_lengths(result.predicted.joints, H36M).sum(-1), torch.full((60,), BODY_SIZE))


def test_errors_are_those_of_sequences_with_3d(split: Split) -> None:
    """The second of three has none: its frames are predicted and count nowhere else."""
    noisy, positions = _noisy(split), _positions(split).clone()
    positions[30:50] = torch.nan
    partly = replace(split, positions=positions)
    known = torch.cat([torch.arange(30), torch.arange(50, 60)])
    result = evaluate(partly, noisy, "root_depth", BODY_SIZE)
    some = LiftedSplit(*(part[known] for part in noisy))
    expected = evaluate(labelled_only(partly), some, "root_depth", BODY_SIZE)
    assert (result.metrics["frames"], result.metrics["labelled_frames"]) == (60, 40)
    assert expected.metrics["frames"] == expected.metrics["labelled_frames"] == 40
    for name in (*ERRORS, "mpjve_mm_per_s", "pck_150", "auc", "mpjpe_body_size_mm", "mpjpe_action_mean_mm"):
        assert result.metrics[name] == expected.metrics[name], name
    pd.testing.assert_frame_equal(result.per_joint, expected.per_joint)
    pd.testing.assert_frame_equal(result.per_action, expected.per_action)
    assert torch.equal(result.predicted.joints[known], expected.predicted.joints)
    torch.testing.assert_close(bone_lengths(result.predicted.joints[30:50], H36M).sum(-1), torch.full((20,), BODY_SIZE))
    assert mean_pose_baseline(partly, partly) == mean_pose_baseline(*2 * [labelled_only(partly)])


def test_predictions_that_are_not_finite_are_an_error(split: Split) -> None:
    poses = lifted_truth(_positions(split))
    poses[3, 4, 1] = torch.nan
    with pytest.raises(UserError, match="not finite in 1 of 60 frames"):
        evaluate(split, lifted(poses), "root_depth", BODY_SIZE)


def test_the_mean_pose_is_a_baseline(split: Split, unlabelled: Split, tmp_path: Path) -> None:
    train = store.read_split(tmp_path / "poses.h5", "train", "if any")
    errors = mean_pose_baseline(train, split)
    mean = root_centred(_positions(train), H36M).mean(0)
    expected = (mean - root_centred(_positions(split), H36M)).norm(dim=-1).mean() * 1000
    assert errors["mpjpe_mm"] == pytest.approx(float(expected), rel=1e-4)
    assert tuple(errors) == ERRORS
    with pytest.raises(UserError, match="the mean-pose baseline needs 3D"):
        mean_pose_baseline(train, unlabelled)


def test_an_unknown_scale_is_an_error() -> None:
    params = {
        "evaluation": {
            "device": "cpu",
            "batch_size": 1,
            "flip": True,
            "constant_bone_lengths": True,
            "depth_signs": True,
            "denoise": True,
            "scale": "metres",
        }
    }
    with pytest.raises(UserError, match="evaluation.scale = 'metres': must be root_depth or body_size"):
        section(EvaluationParams, "evaluation", params)


# What is stated of errors


def test_true_errors_that_are_stated_give_the_diagonal(split: Split) -> None:
    noisy = _noisy(split)
    true = (noisy.joints - lifted_truth(_positions(split))).norm(dim=-1)  # in units of the root's distance
    honest = noisy._replace(keypoint_error=true)
    result = evaluate(split, honest, "root_depth", BODY_SIZE)
    table = result.reliability
    assert tuple(table.columns) == RELIABILITY
    np.testing.assert_allclose(table["mpjpe_mm"], table["stated_mm"], rtol=1e-3)
    assert table["stated_mm"].is_monotonic_increasing
    assert table["points"].tolist() == [60 * 16 / len(table)] * len(table)  # the root's error says nothing
    assert result.metrics["error_over_stated"] == pytest.approx(1, rel=1e-3)
    assert result.metrics["stated_error_mm"] == pytest.approx(_number(result.metrics["mpjpe_mm"]) * 17 / 16, rel=1e-3)


def test_errors_that_are_stated_too_small_lie_above_the_diagonal(split: Split) -> None:
    noisy = _noisy(split)
    true = (noisy.joints - lifted_truth(_positions(split))).norm(dim=-1)
    result = evaluate(split, noisy._replace(keypoint_error=true / 2), "root_depth", BODY_SIZE)
    np.testing.assert_allclose(result.reliability["mpjpe_mm"], 2 * result.reliability["stated_mm"], rtol=1e-3)
    assert result.metrics["error_over_stated"] == pytest.approx(2, rel=1e-3)


def test_bins_hold_points_with_the_like_stated_error_by_hand() -> None:
    stated = torch.arange(24.0).flip(0).view(2, 12)
    table = reliability(stated, 241 - 10 * stated)  # who is sure is wrong
    assert table["stated_mm"].tolist() == [0.5 + 2 * number for number in range(12)]
    assert table["mpjpe_mm"].tolist() == [236.0 - 20 * number for number in range(12)]
    assert table["points"].tolist() == [2] * 12
    few = reliability(torch.tensor([[3.0, 1.0]]), torch.tensor([[5.0, 4.0]]))
    assert few.to_numpy().tolist() == [[1, 4, 1], [3, 5, 1]]


def test_keypoints_of_another_layout_are_compared_with_its_3d() -> None:
    split = synthetic_split(10, 5, layout=SMALL)
    positions = _positions(split)
    distance = root_distance(positions, SMALL.skeleton)[:, None, None]
    keypoints = root_centred(positions, SMALL.skeleton) / distance
    keypoints[:, SMALL.keypoints.index("head"), 1] += 0.05 / distance[:, 0, 0]
    joints = torch.randn(15, 17, 3, generator=torch.Generator().manual_seed(0))
    given = lifted_points(joints, keypoints, torch.ones(15, 17), torch.ones(15, len(SMALL)))
    result = evaluate(split, given, "root_depth", BODY_SIZE)
    assert result.per_joint["joint"].tolist() == list(SMALL.landmarks)
    assert result.per_joint["mpjpe_mm"].tolist() == pytest.approx([0, 0, 0, 50, 0], abs=0.01)
    assert result.metrics["mpjpe_mm"] == pytest.approx(10, rel=1e-3)
    expected = float(metrics.bone_symmetry_error(joints, H36M).mean())  # bones are those of the joints
    assert result.metrics["bone_symmetry_error"] == pytest.approx(expected, rel=1e-4)


def test_pck_and_auc_are_also_those_of_the_protocol_of_mpi_inf_3dhp() -> None:
    """On 14 keypoints: neither the pelvis nor the spine nor the head counts."""
    layout = LAYOUTS["mpi_inf_3dhp"]
    split = synthetic_split(20, layout=layout)
    target = root_centred(_positions(split), split.skeleton)
    off = target.clone()
    for name in ("spine", "head", "left_wrist"):
        off[:, layout.keypoints.index(name), 0] += 0.2
    distance = root_distance(_positions(split), split.skeleton)[:, None, None]
    stated = torch.full_like(off[..., 0], 0.01)
    joints = torch.zeros(20, 17, 3) + torch.arange(17)[:, None] / 10
    found = evaluate(split, lifted_points(joints, off / distance, stated, stated), "root_depth", BODY_SIZE).metrics
    assert found["pck_150"] == pytest.approx(100 * 14 / 17)
    assert found["pck_150_14"] == pytest.approx(100 * 13 / 14)
    assert found["auc_14"] == pytest.approx(100 * 13 / 14 * 30 / 31)
    assert len(metrics.PCK_KEYPOINTS) == 14 and set(metrics.PCK_KEYPOINTS) == set(layout.keypoints[:14])
