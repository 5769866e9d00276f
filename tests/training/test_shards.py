"""Shards of a step give the same result whoever works on them, and a group that loses a process goes on later."""

import multiprocessing
import os
import signal
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from lib.data.windows import Windows
from lib.models import checkpoints
from lib.runtime.errors import UserError
from lib.runtime.group import Group
from lib.runtime.paths import Paths
from lib.training.params import TrainingParams
from lib.training.recovery import ALWAYS
from lib.training.shards import MeanGradient, Shard, check_same_weights, processes_to_start, shard_seed, shards_of
from stages import finetune, pretrain
from tests.settings import TRAINING, synthetic_split, window
from tests.training.test_state import assert_same, params_with, paths, quick, trained

__all__ = ["paths", "quick"]  # fixtures
SHARDS = {"training__shards": 4, "training__batch_size": 8, "training__prior_batch_size": 8}


def together(run: Callable[[int], None], size: int = 2) -> list[int | None]:
    """Run something in processes that are numbered as torchrun does; returns their exit codes."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]

    def numbered(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        os.environ |= {"WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        run(rank)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, of which none is at work
        processes = [multiprocessing.get_context("fork").Process(target=numbered, args=(rank,)) for rank in range(size)]
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
        process.kill()
    return [process.exitcode for process in processes]


def losses(paths: Paths, name: str) -> pd.DataFrame:
    return pd.read_csv(paths.plot(f"{name}.csv")).filter(regex="^(train|validation)/")


def test_two_processes_train_what_one_does(paths: Paths) -> None:
    changes = {**SHARDS, "training__steps_per_epoch": 2, "finetune__enabled": True, "finetune__batch_size": 4}
    params = params_with(**changes, finetune__epochs=2, finetune__steps_per_epoch=2, finetune__label_fraction=0.5)
    params["losses"]["symmetry"] = 0.1
    results = []
    for several in (False, True):
        for stage in (pretrain, finetune):
            if several:
                assert together(lambda _, run=stage.run: run(params, paths)) == [0, 0]  # type: ignore[misc]
            else:
                stage.run(params, paths)
        results.append((losses(paths, "training"), losses(paths, "finetuning"), checkpoints.load(paths.finetuned)))
        for path in (paths.pretrained, paths.finetuned, paths.plot("training.csv"), paths.plot("finetuning.csv")):
            path.unlink()
    (one, one_tuned, model), (two, two_tuned, other) = results
    assert len(one) == 3 and len(one_tuned) == 2
    pd.testing.assert_frame_equal(one, two, rtol=1e-5, atol=1e-5)
    pd.testing.assert_frame_equal(one_tuned, two_tuned, rtol=1e-5, atol=1e-5)
    assert all(torch.allclose(value, other.weights[name], atol=1e-4) for name, value in model.weights.items())


def test_a_run_that_lost_a_process_goes_on_with_another_number(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = params_with(**{**SHARDS, "training__shards": 2}, training__epochs=4)
    whole = trained(params, paths)
    paths.pretrained.unlink()

    def dying(rank: int) -> None:
        before_epoch, epochs = Shard.before_epoch, iter(range(1, 5))

        def deadly(self: Shard, teacher: Any, epoch: int) -> None:
            if next(epochs) == 3 and rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            before_epoch(self, teacher, epoch)

        monkeypatch.setattr(Shard, "before_epoch", deadly)
        try:
            pretrain.run(params, paths, ALWAYS)
        except UserError as error:
            (tmp_path / "line").write_text(str(error))

    assert together(dying) == [0, -signal.SIGKILL]
    assert (tmp_path / "line").read_text().startswith("another process of this run has ended or does not answer")
    assert not paths.pretrained.exists()
    capsys.readouterr()
    assert_same(whole, trained(params, paths))  # of two shards, sums are the same in any order
    assert "complete epochs: 2" in capsys.readouterr().out


def test_processes_share_all_shards_evenly() -> None:
    assert [list(shards_of(Group(rank, 2), 4)) for rank in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(
        UserError, match=r"2 processes cannot share training\.shards = 3 evenly: make it a multiple of 2"
    ):
        shards_of(Group(0, 2), 3)


def test_the_mean_gradient_is_that_of_the_mean_loss() -> None:
    used, frozen, unused = (torch.nn.Parameter(torch.tensor([1.0, 2.0])) for _ in range(3))
    frozen.requires_grad_(False)
    mean = MeanGradient([used, frozen, unused], 3, Group())
    for factor in (1.0, 2.0, 6.0):
        (factor * used * used + frozen).sum().backward()
        mean.add()
    mean.put()
    assert used.grad is not None and unused.grad is not None
    assert used.grad.tolist() == [6.0, 12.0] and unused.grad.tolist() == [0.0, 0.0] and frozen.grad is None


def test_processes_whose_weights_come_apart_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    factor = 1.0
    monkeypatch.setattr(Group, "gather", lambda _, tensor: torch.cat([tensor, factor * tensor]))
    check_same_weights(torch.nn.Linear(2, 2), Group(0, 2))
    factor = 1.01
    with pytest.raises(UserError, match="the weights of the processes have come apart"):
        check_same_weights(torch.nn.Linear(2, 2), Group(0, 2))


def test_shards_have_all_windows_once_and_evenly() -> None:
    windows = Windows(synthetic_split(7, 4, 9), window(1))
    parts = [windows.shard(number, 3) for number in range(3)]
    middles = [part.middle(torch.arange(len(part))) for part in parts]
    assert torch.equal(torch.cat(middles), windows.middle(torch.arange(20)))
    assert [len(part) for part in parts] == [6, 7, 7]
    assert torch.equal(parts[1][torch.arange(7)].rays, windows[torch.arange(6, 13)].rays)
    with pytest.raises(UserError, match=r"20 windows are too few for training\.shards = 21"):
        windows.shard(0, 21)


def test_seeds_of_shards_differ_in_what_torch_takes_of_them() -> None:
    seeds = [shard_seed(7, shard) for shard in range(1000)]
    assert seeds[0] == 7 and all(0 <= seed < 1 << 63 for seed in seeds)
    assert len({seed & 0xFFFFFFFF for seed in seeds}) == 1000


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 1),
        ({"devices": 2, "shards": 4}, 2),
        ({"devices": "auto", "shards": 4}, 1),  # a CPU is one device, unless more are asked for
        ({"devices": "auto", "shards": 6, "device": "cuda"}, 3),
        ({"devices": 3, "shards": 6, "device": "cuda:1"}, 3),
    ],
)
def test_how_many_processes_are_started(changes: dict[str, Any], count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.runtime.device._has_cuda", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert processes_to_start(TRAINING.model_copy(update=changes)) == count


def test_more_processes_than_devices_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.runtime.device._has_cuda", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    params = TRAINING.model_copy(update={"devices": 8, "shards": 8, "device": "cuda"})
    with pytest.raises(UserError, match=r"params\.yaml: training\.devices = 8: from cuda:0 on, there are 4"):
        processes_to_start(params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shards": 3}, "batch_size = 8 must be a multiple of shards = 3"),
        ({"devices": 2}, "shards = 1 must be a multiple of devices = 2; on shards depends what is learned"),
    ],
)
def test_what_cannot_be_shared_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingParams.model_validate({**dict(TRAINING), **changes})
