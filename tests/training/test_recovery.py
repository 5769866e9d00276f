"""A run that was killed goes on by itself, bit for bit; another run never does so from its state."""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.models import checkpoints
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from lib.training import recovery, steps
from lib.training.recovery import ALWAYS, Pace, Recovery
from stages import finetune
from stages import pretrain as stage
from tests.settings import tiny_checkpoint
from tests.training.test_state import assert_same, params_with, paths, quick, trained

__all__ = ["paths", "quick"]  # fixtures
EPOCHS = 4


def killed(
    params: dict[str, Any],
    paths: Paths,
    what: str,
    when: int,
    half: bool = False,
    run: Callable[[dict[str, Any], Paths, Pace], None] = stage.run,
) -> None:
    """Run a stage in a process of its own, which dies at once at a call of `what`; with `half`, half way through it.

    A state is written whenever one can be taken.
    """

    def die() -> None:
        module, _, name = what.rpartition(".")
        owner = {"torch": torch, "os": os, "stages.pretrain": stage, "stages.finetune": finetune}[module]
        real, calls = getattr(owner, name), iter(range(1, 1000))

        def deadly(*given: Any, **named: Any) -> Any:
            if next(calls) == when:
                if half:  # of a file
                    real(*given, **named)
                    os.truncate(given[1], given[1].stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **named)

        setattr(owner, name, deadly)
        run(params, paths, ALWAYS)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, of which none is at work
        process = multiprocessing.get_context("fork").Process(target=die)
        process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, what


