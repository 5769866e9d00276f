"""The label-efficiency command on tiny data: its rows, its picture, and that it goes on where it stopped."""

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from lib.experiments import label_efficiency as module
from lib.experiments import variants
from lib.experiments.label_efficiency import LabelEfficiency, label_efficiency, summary
from lib.plotting.efficiency import label_efficiency_figure
from lib.runtime.console import Console
from lib.runtime.paths import Paths
from lib.training.pretraining import Pretrained
from tests.settings import PARAMS


@pytest.fixture
def params() -> dict[str, Any]:
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    params["data"]["split"] = {"train": ["S1"], "validation": ["S8"], "test": ["S9"]}
    params["training"] |= {"debug": True, "threads": 1}
    return params


def test_every_start_and_share_is_measured_once(
    tmp_path: Path,
    h36m_raw: Path,
    params: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths, pretrained = Paths(tmp_path), []

    def count(params: dict[str, Any], paths: Paths) -> Pretrained:
        pretrained.append(params["training"]["objective"])
        return real(params, paths)

    real = variants.train
    monkeypatch.setattr(module, "train", count)
    chosen = LabelEfficiency("h36m", fractions=(0.1, 1.0))
    table = label_efficiency(chosen, params, paths, Console())
    path = paths.metrics("label_efficiency").with_suffix(".csv")
    runs = pd.read_csv(path)
    assert runs[["start", "label_fraction", "labelled_frames"]].to_numpy().tolist() == [
        ["lift", 0.0, 0],
        ["lift", 0.1, 24],
        ["mask_2d", 0.1, 24],
        ["from scratch", 0.1, 24],
        ["lift", 1.0, 240],
        ["mask_2d", 1.0, 240],
        ["from scratch", 1.0, 240],
    ]
    assert runs["p_mpjpe_mm"].nunique() == len(runs)
    assert sorted(pretrained) == ["lift", "mask_2d"]  # once each, whatever the share
    label_efficiency_figure(table).savefig(tmp_path / "label_efficiency.png", dpi=100)
    with Image.open(tmp_path / "label_efficiency.png") as image:
        assert image.width >= 800
    written = path.read_bytes()
    _, lines = summary(table)
    assert lines[1][:2] == ("10 %", f"{runs['p_mpjpe_mm'][1]:.1f} / {runs['n_mpjpe_mm'][1]:.1f}")
    capsys.readouterr()
    label_efficiency(chosen, params, paths, Console())
    assert path.read_bytes() == written and sorted(pretrained) == ["lift", "mask_2d"]
    assert "label efficiency:" not in capsys.readouterr().out
