"""How much a file may unpack to: files that somebody else wrote claim what they like, and memory is finite."""

import re
import zipfile
from pathlib import Path

UNPACKED = 64 << 20  # bytes that any packed file may unpack to ...
RATIO = 20  # ... and times its own size: numbers that were measured do not pack better
MOST_TEXT = 1 << 30  # bytes of a file of text, which is read whole


def unpacked_limit(path: Path) -> int:
    """The bytes that a packed file may unpack to."""
    return UNPACKED + RATIO * path.stat().st_size


def check_unpacked(path: Path, claimed: int) -> None:
    """Refuse a file that says that it unpacks to so many bytes.

    Raises:
        ValueError: it is more than any such file does.
    """
    if claimed > unpacked_limit(path):
        raise ValueError(f"its {path.stat().st_size:,} bytes claim to unpack to {claimed:,}")


def check_text(path: Path, most: int = MOST_TEXT) -> None:
    """Refuse a file of text that is larger than any; raises ValueError."""
    if path.stat().st_size > most:
        raise ValueError(f"it has more than {most:,} bytes: divide it")


def check_exponents(content: bytes) -> None:
    """Refuse numbers such as 1e9994753537774086, at which pandas ends in a segmentation fault; raises ValueError."""
    if found := re.search(rb"[\d.][eE][-+]?\d{6,}", content):
        raise ValueError(f"the number ...{one_line(found[0].decode())} is too large or too small")


def check_zip(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive whose members claim more than such a file holds; raises ValueError."""
    check_unpacked(path, sum(member.file_size for member in archive.infolist()))


def readable_name(name: object) -> bool:
    """Whether this is a name that tables, files and the terminal can hold: text, short, and of printable characters."""
    return isinstance(name, str) and 0 < len(name) <= 100 and name.isprintable()


def one_line(text: str, most: int = 120) -> str:
    """Text of unknown origin, in one line that any terminal prints."""
    plain = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    plain = "".join(letter if letter.isprintable() else "?" for letter in plain)
    return plain if len(plain) <= most else f"{plain[:most]}..."
