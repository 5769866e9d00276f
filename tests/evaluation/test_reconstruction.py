"""How well hidden points are given back: in batches, and of what was seen alone."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from lib.data.masked_windows import Reconstruction, masked, root_centred_points
from lib.data.split import Split
from lib.data.windows import Windows
from lib.evaluation.reconstruction import (
    ReconstructionResult,
    _pixels,
    evaluate_reconstruction,
    hidden_error,
    read_examples,
    write_examples,
)
from lib.models.reconstructors import ReconstructionModel
from lib.models.tasks import Task
from lib.pose.skeleton import H36M
from tests.settings import SMALL, synthetic_split, tiny_checkpoint, window

WRIST = H36M.index("left_wrist")


def result(test: Split, batch_size: int = 1000, task: Task = "reconstruction_2d") -> ReconstructionResult:
    checkpoint = tiny_checkpoint(frames=3, task=task)
    return evaluate_reconstruction(checkpoint, synthetic_split(40), test, torch.device("cpu"), batch_size)


@pytest.mark.parametrize("task", ["reconstruction_2d", "reconstruction_3d"])
def test_batches_bound_what_the_model_is_given_and_change_nothing(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, sizes = result(synthetic_split(40), task=task), []
    forward = ReconstructionModel.forward

    def spy(self: ReconstructionModel, *given: torch.Tensor) -> torch.Tensor:
        sizes.append(len(given[0]))
        return forward(self, *given)

    monkeypatch.setattr(ReconstructionModel, "forward", spy)
    few = result(synthetic_split(40), 7, task)
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


def test_the_error_of_hidden_points_by_hand() -> None:
    whole = root_centred_points(Windows(synthetic_split(60), window(5))[torch.arange(10)], 3, H36M)
    hidden = torch.zeros(whole.shape[:-1], dtype=torch.bool)
    hidden[:, :, WRIST] = True
    given = masked(whole, hidden)
    off = given.whole + torch.tensor([3.0, 4.0, 0.0]) / given.scale[..., None, None]
    error = hidden_error(off, given, torch.full((10,), 1000.0), H36M)
    assert error[WRIST].item() == pytest.approx(5000, rel=1e-4)
    assert error.isfinite().nonzero().tolist() == [[WRIST]]  # no other joint is hidden anywhere


def test_examples_survive_their_file(tmp_path: Path) -> None:
    whole, hidden = torch.randn(6, 3, len(SMALL), 2), torch.rand(6, 3, len(SMALL)) < 0.5
    written = Reconstruction(SMALL.skeleton, whole, hidden, whole + 1)
    write_examples(tmp_path / "test.h5", written)
    read = read_examples(tmp_path / "test.h5")
    assert read is not None and read.skeleton == SMALL.skeleton
    for got, expected in zip(read[1:], written[1:], strict=True):
        assert torch.equal(got, expected)
