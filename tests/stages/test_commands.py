"""Commands beside the graph: the preview of the prior, the table of presets and that of criteria."""

import argparse
import shutil
from pathlib import Path

import pytest
from PIL import Image

from lib.models.networks import NETWORKS
from lib.runtime.paths import Paths
from stages import criteria, presets, preview_prior
from tests import contract
from tests.settings import PARAMS


def test_the_preview_shows_poses_and_motion(tmp_path: Path) -> None:
    preview_prior.run(tmp_path / "pictures", PARAMS, Paths(tmp_path))
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {"prior_poses.png", "prior_motion.png"}
    for name in names:
        with Image.open(tmp_path / "pictures" / name) as image:
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 100


def test_presets_lists_every_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(presets, "BATCH", 2)
    presets.run(argparse.Namespace(device="cpu", seconds=0.01), PARAMS, Paths(tmp_path))
    output = capsys.readouterr().out
    for name in NETWORKS:
        for size in ("small", "base", "large"):
            assert f"{name}, {size}" in output


def test_criteria_prints_the_tables_of_the_file_in_git(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = Paths(tmp_path)
    path = paths.metrics("criteria").with_suffix(".csv")
    path.parent.mkdir()
    shutil.copy(contract.ROOT / "metrics" / path.name, path)
    chosen = {"source": "h36m", "keypoints": "gt", "split": "validation", "seeds": 1, "every": 2}
    criteria.run(argparse.Namespace(**chosen, table=True), PARAMS, paths)
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("all") + 2].startswith("take the last")
    for criterion in ("validation/total", "other cameras", "another seed's poses"):
        assert any(line.startswith(criterion) for line in lines)
    assert path.read_bytes() == (contract.ROOT / "metrics" / path.name).read_bytes()
