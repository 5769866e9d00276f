"""params.yaml is laid out as DVC writes it, so that `dvc exp run -S` changes the lines of its values and no others."""

import difflib
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml

from lib.pipeline.sections import check_params
from lib.runtime.params import read
from tests.contract import ROOT


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def changes(params: Path) -> list[str]:
    """The lines that are another, as they were and as they are."""
    before, after = (path.read_text(encoding="utf-8").splitlines() for path in (ROOT / "params.yaml", params))
    return [line for line in difflib.ndiff(before, after) if line[0] in "+-"]


def test_the_writer_of_dvc_changes_nothing(params: Path) -> None:
    with modify_yaml(params) as content:
        content["seed"] = content["seed"]
    assert changes(params) == []
    apply_overrides(params, ["seed=0"])  # which puts every list in anew
    assert changes(params) == []


@pytest.mark.parametrize(
    ("setting", "before", "after"),
    [
        ("training.lr=5e-4", "  lr: 2e-3", "  lr: 0.0005"),
        ("model.name=vit", "  name: transformer #", "  name: vit         #"),
        ("data.min_frames=100", "  min_frames: 10 #", "  min_frames: 100 #"),
        ("prior.postures.sit=0.3", "    sit: 0.2", "    sit: 0.3"),
        ("model.transformer.large.width=128", "      width: 64", "      width: 128"),
        ("visualize.left_color='#000000'", "  left_color: '#0072B2' #", "  left_color: '#000000' #"),
        ("masking.ratio=[0.3,0.5]", "  - 0.6", "  - 0.5"),
    ],
)
def test_another_value_is_another_line(setting: str, before: str, after: str, params: Path) -> None:
    apply_overrides(params, [setting])
    old, new = changes(params)
    assert old.startswith(f"- {before}") and new.startswith(f"+ {after}")
    assert old.partition("#")[2] == new.partition("#")[2] or "_color" in setting
    check_params(read(params))


def test_a_split_of_its_own_is_replaced_whole(params: Path) -> None:
    apply_overrides(params, ["data.split=auto"])
    assert [line for line in changes(params) if line.startswith("+")][0].startswith("+   split: auto #")
    assert len(changes(params)) == 12
