import itertools
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lib.data.windows import LoaderParams, Windows, training_loader
from lib.objectives.base import Batches
from lib.objectives.lift import Lift, LiftParams
from lib.objectives.plausibility import Plausibility
from lib.prior.sampler import PosePrior
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.hardware import Hardware, make_fabric
from lib.runtime.tensorboard import Board
from lib.runtime.threads import ThreadTuner
from lib.training.loop import RunContext, TrainingSetup, fit
from lib.training.shards import ShardSetup
from lib.training.state import Progress
from tests.settings import ALL_LOSSES, PRIOR, TRAINING, pipeline, synthetic_split, tiny_model, window

# The mean loss of each of four epochs of five steps on the CPU, with every term on; a refactoring must not change them.
GOLDEN = [0.529385, 1.360891, 0.989637, 0.850556]


def train(
    tmp_path: Path,
    tuner: ThreadTuner | None = None,
    keep: Callable[[Progress, torch.nn.Module], None] | None = None,
    missing: float = 0.0,
    precision: str = "32-true",
    **changes: object,
) -> Progress:
    """A short run on synthetic sequences, with params.yaml's model; `missing` is added to a validation keypoint."""
    params = TRAINING.model_copy(update=changes)
    clips = Windows(synthetic_split(30, 30), window(1).clip)
    loader = training_loader(clips, 4, LoaderParams(workers=0), torch.Generator().manual_seed(0))
    lift = LiftParams(ALL_LOSSES, Batches(8, 8, 1), constant_bone_lengths=True)
    objective = Lift(pipeline(), PosePrior(PRIOR), lift, Plausibility(17))
    board = Board(tmp_path, "pretrain")
    held_out = clips[torch.tensor([8, 38])]
    held_out.rays[0, 0, 5, 1] += missing
    setup = TrainingSetup([ShardSetup(objective, loader)], held_out)
    hardware = Hardware(make_fabric(torch.device("cpu"), precision), "", None, tuner)
    progress = fit(tiny_model(1), setup, params, RunContext(hardware, Console(quiet=True), board, seed=0, keep=keep))
    board.close()
    return progress


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Progress, Path]:
    """A run, and TensorBoard's folder of it."""
    logs = tmp_path_factory.mktemp("logs")
    progress = train(logs)
    (folder,) = logs.iterdir()
    return progress, folder


def test_golden_losses(run: tuple[Progress, Path]) -> None:
    assert [row["train/total"] for row in run[0].rows] == pytest.approx(GOLDEN, rel=1e-3)


