"""The README's commands exist, its settings are valid, its tree is whole; tests/test_pipeline.py runs those of DVC."""

import copy
import re
from pathlib import Path
from typing import Any

import h5py
import pytest

from lib.data.tables import COLUMNS
from lib.evaluation.lifting import EvaluationParams
from lib.plotting.params import VisualizeParams
from lib.pose.skeleton import H36M
from lib.runtime.params import read, section
from lib.sources.base import SourceParams
from lib.training.finetuning import Finetuning
from lib.training.pretraining import PretrainParams
from tests import contract
from tests.project import Project
from tests.rooms import ROOMS, modules_of

PAGES = {folder: contract.page(folder) for folder in contract.PAGES}
README = "\n".join(PAGES.values())
COMMANDS = contract.shell_commands(README)
TOOLS = ("cp", "make", "dvc", "pip", "pytest", "python", "tensorboard")


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


SETTINGS = [command for command in COMMANDS if " -S " in command]


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
    table = README.split("| package | for |")[1].split("## ")[0]
    for package in re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE):
        assert re.search(rf"\b{re.escape(package)}\b", table), package


def test_every_module_stands_in_the_tree() -> None:
    tree = PAGES["lib"].split("```")[1]
    rooms = dict(re.findall(r"^  (\w+)/(.*\n(?: {20,}.*\n)*)", tree, re.MULTILINE))
    modules: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path, source in modules_of(contract.ROOT / "lib").items():
        if source:
            modules[path.split("/")[0]].add(path.split("/")[1].removesuffix(".py"))
    assert list(rooms) == list(ROOMS)
    for room, names in modules.items():
        words = set(re.findall(r"\w+", rooms[room]))
        assert names <= words, f"{room}: {sorted(names - words)}"


def test_what_to_add_is_named_where_the_readme_says() -> None:
    table = README.split("| to add | write | and name it in |")[1].split("\n\n")[0]
    found = re.findall(r"`([\w.]+)`(?:, [^`|]*)? in ((?:lib|stages)/[\w/]+\.py)", table)
    assert len(found) >= 6
    for name, path in found:
        source = (contract.ROOT / path).read_text(encoding="utf-8")
        owner, _, member = name.partition(".")
        assert re.search(rf"^(?:class |def |async def )?{owner}\b", source, re.MULTILINE), (name, path)
        assert not member or re.search(rf"^    def {member}\b", source, re.MULTILINE), (name, path)


@pytest.mark.parametrize("folder", contract.PAGES)
def test_what_pages_point_to_is_there(folder: str) -> None:
    for path in re.findall(r"\]\((?!https?:|#)([^\s)]+)\)", PAGES[folder]):
        assert (contract.ROOT / folder / path).is_file(), path


def test_the_model_loads_as_the_readme_says(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)[0]
    monkeypatch.chdir(project.root)
    names: dict[str, Any] = {}
    exec(code, names)
    with h5py.File("data/predictions/test.h5") as file:
        poses = names["poses"]
        assert poses.keypoints.shape == file["predicted"].shape
        assert poses.joints.shape == file["h36m"].shape
        assert poses.keypoint_error.shape == file["predicted_error"].shape
        assert poses.joint_error.shape == file["h36m_error"].shape
        assert list(file.attrs["joints"]) == list(file.attrs["h36m_joints"]) == list(H36M.names)
        assert set(file) == {"predicted", "predicted_error", "h36m", "h36m_error", *COLUMNS}
        text = README.split("`poses.keypoints` has the shape")[1].split("![")[0]
        assert all(f"`{name}`" in text for name in (*file, *file.attrs))


def _replace(params: Any, keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        params = params[key]
    assert keys[-1] in params, keys
    params[keys[-1]] = value
