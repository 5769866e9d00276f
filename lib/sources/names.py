"""Names and messages of files that may be called anything."""

import re
from pathlib import Path


def plain_name(name: str, space: str) -> str:
    """A name with `space` for all that the store, params.yaml or a line of text cannot hold of a file's name."""
    return re.sub(r"[\s,/\x00-\x1f\x7f-\x9f\ud800-\udfff]+", space, name)


def printable(name: Path | str) -> str:
    """A name in one line that can be printed: names of files may be any bytes."""
    return " ".join(str(name).encode("utf-8", "backslashreplace").decode().split())


def about_file(where: Path | str, error: Exception) -> str:
    """What is wrong with a file, in one line that can be printed."""
    return printable(f"{where}: {error}")
