"""Measuring a checkpoint on worse 2D by a command: the table, and GIFs of what it is measured on."""

import argparse
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from lib.experiments.robustness import COLUMNS
from lib.models import checkpoints
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import robustness
from tests.plotting.test_plotting import PARAMS
from tests.settings import tiny_checkpoint
from tests.synthetic import write_store

SETTINGS = {
    "evaluation": {
        "device": "cpu",
        "batch_size": 64,
        "flip": True,
        "constant_bone_lengths": True,
        "depth_signs": True,
        "denoise": True,
        "scale": "root_depth",
    },
    "visualize": PARAMS | {"sequences": ["S9/*"], "gif_frames": 2},
}


def _run(root: Path, gif: str | None) -> Paths:
    paths = Paths(root)
    write_store(paths.poses)
    checkpoints.save(tiny_checkpoint(frames=3), root / "model.pt")
    arguments = argparse.Namespace(checkpoint=root / "model.pt", split="test", gif=gif)
    robustness.run(arguments, SETTINGS, paths)
    return paths


def test_the_table_is_written(tmp_path: Path) -> None:
    paths = _run(tmp_path, None)
    table = pd.read_csv(paths.metrics("robustness").with_suffix(".csv"))
    assert tuple(table.columns) == COLUMNS and "seen from 60 degrees higher" in set(table["condition"])
    assert not (tmp_path / "data" / "scratch" / "robustness").exists()


def test_conditions_are_drawn_whose_name_has_a_text(tmp_path: Path) -> None:
    paths = _run(tmp_path, "higher")
    folder = tmp_path / "data" / "scratch" / "robustness"
    names = {path.name for path in folder.iterdir()}
    assert names == {"seen_from_30_degrees_higher.gif", "seen_from_60_degrees_higher.gif"}
    for name in names:
        with Image.open(folder / name) as image:
            assert getattr(image, "n_frames", 1) == 2
    assert not paths.metrics("robustness").with_suffix(".csv").exists()


def test_a_text_that_no_condition_has_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--gif coco: no condition"):
        _run(tmp_path, "coco")
