"""A stage's entry point: a user's mistake is one line, a bug is a traceback."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from lib.runtime.errors import UserError
from lib.runtime.files import write_json
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text("training: {lr: 5e-4}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_gets_params_and_paths_of_the_current_folder(project: Path) -> None:
    calls: list[tuple[dict[str, Any], Path]] = []
    main(lambda params, paths: calls.append((params, paths.metrics("pretrain").absolute())))
    assert calls == [({"training": {"lr": 5e-4}}, project / "metrics" / "pretrain.json")]


def test_a_user_error_is_one_line_and_exit_code_1(project: Path) -> None:
    def run(params: dict[str, Any], paths: Paths) -> None:
        raise UserError("params.yaml: training.lr is missing")

    with pytest.raises(SystemExit) as caught:
        main(run)
    assert caught.value.code == "error: params.yaml: training.lr is missing"  # a string is printed, and exits with 1


@pytest.mark.usefixtures("project")
def test_a_missing_params_file_is_a_user_error() -> None:
    Path("params.yaml").unlink()
    with pytest.raises(SystemExit, match=r"^error: params.yaml is missing"):
        main(lambda params, paths: None)


@pytest.mark.usefixtures("project")
def test_a_bug_keeps_its_traceback() -> None:
    def run(params: dict[str, Any], paths: Paths) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main(run)


def test_a_folder_that_cannot_be_written_is_one_line(project: Path) -> None:
    (project / "metrics").write_text("not a folder")

    def run(params: dict[str, Any], paths: Paths) -> None:
        write_json(paths.metrics("x"), {})

    with pytest.raises(SystemExit, match="^error: metrics: File exists"):
        main(run)


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_number_that_is_not_above_0_is_refused(text: str) -> None:
    assert positive(int)("3") == 3
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a number above 0"):
        positive(int)(text)
