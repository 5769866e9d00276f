"""TensorBoard's logs: where they cannot be written, training goes on."""

import threading
from pathlib import Path

import pytest

from lib.runtime.tensorboard import Board


def test_a_full_disk_costs_the_logs_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)  # pytest's own counts what it would print

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    board = Board(tmp_path, "pretrain")
    board.scalars({"loss": 1.0}, 1)
    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    for step in range(50):
        board.scalars({"loss": 1.0}, step)
    board.close()
    said = capfd.readouterr()
    assert said.out == f"{board.folder} could not be written, and the run goes on without it: No space left on device\n"
    assert said.err == ""


def test_a_folder_that_cannot_be_made_costs_the_logs_and_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file")
    board = Board(tmp_path / "logs", "pretrain")
    board.params({"seed": 0})
    board.scalars({"loss": 1.0}, 1)
    board.close()
    assert capsys.readouterr().out.count("could not be written, and the run goes on without it") == 1
