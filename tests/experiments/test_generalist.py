"""The model to start from: a short one, and pre-training from it."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.experiments.generalist import FILE, Generalist, content_hashes, train_generalist
from lib.models.checkpoints import load, save
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import check, pretrain
from tests.settings import PARAMS


@pytest.fixture
def params() -> dict[str, Any]:
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    params["data"] |= {"source": "h36m", "split": {"train": ["S1"], "validation": ["S8"], "test": ["S9"]}}
    params["training"]["debug"] = True
    return params


def test_pretraining_starts_from_it(tmp_path: Path, h36m_raw: Path, params: dict[str, Any]) -> None:
    paths = Paths(tmp_path)
    made = train_generalist(Generalist("h36m", "gt"), params, paths)
    save(made, paths.start(FILE))
    told = load(paths.start(FILE)).training
    assert json.loads(json.dumps(told)) == told  # plain, so that it loads without running code
    assert told["metrics"]["nothing hidden, own"] > 1 and told["step"] == 10
    paths.poses.parent.mkdir(parents=True)
    paths.poses.write_bytes(Paths(tmp_path / "data" / "scratch" / "generalist").poses.read_bytes())
    still = {"start": FILE, "lr": 1e-9, "weight_decay": 0.0, "ema_decay": 0.0}
    params["training"] |= still
    check.run(params, paths)
    pretrain.run(params, paths)
    begun = load(paths.pretrained)
    for name, value in made.weights.items():
        torch.testing.assert_close(begun.weights[name], value, rtol=0.01, atol=1e-4, msg=name)
    params["data"]["window"]["frames"] = 3
    with pytest.raises(UserError, match=r"training\.start = 'generalist\.pt\.gz': its model or its window of frames"):
        check.run(params, paths)


def test_its_data_are_told_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.npz").write_bytes(b"one")
    before = content_hashes(tmp_path)
    assert list(before) == ["deep/one.npz"]
    (tmp_path / "deep" / "one.npz").write_bytes(b"two")
    assert content_hashes(tmp_path) != before
