"""A run that is resumed gives, bit for bit, what an uninterrupted one gives."""

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

from lib.models import checkpoints
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from lib.training.pretraining import PretrainParams, pretrain
from lib.training.state import TrainingState, load_state, save_state
from stages import check
from stages import pretrain as stage
from tests.param_runs import NoBoard, make_quick
from tests.settings import PARAMS
from tests.synthetic import write_store


def params_with(**changes: Any) -> dict[str, Any]:
    """A run of three epochs of six steps in which all that can learn does; `a__b` stands for the key a.b."""
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    params["data"]["window"]["frames"] = 3
    # Dropout draws from torch's own generator.
    params["model"]["transformer"]["small"] |= {"width": 8, "hidden": 16, "encoder_depth": 1, "dropout": 0.2}
    params["training"] |= {"device": "cpu", "precision": "32-true", "threads": 1, "epochs": 3, "steps_per_epoch": 3}
    params["training"] |= {"batch_size": 4, "prior_batch_size": 4, "prior_epochs": 1}
    params["training"]["schedule"]["warmup_steps"] = 2
    for key, value in changes.items():
        *sections, last = key.split("__")
        place = params
        for name in sections:
            place = place[name]
        place[last] = value
    return params


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    write_store(paths.poses)
    with h5py.File(paths.poses, "r+") as file:
        file.copy("test", "validation")
    return paths


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


class Stopped(Exception):
    """What ends a run in the middle."""


def states_of(params: dict[str, Any], paths: Paths, until: int, steps: int = -1) -> Path:
    """Train until so many epochs are complete, or steps done, and return the state by then, in data/starts."""
    path = paths.start("stopped.pt")

    def stop(make: Callable[[], TrainingState], last: bool) -> None:
        state = make()
        if state.epochs == until or state.progress.step == steps:
            save_state(state, run, path)
            if not last:
                raise Stopped

    chosen = PretrainParams.read(params)
    run = stage.run_of(chosen, paths)
    try:
        pretrain(chosen, paths.poses, NoBoard(paths.logs, "pretrain"), Console(quiet=True), offer_state=stop)
    except Stopped:
        pass
    return path


def trained(params: dict[str, Any], paths: Paths) -> tuple[dict[str, torch.Tensor], str, str]:
    """The weights, the curves and the metrics that the stage leaves."""
    stage.run(params, paths)
    texts = (paths.plot("training.csv").read_text(), paths.metrics("pretrain").read_text())
    return checkpoints.load(paths.pretrained).weights, *texts


def assert_same(first: tuple[dict[str, torch.Tensor], str, str], other: tuple[Any, ...]) -> None:
    assert all(torch.equal(value, other[0][name]) for name, value in first[0].items())
    assert first[1:] == other[1:]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "losses__symmetry": 0.1,
            "training__optimizer": "sgd",
            "data__loader__workers": 1,
        },
        {"training__objective": "mask_2d", "training__schedule__name": "one_cycle"},
        {"training__objective": "supervised", "training__schedule__name": "plateau", "training__patience": 5},
        {"model__name": "vit", "training__schedule__name": "step", "training__precision": "bf16-mixed"},
    ],
    ids=["lift", "more terms", "mask_2d", "supervised", "vit"],
)
def test_a_resumed_run_is_an_uninterrupted_one(
    changes: dict[str, Any], paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(params_with(**changes), paths)
    states_of(params_with(**changes), paths, until=2)
    torch.manual_seed(77)  # wherever the process is
    assert_same(whole, trained(params_with(**changes, training__resume="stopped.pt"), paths))


def test_any_number_of_workers_trains_the_same(paths: Paths) -> None:
    assert_same(*(trained(params_with(data__loader__workers=workers), paths) for workers in (0, 2)))


def test_a_run_may_grow_where_its_rates_do_not_depend_on_its_length(paths: Paths) -> None:
    step = {"training__schedule__name": "step", "training__schedule__step_every": 4}
    whole = trained(params_with(**step, training__epochs=4), paths)
    states_of(params_with(**step, training__epochs=2), paths, until=2)
    assert_same(whole, trained(params_with(**step, training__epochs=4, training__resume="stopped.pt"), paths))


def test_a_longer_cosine_says_that_it_is_another(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    states_of(params_with(training__epochs=2), paths, until=2)
    _, curves, _ = trained(params_with(training__epochs=4, training__resume="stopped.pt"), paths)
    assert "the state is of a run of 2 epochs: from here on, rates are those of 4 epochs" in capsys.readouterr().out
    rates = [float(row.split(",")[1]) for row in curves.splitlines()[1:]]
    assert len(rates) == 4 and rates[1] < rates[2]  # the shorter run had fallen to almost nothing


def test_a_run_that_is_complete_is_handed_on_as_it_is(paths: Paths) -> None:
    whole = trained(params_with(), paths)
    states_of(params_with(), paths, until=3)
    assert_same(whole, trained(params_with(training__resume="stopped.pt"), paths))


def test_the_state_of_another_run_is_one_line(paths: Paths) -> None:
    states_of(params_with(), paths, until=2)
    other = params_with(training__resume="stopped.pt", training__lr=0.5)
    for run in (check.run, stage.run):
        with pytest.raises(UserError, match=r"another run: there, training\.lr is 0\.002, and here 0\.5$"):
            run(other, paths)
    shorter = params_with(training__resume="stopped.pt", training__epochs=1)
    with pytest.raises(UserError, match=r"training\.resume = 'stopped\.pt': 2 epochs have begun in the state"):
        check.run(shorter, paths)
    with h5py.File(paths.poses, "r+") as file:
        file["train/keypoints"][0] += 1
    with pytest.raises(UserError, match=r"another run: there, data/processed/poses\.h5 is '\w+', and here"):
        stage.run(params_with(training__resume="stopped.pt"), paths)
    assert not paths.pretrained.exists()


def test_an_epoch_that_has_begun_counts(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.training.steps.LOG_EVERY", 1)
    monkeypatch.setattr("lib.training.steps.STRETCH", 2)
    states_of(params_with(), paths, until=3, steps=5)
    assert load_state(paths.start("stopped.pt"))[0].epochs == 1
    with pytest.raises(UserError, match=r"^2 epochs have begun in the state: training\.epochs must not be less$"):
        stage.run(params_with(training__resume="stopped.pt", training__epochs=1), paths)


def test_what_is_no_state_is_one_line(paths: Paths) -> None:
    resumed = params_with(training__resume="stopped.pt")
    with pytest.raises(UserError, match=r"training\.resume = 'stopped\.pt': .*stopped\.pt is missing"):
        check.run(resumed, paths)
    path = states_of(params_with(), paths, until=2)
    whole = path.read_bytes()
    for content, message in [
        (whole[: len(whole) // 2], r"stopped\.pt is no state of a training run, or a damaged one"),
        (b"", "a damaged one"),
    ]:
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            check.run(resumed, paths)
    stage.run(params_with(), paths)
    path.write_bytes(paths.pretrained.read_bytes())
    with pytest.raises(UserError, match=r"stopped\.pt is no state of a training run of this version"):
        check.run(resumed, paths)


def test_opening_a_state_runs_no_code(paths: Paths) -> None:
    path = states_of(params_with(), paths, until=1)
    state, run = load_state(path)
    assert (state.epochs, run["training.lr"], len(state.progress.rows)) == (1, 0.002, 1)

    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return warnings.warn, ("ran",)

    torch.save({"format": 1, "run": Evil()}, path)
    with pytest.raises(UserError, match="no state of a training run"):
        load_state(path)
