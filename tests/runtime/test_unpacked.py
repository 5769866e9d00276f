"""Members of zip files, unpacked into memory or into a file: the same bytes, and a full disk is one line."""

import errno
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.runtime import unpacked
from lib.runtime.errors import UserError
from lib.runtime.unpacked import LONG, Unpacked

CONTENT = b"a line\n" + np.random.default_rng(0).bytes(5 * LONG) + b"\nthe end"


@pytest.fixture
def archive(tmp_path: Path) -> zipfile.ZipFile:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("member", CONTENT)
    return zipfile.ZipFile(tmp_path / "a.npz")


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
def test_reads_what_was_packed(in_memory: int, archive: zipfile.ZipFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "IN_MEMORY", in_memory)
    file = Unpacked(archive, "member")
    archive.close()
    read = [file.readline(), file.read(3), file.read(2 * LONG), file.read()]
    file.release()
    assert read[0] == b"a line\n" and isinstance(read[1], bytes) and len(read[1]) == 3
    assert isinstance(read[2], memoryview)  # which nobody has copied
    assert b"".join(read) == CONTENT
    assert file.read(9) == b"" and file.readline() == b""


def test_a_damaged_member_is_found(archive: zipfile.ZipFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "IN_MEMORY", 0)
    archive.getinfo("member").CRC ^= 1
    with archive, pytest.raises(zipfile.BadZipFile):
        Unpacked(archive, "member")


def test_a_full_disk_is_one_line(archive: zipfile.ZipFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unpacked, "IN_MEMORY", 0)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with archive, pytest.raises(UserError, match=r"a\.npz cannot be unpacked: .* is full; make room there, .*TMPDIR"):
        Unpacked(archive, "member")
