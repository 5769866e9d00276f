"""A stage's entry point: a user's mistake is one line, a bug is a traceback."""

import argparse
import gc
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lib.runtime.errors import UserError
from lib.runtime.files import write_json
from lib.runtime.params import read
from lib.runtime.paths import Paths
from lib.runtime.stage import command, main, positive
from tests import contract


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(contract.ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_gets_params_and_paths_of_the_current_folder(project: Path) -> None:
    calls: list[tuple[dict[str, Any], Path]] = []
    main(lambda params, paths: calls.append((params, paths.metrics("pretrain").absolute())))
    assert calls == [(read(project / "params.yaml"), project / "metrics" / "pretrain.json")]


def test_a_command_looks_for_garbage_though_its_imports_did_not(project: Path) -> None:
    looks: list[bool] = []
    gc.disable()
    try:
        command(lambda _: looks.append(gc.isenabled()))
    finally:
        gc.enable()
        gc.unfreeze()
    assert looks == [True]


def test_who_imports_stages_goes_on_looking_for_garbage() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import stages, gc; print(gc.isenabled())"],
        cwd=contract.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "True"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  lr: 2e-3", "  lr: -1", "params.yaml: training.lr = -1: must be"),
        ("  dpi: 100", "  dpi: 1", "params.yaml: visualize.dpi = 1: must be"),
        ("losses:", "loses:", "params.yaml: loses is not a known key; known: .*; params.yaml: losses is missing"),
        ("seed: 0", "seed: 0\nseed: 1", "params.yaml, line 5: seed is there twice, first on line 4"),
    ],
)
def test_whatever_runs_refuses_the_same_params(project: Path, old: str, new: str, message: str) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace(old, new, 1))

    def run(params: dict[str, Any], paths: Paths) -> None:
        raise AssertionError

    with pytest.raises(SystemExit, match=f"^error: {message}"):
        main(run)


@pytest.mark.usefixtures("project")
def test_a_user_error_is_one_line_and_exit_code_1() -> None:
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


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_one_word_as_is_a_request_to_end(how: signal.Signals) -> None:
    def run(paths: Paths) -> None:
        signal.raise_signal(how)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may ignore it
    try:
        with pytest.raises(SystemExit) as stopped:
            command(run)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.value.code == "stopped"


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_ctrl_c_while_a_command_imports_is_one_word(how: str) -> None:
    heed = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # what runs in the background may ignore it
    script = f"import signal, sys; {heed}; sys.argv[0] = '-m'; import stages; signal.raise_signal(signal.{how})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=contract.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0 and done.stderr == "stopped\n"


def test_a_folder_that_cannot_be_written_is_one_line(project: Path) -> None:
    (project / "metrics").write_text("not a folder")

    def run(params: dict[str, Any], paths: Paths) -> None:
        write_json(paths.metrics("x"), {})

    with pytest.raises(SystemExit, match="^error: metrics is a file, where a folder belongs: move it elsewhere"):
        main(run)


@pytest.mark.usefixtures("project")
def test_a_folder_where_a_file_belongs_is_one_line(project: Path) -> None:
    (project / "cameras.yaml").mkdir()
    with pytest.raises(SystemExit, match="^error: cameras.yaml is a folder, where a file belongs: move it elsewhere$"):
        command(lambda paths: print(Path("cameras.yaml").read_text()))


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_number_that_is_not_above_0_is_refused(text: str) -> None:
    assert positive(int)("3") == 3
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a number above 0"):
        positive(int)(text)


def _too_much(kind: str) -> None:
    if kind == "torch":
        torch.empty(1 << 50)
    elif kind == "numpy":
        np.empty(1 << 50)
    elif kind == "cuda":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 96.00 GiB. GPU 0 has 79.1 GiB.")
    else:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("kind", ["torch", "numpy", "cuda", "worker"])
def test_too_little_memory_is_one_line_that_says_what_to_lower(kind: str) -> None:
    def run(params: dict[str, Any], paths: Paths) -> None:
        _too_much(kind)

    with pytest.raises(
        SystemExit, match="^error: there is not enough memory: lower training.batch_size in params.yaml"
    ):
        main(run, lower="training.batch_size")
    with pytest.raises(SystemExit, match=r"^error: there is not enough memory: end what else is running \("):
        command(lambda paths: _too_much(kind))


def test_another_broken_pipe_than_that_of_the_output_is_said() -> None:
    code = "import os; from lib.runtime.stage import command; r, w = os.pipe(); os.close(r); "
    code += "command(lambda paths: os.write(w, b'x'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=contract.ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: files: Broken pipe\n")


def test_who_has_read_enough_of_the_output_is_told_nothing() -> None:
    """As of `python -m stages.criteria --table | head`."""
    code = "from lib.runtime.stage import command; command(lambda paths: [print('line') for _ in range(100_000)])"
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, cwd=contract.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().strip() == b"line"
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 1
