"""Params and data that change while a stage of DVC runs end it in one line."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from lib.runtime.errors import UserError
from lib.runtime.params import read
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.runtime.unchanged import Inputs, check_params_file

PIPELINE = """
stages:
  train:
    params: [seed, model.name, "model.${model.name}.${size}"]
    deps: [lib, "data/raw/${source}", data/poses.h5]
"""
PARAMS = (
    "{seed: 0, model: {name: vit, vit: {small: {width: 8}, base: {width: 16}}}, size: small, source: mine, other: 1}"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline whose stage `train` DVC runs."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "data" / "raw" / "mine").mkdir(parents=True)
    (tmp_path / "data" / "poses.h5").write_text("poses")
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def begun(root: Path) -> Inputs:
    return Inputs.of(read(root / "params.yaml"), root)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 0", "seed: 1", r"^params\.yaml: seed was 0 when this began, and is 1 by now; .*dvc exp run --queue"),
        ("width: 8", "width: 9", r"model\.vit\.small\.width was 8 when this began, and is 9"),
        ("seed: 0, ", "", "seed was 0 when this began, and is null"),
    ],
)
def test_params_of_the_stage_that_change(root: Path, old: str, new: str, message: str) -> None:
    inputs = begun(root)
    inputs.check()
    (root / "params.yaml").write_text(PARAMS.replace(old, new))
    with pytest.raises(UserError, match=message):
        inputs.check()


@pytest.mark.parametrize(
    ("old", "new"), [("other: 1", "other: 2"), ("width: 16", "width: 17"), ("seed: 0", "seed:  0")]
)
def test_what_the_stage_does_not_read_may_change(root: Path, old: str, new: str) -> None:
    inputs = begun(root)
    (root / "params.yaml").write_text(PARAMS.replace(old, new))
    inputs.check()


@pytest.mark.parametrize("path", ["data/poses.h5", "data/raw/mine/a.json"])
def test_data_that_change(root: Path, path: str) -> None:
    inputs = begun(root)
    (root / path).write_text("others")
    with pytest.raises(UserError, match=r"^data/\S+ has changed while this was running; .*run `dvc repro` again$"):
        inputs.check()


def test_without_dvc_anything_may_change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE")
    inputs = begun(root)
    (root / "params.yaml").write_text("{}")
    inputs.check()


def lock(root: Path) -> None:
    """What dvc.lock has of a params.yaml that was checked."""
    digest = hashlib.md5((root / "params.yaml").read_bytes()).hexdigest()
    (root / "dvc.lock").write_text(
        f"stages:\n  check:\n    deps:\n    - path: params.yaml\n      hash: md5\n      md5: {digest}\n      size: 9\n"
    )


def test_a_stage_refuses_params_that_were_changed_since_the_check(root: Path) -> None:
    check_params_file()  # nothing is recorded yet
    lock(root)
    check_params_file()
    (root / "params.yaml").write_text(PARAMS.replace("seed: 0", "seed: 1"))
    with pytest.raises(UserError, match=r"^params\.yaml is not as the stage check has seen it.*`dvc repro check`"):
        check_params_file()
    os.environ["DVC_STAGE"] = "check"
    check_params_file()


def test_a_stage_that_ends_beside_other_params_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(params: dict[str, Any], paths: Paths) -> None:
        (root / "params.yaml").write_text(PARAMS.replace("seed: 0", "seed: 1"))

    with pytest.raises(SystemExit) as ended:
        main(run)
    assert str(ended.value).startswith("error: params.yaml: seed was 0")


def test_the_lock_file_of_this_version_of_dvc_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the repository has it; another version may write it in another way."""
    text = Path("dvc.lock").read_text()
    monkeypatch.setenv("DVC_STAGE", "train")
    (tmp_path / "dvc.lock").write_text(text)
    (tmp_path / "params.yaml").write_text("{}")
    with pytest.raises(UserError, match="not as the stage check has seen it"):
        check_params_file(tmp_path)
