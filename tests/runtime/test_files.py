"""Outputs are written whole or not at all."""

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib.runtime.errors import UserError
from lib.runtime.files import dispensable, pictures_in, replacing, sha256, write_json


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out" / "poses.h5"
    path.parent.mkdir()
    path.write_text("old")
    with pytest.raises(RuntimeError, match="disk"), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("disk")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_writer_that_fails_before_it_writes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "new"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "curve.csv"
    for text in ("one", "two"):
        with replacing(path) as temporary:
            assert (temporary.parent, temporary.suffix) == (path.parent, path.suffix)
            assert temporary != path
            temporary.write_text(text)
            if text == "two":
                assert path.read_text() == "one"  # until the end
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_in_the_way_of_a_file_and_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "same").mkdir()
    (tmp_path / "metrics").touch()
    with pytest.raises(UserError, match=r"same is a folder, where a file belongs: move it elsewhere$"):
        write_json(tmp_path / "same", {})
    with pytest.raises(UserError, match=r"metrics is a file, where a folder belongs: move it elsewhere, or name a"):
        write_json(tmp_path / "metrics" / "a" / "b.json", {})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["metrics", "same"]


def test_json_with_what_cannot_be_written_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"mpjpe_mm": 5.0})
    with pytest.raises(TypeError):
        write_json(path, {"mpjpe_mm": object()})
    assert json.loads(path.read_text()) == {"mpjpe_mm": 5.0}
    assert path.read_text().endswith("}\n")
    assert list(tmp_path.iterdir()) == [path]


def test_sha256_of_a_file_larger_than_a_chunk(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_not_is_an_error_that_names_it(tmp_path: Path, value: float) -> None:
    path = tmp_path / "stats.json"
    content = {"source": "h36m", "splits": {"train": {"box_px": [1.0, {"mean": value}]}}}
    with pytest.raises(UserError, match=r"stats\.json: splits\.train\.box_px\.1\.mean would be -?(nan|inf)"):
        write_json(path, content)
    assert not list(tmp_path.iterdir())


def test_pictures_are_in_the_order_of_the_numbers_in_their_names(tmp_path: Path) -> None:
    names = ["1.png", "2.jpg", "10.PNG", "a2.png", "a10.png", "²1.png"]
    for name in (*names, ".3.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in pictures_in(tmp_path)] == names


def test_what_a_killed_process_left_behind_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = [tmp_path / f".{gone.pid}.poses.h5", tmp_path / f".{gone.pid}.sub.poses.h5"]
    kept = [f".{os.getppid()}.poses.h5", ".mine.poses.h5", f".{gone.pid}.stats.json", "a.poses.h5", left[1].name]
    for name in (left[0].name, *kept):
        (tmp_path / name).write_text("half")
    with replacing(tmp_path / "poses.h5") as temporary:
        temporary.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"poses.h5", *kept}


FULL = """
import resource, signal, sys
from pathlib import Path
import h5py, numpy as np, torch
from lib.runtime.files import replacing

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
with replacing(Path(sys.argv[2])) as temporary:
    if sys.argv[1] == "h5py":
        with h5py.File(temporary, "w") as file:
            for number in range(9):
                file.create_dataset(str(number), data=np.ones(1 << 14))
    elif sys.argv[1] == "torch":
        torch.save(torch.ones(1 << 18), temporary)
    else:
        temporary.write_bytes(bytes(1 << 20))
"""


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no limit on the size of files")
@pytest.mark.parametrize("writer", ["h5py", "torch", "bytes"])
def test_a_full_disk_is_one_line_whoever_writes(writer: str, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk's; the last words on stderr are the error's."""
    path = tmp_path / "out" / "poses.h5"
    result = subprocess.run(
        [sys.executable, "-c", FULL, writer, str(path)], capture_output=True, text=True, check=False
    )
    assert f"UserError: {path} could not be written: the disk is full" in result.stderr.splitlines()[-1]
    assert list(path.parent.iterdir()) == []


def test_what_is_dispensable_costs_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "speed.json"
    for error in (OSError(28, "No space left on device"), UserError(f"{path} could not be written: the disk is full")):
        with dispensable(path):
            raise error
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{path} could not be written, and the run goes on without it: No space left on device"
    assert second.endswith("goes on without it: the disk is full")
