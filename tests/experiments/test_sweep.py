"""Sweeps: what is tried, what is remembered, and that whatever ends one, it goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lib.experiments import sweep
from lib.experiments.space import Choices, Range, ends, measured_otherwise, read_space
from lib.experiments.sweep import Goal, open_sweep
from lib.experiments.variants import Changes
from lib.runtime.errors import UserError

pytest.importorskip("optuna", reason="pip install -r requirements-tuning.txt")
pytestmark = pytest.mark.filterwarnings("default")  # Optuna's, of what is experimental
SPACE: dict[str, Range | Choices] = {
    "training.lr": Range(low=1e-4, high=1e-2, log=True),
    "training.batch_size": Range(low=16, high=64, step=16),
    "data.split": Choices(choices=["auto", {"train": ["a,b"]}]),
}
GOAL = Goal("pretrain", "validation_loss")


def try_out(
    path: Path, trials: int, run: Callable[[Changes, str], float | None], said: list[str] | None = None
) -> list[sweep.Trial]:
    with open_sweep(path, SPACE, GOAL, seed=0) as study:
        study.go_on(trials, lambda changes: None, run, print if said is None else said.append)
        return study.trials


def loss(changes: Changes, name: str) -> float:
    lr = changes["training.lr"]
    assert isinstance(lr, float)
    return abs(lr - 1e-3)


def test_values_are_of_the_space_and_experiments_have_names(tmp_path: Path) -> None:
    trials = try_out(tmp_path / "mine.db", 6, loss)
    assert [trial.name for trial in trials] == [f"mine-{number:03d}" for number in range(6)]
    for trial in trials:
        lr, batch, split = trial.changes.values()
        assert list(trial.changes) == list(SPACE)
        assert isinstance(lr, float) and 1e-4 <= lr <= 1e-2
        assert batch in (16, 32, 48, 64) and isinstance(batch, int)
        assert split in ("auto", {"train": ["a,b"]})
        assert trial.value == loss(trial.changes, "")


def test_a_sweep_goes_on_to_what_an_uninterrupted_one_comes_to(tmp_path: Path) -> None:
    try_out(tmp_path / "mine.db", 3, loss)
    again = try_out(tmp_path / "mine.db", 3, lambda *_: pytest.fail("there are three already"))
    assert len(again) == 3
    assert [trial.name for trial in try_out(tmp_path / "mine.db", 5, loss)][3:] == ["mine-003", "mine-004"]


def test_a_trial_that_fails_is_recorded_and_the_rest_go_on(tmp_path: Path) -> None:
    said: list[str] = []

    def run(changes: Changes, name: str) -> float | None:
        if name.endswith("1"):
            raise UserError("error: it diverged")
        return None if name.endswith("2") else 0.5

    trials = try_out(tmp_path / "mine.db", 4, run, said)
    assert [trial.value for trial in trials] == [0.5, None, None, 0.5]
    assert "error: it diverged" in said and "mine-001 failed, and the sweep goes on" in said


@pytest.mark.parametrize("how", [KeyboardInterrupt, SystemError])
def test_what_was_interrupted_or_killed_is_tried_again(how: type[BaseException], tmp_path: Path) -> None:
    tried: list[Changes] = []

    def run(changes: Changes, name: str) -> float:
        tried.append(changes)
        if len(tried) == 2:
            raise how  # SystemError: nothing is tidied up, as after a kill
        return 0.5

    with pytest.raises(how):
        try_out(tmp_path / "mine.db", 3, run)
    trials = try_out(tmp_path / "mine.db", 3, run)
    assert [trial.value for trial in trials] == [0.5] * 3
    assert tried[2] == tried[1] and len(tried) == 4
    assert [trial.name for trial in trials] == ["mine-000", "mine-002", "mine-003"]


def test_another_space_or_objective_is_another_sweep(tmp_path: Path) -> None:
    try_out(tmp_path / "mine.db", 1, loss)
    other: dict[str, Range | Choices] = {**SPACE, "training.lr": Range(low=1e-3, high=1e-2)}
    with pytest.raises(UserError, match="the sweep mine has another space, .*choose another --name"):
        open_sweep(tmp_path / "mine.db", other, GOAL, 0).__enter__()
    with pytest.raises(UserError, match=r"another objective, pretrain\.validation_loss: choose"):
        open_sweep(tmp_path / "mine.db", SPACE, Goal("evaluate", "p_mpjpe_mm"), 0).__enter__()
    with open_sweep(tmp_path / "mine.db", SPACE, GOAL, 0):
        with pytest.raises(UserError, match="is on in another process"):
            open_sweep(tmp_path / "mine.db", SPACE, GOAL, 0).__enter__()


def test_the_best_and_what_matters(tmp_path: Path) -> None:
    with open_sweep(tmp_path / "mine.db", SPACE, GOAL, seed=0) as study:
        study.go_on(2, lambda changes: None, loss, print)
        assert study.importance() == {}  # two say nothing
        study.go_on(25, lambda changes: None, loss, print)
        best = study.best
        assert best is not None and best.value == min(trial.value or 0 for trial in study.trials)
        importance = study.importance()
        assert max(importance, key=lambda key: importance[key]) == "training.lr"
        assert sum(importance.values()) == pytest.approx(1)
    maximized = Goal("evaluate", "auc", maximize=True)
    with open_sweep(tmp_path / "more.db", SPACE, maximized, seed=0) as study:
        study.go_on(3, lambda changes: None, loss, print)
        best = study.best
        assert best is not None and best.value == max(trial.value or 0 for trial in study.trials)


def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-tuning\.txt"):
        open_sweep(tmp_path / "mine.db", SPACE, GOAL, 0).__enter__()


def test_a_space_is_read(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(
        "training.lr: {low: 1e-4, high: 1e-2, log: true}\ntraining.epochs: {low: 2, high: 4}\n"
        "training.ema_decay: {low: 0.9, high: 0.99, step: 0.03}\ntraining.optimizer: {choices: [adam, sgd]}\n"
    )
    space = read_space(file)
    epochs, decay = space["training.epochs"], space["training.ema_decay"]
    assert isinstance(epochs, Range) and epochs.whole
    assert isinstance(decay, Range) and not decay.whole
    assert list(ends(space))[-2:] == [{"training.optimizer": "adam"}, {"training.optimizer": "sgd"}]
    assert measured_otherwise(space) == []
    file.write_text("losses.prior: {low: 0, high: 1}\ndata.windows: {choices: [1]}\nprior.distance_m: {choices: [1]}\n")
    assert measured_otherwise(read_space(file)) == ["losses.prior", "prior.distance_m"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.lr: {low: 1, high: 0.1}", r"space\.yaml: training\.lr: low must not be above high"),
        ("training.lr: {low: 0, high: 1, log: true}", "log needs a low above 0"),
        ("training.lr: {low: 1}", r"training\.lr\.high is missing"),
        ("training.lr: {lo: 1}", r"training\.lr\.lo is not a known key; known: low, high, step, log"),
        ("training.lr: {choices: []}", r"training\.lr\.choices = \[\]: must be"),
        ("training.lr: 3", r"training\.lr = 3 must be a mapping with low, high, step, log"),
        ("training.lr: {low: 1, high: 2, step: 0}", r"training\.lr\.step = 0"),
        ("{}", "has no key"),
    ],
)
def test_what_is_no_space_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_space(file)
    assert "\n" not in str(caught.value)
