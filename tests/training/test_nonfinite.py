"""Steps that are not finite are skipped and counted, and too many of them end a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lib.objectives.lift import Lift
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.sequences.bone_lengths import BoneLengthMemory
from lib.training import nonfinite
from lib.training.nonfinite import FiniteSteps, guarded
from lib.training.state import Progress
from tests.settings import tiny_model
from tests.synthetic import motion
from tests.training.test_loop import train
from tests.training.test_recovery import killed
from tests.training.test_state import params_with, paths, quick, trained

__all__ = ["paths", "quick"]  # fixtures
NAN, INF = float("nan"), float("inf")


def spoil(monkeypatch: pytest.MonkeyPatch, bad: Mapping[int, float], of_gradient: bool = False) -> None:
    """Add numbers to the losses of some steps, counted from 1, or to their gradients alone."""
    real, calls = Lift.total, [0]

    def total(self: Lift, terms: Mapping[str, Tensor]) -> Tensor:
        value = real(self, terms)
        if value.requires_grad:
            calls[0] += 1
            wrong = bad.get(calls[0], 0.0)
            if of_gradient and wrong:
                value.register_hook(lambda gradient: gradient + wrong)
            else:
                value = value + wrong
        return value

    monkeypatch.setattr(Lift, "total", total)


@pytest.mark.parametrize(
    ("wrong", "of_gradient", "clip"), [(NAN, False, 1.0), (INF, False, 0.0), (NAN, True, 0.0), (-INF, True, 1.0)]
)
def test_a_step_that_is_not_finite_changes_nothing(
    wrong: float, of_gradient: bool, clip: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, {1: wrong, 2: wrong}, of_gradient)
    progress = train(tmp_path, epochs=1, steps_per_epoch=2, gradient_clip=clip)
    first = tiny_model(1).state_dict()
    assert all(torch.equal(value, first[name]) for name, value in progress.last.items())
    assert (progress.skipped, progress.skipped_in_a_row, progress.step) == (2, 2, 2)


def test_training_goes_on_after_bad_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, {3: NAN, 5: INF, 10: NAN})  # the fifth and the tenth are read
    progress = train(tmp_path)
    assert (progress.skipped, progress.skipped_in_a_row) == (3, 0)
    assert all(value.isfinite().all() for value in progress.last.values())
    assert [row["train/total"] > 0 for row in progress.rows] == [False, False, True, True]


def test_what_is_skipped_is_said_once_and_counted_in_the_metrics(
    paths: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert '"skipped_steps": 0' in trained(params_with(), paths)[2]
    spoil(monkeypatch, {2: NAN, 5: NAN, 8: NAN})
    capsys.readouterr()
    whole = trained(params_with(), paths)
    assert '"skipped_steps": 3' in whole[2]
    assert capsys.readouterr().out.count("steps were skipped whose loss or gradient is not finite") == 1


def test_the_count_survives_a_kill(paths: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, {2: NAN})
    killed(params_with(), paths, "torch.save", 2)
    monkeypatch.undo()
    monkeypatch.setattr("stages.pretrain.Board.scalars", lambda *_: None)
    assert '"skipped_steps": 1' in trained(params_with(), paths)[2]


def test_too_many_in_a_row_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonfinite, "IN_A_ROW", 4)
    spoil(monkeypatch, dict.fromkeys((1, 2, 3, 5, 6, 7, 9, 10, 11, 12), NAN))
    with pytest.raises(UserError, match=r"training diverged: by step 15, 10 steps were skipped .* 4 of them in a row;"):
        train(tmp_path)


def test_too_many_in_all_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonfinite, "LEAST", 4)
    spoil(monkeypatch, dict.fromkeys((1, 4, 8, 14, 15), NAN))
    with pytest.raises(UserError, match=r"by step 15, 4 steps were skipped .* lower training\.lr"):
        train(tmp_path)


def test_a_finite_loss_is_guarded_without_a_change_of_a_bit() -> None:
    weights = torch.randn(50, generator=torch.Generator().manual_seed(0), requires_grad=True)
    gradients = [torch.autograd.grad(make(weights.exp().sum()), weights)[0] for make in (guarded, lambda loss: loss)]
    assert torch.equal(*gradients)
    loss = torch.where(weights > 9, weights, NAN).sum() + 0 * weights.sum()  # whose own gradient is finite
    assert torch.autograd.grad(guarded(loss), weights)[0].isnan().all()


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD])
def test_fused_optimizers_leave_out_a_step_that_is_flagged(kind: Any) -> None:
    """What a GPU relies on, where nobody reads whether a step is finite before it is made."""
    weights = torch.nn.Parameter(torch.ones(3))
    optimizer = kind([weights], lr=0.1, fused=True)
    steps = []
    for wrong in (0.0, 1.0, 0.0):
        weights.grad = torch.full((3,), NAN if wrong else 1.0)
        optimizer.found_inf = torch.tensor(wrong)
        optimizer.step()
        steps.append(weights.detach().clone())
    assert torch.equal(steps[0], steps[1]) and (steps[2] < steps[1]).all()


def test_float16_looks_for_its_scale_without_a_word() -> None:
    said: list[str] = []
    steps = FiniteSteps(torch.optim.SGD([torch.zeros(1)]), progress := Progress(step=9), True, said.append)
    assert all(steps.allows(torch.tensor(INF)) for _ in range(9))
    steps.count()
    assert (progress.skipped, said) == (9, [])


def test_bones_take_nothing_in_that_is_not_finite() -> None:
    poses, sequence = motion(12)[None], torch.tensor([0])
    memory, other = BoneLengthMemory(H36M), BoneLengthMemory(H36M)
    for known in (memory, other):
        known.update(sequence, poses)
    memory.update(sequence, torch.full_like(poses, NAN))
    assert memory.update(sequence, poses) == pytest.approx(other.update(sequence, poses), abs=1e-6)
