"""Outputs are written whole or not at all."""

import hashlib
import json
import math
from pathlib import Path

import pytest

from lib.runtime.errors import UserError
from lib.runtime.files import pictures_in, replacing, sha256, write_json


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
