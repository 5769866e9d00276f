"""Commands beside the graph: the preview of the prior and the table of presets."""

import argparse
from pathlib import Path

import pytest
from PIL import Image

from lib.models.networks import NETWORKS
from lib.runtime.paths import Paths
from stages import presets, preview_prior
from tests.settings import PARAMS


def test_the_preview_shows_poses_and_motion(tmp_path: Path) -> None:
    preview_prior.run(tmp_path / "pictures", PARAMS, Paths(tmp_path))
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {"prior_poses.png", "prior_motion.png"}
    for name in names:
        with Image.open(tmp_path / "pictures" / name) as image:
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 100


def test_presets_lists_every_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    presets.run(argparse.Namespace(device="cpu", seconds=0.01), PARAMS, Paths(tmp_path))
    output = capsys.readouterr().out
    for name in NETWORKS:
        for size in ("small", "base", "large"):
            assert f"{name}, {size}" in output
