"""Values of a file reach params.yaml through DVC as they are, or are refused before anything runs."""

import copy
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lib.pipeline.overrides import experiment, literal, read_overrides
from lib.runtime.errors import UserError
from lib.runtime.params import read
from lib.runtime.paths import Paths
from stages import experiment as stage
from tests.settings import PARAMS


def through_dvc(value: object, folder: Path) -> Any:
    """What DVC makes of a value on its command line."""
    path = folder / "params.yaml"
    path.write_text("a:\n  b: 1\n")
    # By name, because it takes seconds to import and has no types.
    importlib.import_module("dvc.utils.hydra").apply_overrides(path, [f"a.b={literal(value)}"])
    return YAML(typ="safe").load(path)["a"]["b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("values")


@pytest.mark.filterwarnings("default")  # of what DVC imports
@pytest.mark.parametrize(
    "value",
    [
        *("a,b", "a b", " lead", "12", "1e-3", "", "null", "true", "it's", 'say "x"', "[x]", "{a: b}", "a=b", "a:b"),
        *("back\\slash", "end\\", "\\'", "\\\\'x", "${seed}", "\\${x}", "#c", "new\nline", "é", "glob(*)", "~", "%"),
        *(5e-4, 1e-05, 1e300, -3, 0, 1.0, True, False, None, [], [1, 2.5, "12"], [[1, 2], ["x"]], ["a,b", "c d"]),
        *({"train": ["S 1", "x,y"], "test": []}, {"a": {"b": "c,d"}}),
    ],
)
def test_values_survive_the_command_line_of_dvc(value: object, folder: Path) -> None:
    found = through_dvc(value, folder)
    assert found == value and type(found) is type(value)


@pytest.mark.filterwarnings("default")
@settings(max_examples=60)
@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
    | st.lists(st.text("ab,'\\${} ", max_size=6) | st.floats(allow_nan=False, allow_infinity=False), max_size=3)
)
def test_any_text_survives(folder: Path, value: object) -> None:
    assert through_dvc(value, folder) == value


def test_keys_are_those_of_the_file_at_any_depth(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "seed: 3\ndata: {split: {train: [S1]}}\ntraining:\n  lr: 1e-3\n  schedule: {name: step}\n"
        "visualize: {sequences: ['S9/*']}\n"
    )
    assert read_overrides(file, PARAMS) == {
        "seed": 3,
        "data.split.train": ["S1"],
        "training.lr": 1e-3,
        "training.schedule.name": "step",
        "visualize.sequences": ["S9/*"],
    }
    auto: dict[str, Any] = copy.deepcopy(PARAMS)
    auto["data"]["split"] = "auto"
    file.write_text("data: {split: {train: [a], validation: [b], test: [c]}}")
    split = {"train": ["a"], "validation": ["b"], "test": ["c"]}
    assert read_overrides(file, auto) == {"data.split": split}  # as a whole, where there is none


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainig: {lr: 1}", r"mine\.yaml: trainig is not a known key; known: seed, data, "),
        ("training: {lrr: 1}", r"mine\.yaml: training\.lrr is not a known key; known: objective, "),
        ("training: {lr: {a: 1}}", r"mine\.yaml: training\.lr = .*must be a number"),
        ("training: {lr: -1}", r"mine\.yaml: training\.lr = -1: must be a number above 0"),
        ("training: 3", r"mine\.yaml: training = 3 must be a mapping"),
        ("model: {name: vit, vit: {small: {width: 7}}}", r"mine\.yaml: "),
        ("- a", "mine.yaml must be a mapping"),
        ("", "mine.yaml must be a mapping"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_runs(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.pipeline.overrides.subprocess.Popen", lambda *_, **__: pytest.fail("something ran"))
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    monkeypatch.setattr(sys, "argv", ["experiment", str(file)])
    with pytest.raises(UserError, match=message) as caught:
        stage.run(stage._arguments(), PARAMS, Paths(tmp_path))
    assert "\n" not in str(caught.value) and "params.yaml" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: there is no such file"):
        read_overrides(tmp_path / "none.yaml", PARAMS)


def test_options_and_settings_are_handed_to_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str], **_: object) -> None:
            seen.append(command)

        def wait(self) -> int:
            return 3

    monkeypatch.setattr("lib.pipeline.overrides.subprocess.Popen", Process)
    file = tmp_path / "mine.yaml"
    file.write_text("training: {lr: 5e-4}")
    monkeypatch.setattr(sys, "argv", ["experiment", str(file), "--name", "mine", "--queue"])
    with pytest.raises(SystemExit) as ended:
        stage.run(stage._arguments(), PARAMS, Paths(tmp_path))
    assert ended.value.code == 3  # DVC's
    assert seen[0][1:] == ["-m", "dvc", "exp", "run", "--name", "mine", "--queue", "-S", "training.lr=0.0005"]
    assert experiment({}, tmp_path) == 3
    assert read(file) == {"training": {"lr": 5e-4}}
