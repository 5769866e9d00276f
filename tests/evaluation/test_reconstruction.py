"""Errors of reconstructed windows: in batches, and of what was seen alone."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from lib.data.store import Split
from lib.models.reconstructors import ReconstructionModel
from lib.reconstruction_evaluation import ReconstructionResult, _pixels, evaluate_reconstruction
from lib.skeleton import H36M
from tests.settings import synthetic_split, tiny_checkpoint

WRIST = H36M.index("left_wrist")


def result(test: Split, batch_size: int = 1000, objective: str = "mask_2d") -> ReconstructionResult:
    checkpoint = tiny_checkpoint(frames=3, objective=objective)
    return evaluate_reconstruction(checkpoint, synthetic_split(40), test, torch.device("cpu"), batch_size)


@pytest.mark.parametrize("objective", ["mask_2d", "mask_3d"])
def test_batches_bound_what_the_model_is_given_and_change_nothing(
    objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, sizes = result(synthetic_split(40), objective=objective), []
    forward = ReconstructionModel.forward

    def spy(self: ReconstructionModel, *given: torch.Tensor) -> torch.Tensor:
        sizes.append(len(given[0]))
        return forward(self, *given)

    monkeypatch.setattr(ReconstructionModel, "forward", spy)
    few = result(synthetic_split(40), 7, objective)
    assert max(sizes) == 7
    assert few.metrics == pytest.approx(whole.metrics, rel=1e-4)
    pd.testing.assert_frame_equal(few.table, whole.table, rtol=1e-4)


@pytest.mark.parametrize("joint", [H36M.root, WRIST])
def test_where_a_hidden_joint_lies_makes_no_difference(joint: int) -> None:
    test = synthetic_split(40)
    confidence, moved = test.confidence.clone(), test.keypoints.clone()
    confidence[10:30, joint] = 0
    moved[10:30, joint] += 300
    unseen = replace(test, confidence=confidence)
    assert result(replace(unseen, keypoints=moved)).metrics == result(unseen).metrics
    assert result(replace(test, keypoints=moved)).metrics != result(test).metrics


@pytest.mark.parametrize("hidden", [[H36M.root], [H36M.root, WRIST], [WRIST]])
def test_pixels_of_a_ray_are_the_cameras_whatever_joint_is_hidden(hidden: list[int]) -> None:
    test = synthetic_split(40)  # before a camera of a thousand pixels a ray's unit
    confidence, keypoints = test.confidence.clone(), test.keypoints.clone()
    confidence[::2, hidden] = 0
    keypoints[::2, hidden] = 0
    pixels = _pixels(replace(test, confidence=confidence, keypoints=keypoints), torch.arange(40))
    torch.testing.assert_close(pixels, torch.full((40,), 1000.0), rtol=1e-4, atol=0)


def test_a_joint_that_was_never_seen_is_no_error_of_zero() -> None:
    test = synthetic_split(40)
    confidence = test.confidence.clone()
    confidence[:, WRIST] = 0
    unseen = result(replace(test, confidence=confidence))
    assert set(unseen.table["joint"]) == set(H36M.names) - {"pelvis", "left_wrist"}
    rows = unseen.table[unseen.table["hidden"] == "joints"]
    assert unseen.metrics["joints_model_px"] == pytest.approx(rows["model"].mean(), rel=1e-5)


def test_windows_around_frames_that_show_nobody_are_left_out() -> None:
    test = synthetic_split(40)
    confidence = test.confidence.clone()
    confidence[10:20] = 0
    unseen = result(replace(test, confidence=confidence))
    assert unseen.metrics["windows"] == 30
    assert not unseen.table.isna().to_numpy().any()
