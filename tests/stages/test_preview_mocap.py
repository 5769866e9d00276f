"""The picture of takes: it is drawn, and what is left out is said."""

from pathlib import Path

import matplotlib.image
import pytest

from lib.runtime.paths import Paths
from stages import preview_mocap
from tests.data.mocap_files import write_bvh
from tests.settings import PARAMS


def test_takes_are_drawn_and_bad_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bvh(tmp_path / "mocap" / "ann" / "walk.bvh")
    preview_mocap.run(tmp_path / "mocap", PARAMS, Paths(tmp_path))
    one = matplotlib.image.imread(tmp_path / "data/scratch/mocap.png")
    write_bvh(tmp_path / "mocap" / "ben" / ("a very long name of a take" + ".bvh"), "smpl", frames=4)
    (tmp_path / "mocap" / "bad.bvh").write_text("no motion")
    preview_mocap.run(tmp_path / "mocap", PARAMS, Paths(tmp_path))
    two = matplotlib.image.imread(tmp_path / "data/scratch/mocap.png")
    assert two.shape[0] > one.shape[0] and one[..., :3].min() < 0.5
    said = capsys.readouterr().out.replace("\n", "")
    assert "bad.bvh: no HIERARCHY and MOTION" in said and "mocap.png: 2 takes" in said
