"""The README's commands exist and its settings are valid; tests/test_pipeline.py runs those of DVC.

The settings of its chapters on another model and dataset need their new files: tests/test_readme_chapters.py.
"""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from lib.evaluation.lifting import EvaluationParams
from lib.plotting.params import VisualizeParams
from lib.runtime.params import read, section
from lib.sources.base import SourceParams
from lib.training.finetuning import Finetuning
from lib.training.pretraining import PretrainParams
from tests import contract

README = (contract.ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = contract.shell_commands(README)
TOOLS = ("make", "dvc", "pip", "pytest", "python", "tensorboard")


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 10
    assert {command.split()[0] for command in COMMANDS} <= set(TOOLS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_make_targets_exist(command: str) -> None:
    makefile = (contract.ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python -m stages.")])
def test_stage_commands_exist(command: str) -> None:
    name = command.split()[2]
    assert contract.ROOT.joinpath(*name.split(".")).with_suffix(".py").is_file()


SETTINGS = [
    command
    for command in contract.shell_commands(
        re.sub(r"^## Change the .*?(?=^## )", "", README, flags=re.DOTALL | re.MULTILINE)
    )
    if " -S " in command
]


@pytest.mark.parametrize("command", SETTINGS)
def test_settings_are_valid(command: str, tmp_path: Path) -> None:
    params = copy.deepcopy(read(contract.ROOT / "params.yaml"))
    for setting in re.findall(r"-S (\S+)", command):
        key, text = setting.split("=")
        (tmp_path / "value.yaml").write_text(f"value: {text}")
        _replace(params, key.split("."), read(tmp_path / "value.yaml")["value"])
    PretrainParams.read(params)
    section(SourceParams, "data", params)
    section(EvaluationParams, "evaluation", params)
    section(VisualizeParams, "visualize", params)
    Finetuning.read(params)


def test_every_package_is_explained() -> None:
    requirements = (contract.ROOT / "requirements.txt").read_text(encoding="utf-8")
    table = README.split("## What each package is for")[1]
    for package in re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE):
        assert re.search(rf"\b{re.escape(package)}\b", table), package


def test_files_of_the_tree_exist() -> None:
    tree = README.split("## What is where")[1].split("```")[1]
    for name in re.findall(r"(?<!\S)(\w+\.(?:py|yaml))", tree):
        assert any(contract.ROOT.rglob(name)), name


def _replace(params: Any, keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        params = params[key]
    assert keys[-1] in params, keys
    params[keys[-1]] = value