def test_tensorboard_says_where_the_time_goes(run: tuple[Progress, Path]) -> None:
    events = EventAccumulator(str(run[1]))
    events.Reload()
    scalars = {tag: [one.value for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    shares = {tag: values for tag, values in scalars.items() if tag.startswith("time/")}
    assert [sum(values) for values in zip(*shares.values(), strict=True)] == pytest.approx([1] * 4, abs=0.01)
    for part in ("prior", "inputs", "model", "validation"):
        assert min(shares[f"time/{part}"]) > 0, part
    alone, *taught = shares["time/teacher"]  # the first epoch is of drawn poses alone
    assert alone == 0 < min(taught)
    assert shares["time/loader"][0] == 0 < min(shares["time/loader"][1:])
    assert all(0 < value < 1e6 for value in scalars["speed/poses_per_second"])
    assert all(50 < value < 50_000 for value in scalars["memory/process_mb"])


def test_the_speed_that_is_said_is_that_of_steps_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As TensorBoard's, however long its files and pictures take."""
    caplog.set_level(logging.INFO, "lib.runtime.console")
    speeds = list[float]()

    def slow(board: Board, values: dict[str, float], step: int) -> None:
        speeds.append(values["speed/poses_per_second"])
        time.sleep(0.5)

    monkeypatch.setattr(Board, "scalars", slow)
    train(tmp_path, epochs=2)
    said = re.findall(r"^epoch \d.* ([\d,]+) poses/s$", "\n".join(caplog.messages), re.M)
    assert [float(one.replace(",", "")) for one in said] == pytest.approx(speeds, rel=0.2)


def test_mixed_precision_trains_nearly_as_well(tmp_path: Path) -> None:
    mixed = train(tmp_path, precision="bf16-mixed")
    losses = [row["validation/total"] for row in mixed.rows]
    assert all(value.dtype == torch.float32 for value in mixed.last.values() if value.is_floating_point())
    assert losses == pytest.approx([row["validation/total"] for row in train(tmp_path / "full").rows], rel=0.02)
    assert losses != [row["validation/total"] for row in train(tmp_path / "again").rows]


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    first, second = train(tmp_path / "a").last, train(tmp_path / "b").last
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_tuner_that_changes_no_number_changes_no_weight(tmp_path: Path) -> None:
    turns: list[int] = []
    ticks = itertools.count()
    tuner = ThreadTuner((1, 2), 1, print, turns.append, lambda: float(next(ticks)))
    fixed, tuned = train(tmp_path / "fixed").last, train(tmp_path / "tuned", tuner).last
    assert all(torch.equal(fixed[name], tuned[name]) for name in fixed)
    assert set(turns) == {1, 2}  # it was asked, and tried


def test_curves_and_best_weights(tmp_path: Path) -> None:
    progress = train(tmp_path)
    losses = {row["step"]: row["validation/total"] for row in progress.rows}
    assert progress.best_loss == min(losses.values()) == losses[progress.best_step]
    assert progress.rows[0].keys() >= {"lr", "train/prior", "validation/prior", "validation/distillation"}
    assert "train/distillation" not in progress.rows[0]  # the first epoch sees the prior alone
    assert "train/distillation" in progress.rows[1]


def test_a_diverging_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"training diverged: the loss at step \d+ is nan; lower training\.lr"):
        train(tmp_path, lr=1e30, gradient_clip=0.0)


def test_data_that_give_no_loss_are_not_blamed_on_the_learning_rate(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="before any training the validation loss is nan: its cause is in the 2D"
    ) as caught:
        train(tmp_path, missing=float("nan"))
    assert "training.lr" not in str(caught.value)


def test_early_stopping_waits_for_patience(tmp_path: Path) -> None:
    stuck = train(tmp_path, epochs=9, lr=1e-30, patience=2, ema_decay=0.0)
    assert stuck.step < 9 * 5
    assert stuck.step - stuck.best_step == 2 * 5


def test_a_run_hands_on_its_end_unless_it_may_stop_early(tmp_path: Path) -> None:
    rising = TRAINING.schedule.model_copy(update={"final_fraction": 1.0, "warmup_steps": 25})
    worse = train(tmp_path, schedule=rising, lr=0.3, ema_decay=0.0, epochs=5)
    assert worse.best_step < worse.step and worse.best_loss < worse.last_loss
    weights, *rest = worse.kept(TRAINING.model_copy(update={"patience": 0}))
    assert rest == [worse.step, worse.last_loss] and weights is worse.last
    weights, *rest = worse.kept(TRAINING.model_copy(update={"patience": 5}))
    assert rest == [worse.best_step, worse.best_loss] and weights is worse.best


def test_checkpoints_are_handed_over_after_each_validation(tmp_path: Path) -> None:
    kept: list[tuple[int, float]] = []
    progress = train(
        tmp_path, epochs=3, validate_every=2, keep=lambda run, model: kept.append((run.step, run.last_loss))
    )
    assert kept == [(row["step"], row["validation/total"]) for row in progress.rows if "validation/total" in row]
    assert [step for step, _ in kept] == [10, 15]


def test_debug_shortens_a_run() -> None:
    params = TRAINING.model_copy(update={"debug": True, "epochs": 100})
    assert params.shortened().epochs * params.shortened().steps_per_epoch <= 20
    full = params.model_copy(update={"debug": False})
    assert full.shortened() == full