@pytest.mark.parametrize(
    ("what", "when", "half"),
    [
        ("torch.save", 1, True),  # the first state is being written
        ("torch.save", 3, True),  # a later one
        ("os.replace", 3, False),  # between the rotation and the new state
        ("os.replace", 4, False),
        ("stages.pretrain.save", 1, False),  # trained, and nothing is written
        ("stages.pretrain.write_json", 1, False),
    ],
)
def test_a_killed_run_goes_on_where_it_was(
    what: str, when: int, half: bool, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    params = params_with(training__epochs=EPOCHS)
    whole = trained(params, paths)
    for path in (paths.pretrained, paths.metrics("pretrain"), paths.plot("training.csv")):
        path.unlink()
    killed(params, paths, what, when, half)
    capsys.readouterr()
    assert_same(whole, trained(params, paths))
    assert ("goes on from step" in capsys.readouterr().out) == ((what, when) != ("torch.save", 1))
    assert [path.name for path in paths.states("pretrain").iterdir()] == ["last_state.pt"]


def test_a_run_goes_on_within_an_epoch(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "LOG_EVERY", 1)
    monkeypatch.setattr(steps, "STRETCH", 2)
    params = params_with(training__epochs=2, training__steps_per_epoch=5)
    whole = trained(params, paths)
    killed(params, paths, "torch.save", 6, half=True)  # the state of step 9
    capsys.readouterr()
    assert_same(whole, trained(params, paths))
    assert "goes on from step 9, complete epochs: 1" in capsys.readouterr().out


@pytest.mark.parametrize("rehearsal", [0.0, 1.0])
def test_fine_tuning_goes_on_where_it_was(rehearsal: float, paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"finetune__enabled": True, "finetune__label_fraction": 1.0, "finetune__rehearsal": rehearsal}
    params = params_with(**own, finetune__epochs=3, finetune__steps_per_epoch=3, finetune__batch_size=4)
    checkpoints.save(tiny_checkpoint(3), paths.pretrained)
    outputs = paths.finetuned, paths.plot("finetuning.csv"), paths.metrics("finetune")
    finetune.run(params, paths)
    whole = [path.read_bytes() for path in outputs]
    for what, when in [("torch.save", 3), ("stages.finetune.write_json", 1)]:
        for path in outputs:
            path.unlink()
        killed(params, paths, what, when, half=what == "torch.save", run=finetune.run)
        capsys.readouterr()
        finetune.run(params, paths)
        assert "complete epochs: 2" in capsys.readouterr().out or what != "torch.save"
        assert [path.read_bytes() for path in outputs] == whole
    assert [path.name for path in paths.states("finetune").iterdir()] == ["last_state.pt"]


def test_another_checkpoint_begins_fine_tuning_anew(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    params = params_with(finetune__enabled=True, finetune__label_fraction=1.0, finetune__batch_size=4)
    params["finetune"] |= {"epochs": 3, "steps_per_epoch": 3}
    checkpoints.save(tiny_checkpoint(3), paths.pretrained)
    killed(params, paths, "torch.save", 3, run=finetune.run)
    checkpoints.save(replace(tiny_checkpoint(3), body_size=3.6), paths.pretrained)
    capsys.readouterr()
    finetune.run(params, paths)
    assert "goes on" not in capsys.readouterr().out


def test_a_run_that_is_killed_again_and_again(paths: Paths) -> None:
    params = params_with(training__epochs=EPOCHS)
    whole = trained(params, paths)
    for when in (2, 2, 1):
        killed(params, paths, "torch.save", when, half=True)
    assert_same(whole, trained(params, paths))


def test_another_run_begins_anew(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    other = params_with(training__epochs=EPOCHS, training__lr=0.01)
    whole = trained(other, paths)
    killed(params_with(training__epochs=EPOCHS), paths, "torch.save", 3)
    capsys.readouterr()
    assert_same(whole, trained(other, paths))
    assert "goes on" not in capsys.readouterr().out


def test_data_and_code_are_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib" / "data").mkdir(parents=True)
    code = tmp_path / "lib" / "data" / "a.py"
    code.write_text("A = 1")
    monkeypatch.setattr(recovery, "LIB", tmp_path / "lib")
    first = _recovery(tmp_path).folder
    assert _recovery(tmp_path).folder == first
    assert _recovery(tmp_path, data="other").folder != first
    code.write_text("A = 2")
    assert _recovery(tmp_path).folder != first


def _recovery(root: Path, announce: Callable[[str], None] = print, **run: str) -> Recovery:
    return Recovery(root, {"seed": "0", **run}, announce)


def test_the_last_state_of_a_run_can_be_resumed_to_a_longer_one(paths: Paths) -> None:
    step = {"training__schedule__name": "step"}
    whole = trained(params_with(**step, training__epochs=EPOCHS), paths)
    trained(params_with(**step, training__epochs=2), paths)
    path = paths.start("mine.pt")
    path.parent.mkdir(parents=True)
    path.write_bytes((paths.states("pretrain") / "last_state.pt").read_bytes())
    longer = params_with(**step, training__epochs=EPOCHS, training__resume="mine.pt")
    killed(longer, paths, "torch.save", 2, half=True)
    assert_same(whole, trained(longer, paths))


def test_a_second_trainer_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    with _recovery(tmp_path):
        with pytest.raises(UserError, match=f"being trained by process {os.getpid()} already"):
            _recovery(tmp_path).__enter__()
        with _recovery(tmp_path, seed="1"):
            pass  # another run
    with _recovery(tmp_path):
        pass


def test_an_orphan_leaves_its_state_and_ends(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    params = params_with()
    whole = trained(params, paths)
    monkeypatch.setenv("DVC_STAGE", "pretrain")
    parents = chain([1, 1], repeat(2))
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    with pytest.raises(UserError, match="the process that started this one is gone: run `dvc repro`"):
        trained(params, paths)
    monkeypatch.delenv("DVC_STAGE")
    assert_same(whole, trained(params, paths))


def test_states_take_a_hundredth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = [0.0], []

    def write(*_: object) -> None:
        written.append(now[0])
        now[0] += 2.0

    monkeypatch.setattr("lib.training.recovery.time.monotonic", lambda: now[0])
    monkeypatch.setattr(recovery, "save_state", write)
    with _recovery(tmp_path) as states:
        while now[0] < 1000:
            now[0] += 10
            states.offer(lambda: None, False)  # type: ignore[arg-type,return-value]
    assert written == [60, 262, 464, 666, 868]


def test_a_full_disk_costs_a_state_and_no_run(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(params_with(), paths)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recovery, "save_state", full)
    assert_same(whole, trained(params_with(), paths))


def test_old_runs_are_removed_unless_somebody_trains_them(tmp_path: Path) -> None:
    folders = []
    with _recovery(tmp_path, seed="alive") as alive:
        for number in range(recovery.KEPT + 2):
            with _recovery(tmp_path, seed=str(number)) as states:
                folders.append(states.folder)
                os.utime(states.folder, (number, number))
        os.utime(alive.folder, (0, 0))
        with _recovery(tmp_path, seed="new") as new:
            left = {path for path in tmp_path.iterdir() if path.is_dir()}
    assert left == {alive.folder, new.folder, *folders[-recovery.KEPT :]}
