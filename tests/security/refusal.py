"""What a bad input has to come to: one line that names the file, and nothing written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lib.runtime.errors import UserError

LONGEST = 700  # characters of a line


def written_in(folder: Path) -> dict[str, tuple[int, int]]:
    """Sizes and times of all files below a folder, but for log files."""
    found = [path for path in folder.rglob("*") if path.is_file() and folder / "data" / "logs" not in path.parents]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def refused(read: Callable[[], object], folder: Path, message: str, file: str = "") -> None:
    """Reading ends in one printable line that has the message and the file's name, and writes nothing."""
    before = written_in(folder)
    with pytest.raises(UserError, match=message) as caught:
        read()
    line = str(caught.value)
    assert line.isprintable() and len(line) < LONGEST and file in line
    assert written_in(folder) == before
