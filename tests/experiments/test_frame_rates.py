"""The table of frame rates: motion resampled as it is, and a lifter that knows the truth at every rate."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lib.experiments.frame_rates import COLUMNS, DROPPED, JITTER, RATES, frame_rates, resampled
from lib.inference.lifter import Lifter
from lib.models import checkpoints
from lib.pose.geometry import project
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages.frame_rates import run
from tests.settings import PARAMS, head_of, synthetic_split, tiny_checkpoint
from tests.synthetic import write_store

LIFTING = {"batch_size": 100, "flip": False, "constant_bone_lengths": True, "denoise": True}


@pytest.mark.parametrize("rate", [24.0, 50.0, 120.0])
def test_motion_is_resampled_as_it_is(rate: float) -> None:
    split = synthetic_split(60, 1, 2)
    again, place = resampled(split, rate, torch.Generator())
    assert again.positions is not None and split.positions is not None and again.times is None
    assert again.table["length"].tolist() == [int(59 / 50 * rate + 1e-9) + 1, 1, int(rate / 50 + 1e-9) + 1]
    assert again.table["start"].tolist() == [0, *again.table["length"].cumsum()[:-1]]
    assert again.table["fps"].tolist() == [rate] * 3
    common = (place == place.round()) | ((place - place.round()).abs() < 1e-9)
    torch.testing.assert_close(again.positions[common], split.positions[place[common].round().long()])
    torch.testing.assert_close(again.rays, project(again.positions))
    if rate == 24.0:  # and back, from half the frames
        back = resampled(replace(again, table=again.table), 50.0, torch.Generator()).split
        assert back.positions is not None
        assert (back.positions[:55] - split.positions[:55]).norm(dim=-1).mean() < 0.005


def test_uneven_times_are_around_those_of_the_frames() -> None:
    again, place = resampled(synthetic_split(400), None, torch.Generator().manual_seed(0))
    assert again.times is not None
    assert len(place) == pytest.approx(400 * (1 - DROPPED), rel=0.05)
    assert (place - place.round()).abs().max() <= JITTER and (place - place.round()).abs().max() > 0.9 * JITTER
    torch.testing.assert_close(again.times, (place - place[0]) / 50)
    assert (again.times.diff() > 0).all()


def test_a_smooth_lifter_has_the_same_error_at_every_rate() -> None:
    lifter = Lifter(tiny_checkpoint(frames=5, step=3), torch.device("cpu"))
    torch.nn.init.normal_(head_of(lifter.model).weight, std=0.02)
    rows = list(frame_rates(lifter, synthetic_split(80, 40), LIFTING, seed=0))
    assert [row.name for row in rows] == [*(f"{rate:g}" for rate in RATES), "uneven"]
    for row in rows:
        for one, own in row.errors:
            assert one == pytest.approx(own, rel=0.03) and own > 10
        assert len(row.row) == len(COLUMNS)


def test_what_cannot_be_resampled_is_refused() -> None:
    lifter, split = Lifter(tiny_checkpoint(frames=5), torch.device("cpu")), synthetic_split(40)
    for other in (replace(split, positions=None), replace(split, times=torch.arange(40) / 50)):
        with pytest.raises(UserError, match="frame rates are measured on sequences with 3D at constant rates"):
            next(frame_rates(lifter, other, LIFTING, seed=0))


def test_the_command_prints_every_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = Paths(tmp_path)
    paths.poses.parent.mkdir(parents=True)
    write_store(paths.poses)
    with pytest.raises(UserError, match=r"finetuned\.pt is missing: run `dvc repro finetune` first"):
        run(argparse.Namespace(split="test", checkpoint=None), PARAMS, paths)
    checkpoints.save(tiny_checkpoint(frames=5), tmp_path / "model.pt")
    run(argparse.Namespace(split="test", checkpoint=tmp_path / "model.pt"), PARAMS, paths)
    output = capsys.readouterr().out
    assert all(f"{rate:g} " in output for rate in RATES) and "uneven" in output
