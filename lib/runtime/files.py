"""Outputs are written whole or not at all: a temporary name beside the target, then os.replace.

The name has the number of the process, so that the next one removes what was left behind by one that was killed.
"""

import contextlib
import errno
import glob
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from lib.runtime.errors import UserError

FULL = 1 << 20  # bytes
NO_SPACE = (errno.ENOSPC, errno.EFBIG, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else []))
TORCH_FULL = ("file write failed", "unexpected pos")  # what torch says of a file that it cannot write on
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


@contextlib.contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, on an error it is removed.

    What is `durable` is on the disk by then, and survives a loss of power.

    Raises:
        UserError: a folder is in the way, or the disk is full.
    """
    refuse_folder(path)
    temporary = temporary_beside(path)
    try:
        try:
            yield temporary
        except (OSError, RuntimeError) as error:  # h5py and torch have their own words for a full disk
            if _is_full(error, path.parent):
                raise UserError(f"{path} could not be written: the disk is full") from error
            raise
        if durable:
            _flush(temporary)
        os.replace(temporary, path)
        if durable and os.name == "posix":  # where a folder can be flushed
            _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def dispensable(path: Path, announce: Callable[[str], None] = print) -> Iterator[None]:
    """Write what a run can do without, such as logs: where that fails, it costs a line and not the run."""
    try:
        yield
    except (OSError, UserError) as error:
        said = str(error).removeprefix(f"{path} could not be written: ")
        reason = getattr(error, "strerror", None) or " ".join(said.split())[:200]
        announce(f"{path} could not be written, and the run goes on without it: {reason}")


def require_file(path: Path, remedy: str) -> None:
    """Refuse a file that is missing, or a folder in its place; raises UserError, which ends with the remedy."""
    refuse_folder(path, f", and {remedy}")
    if not path.is_file():
        raise UserError(f"{path} is missing: {remedy}")


def refuse_folder(path: Path, remedy: str = "") -> None:
    """Refuse a folder where a file belongs; raises UserError, which ends with the remedy."""
    if path.is_dir():
        raise UserError(f"{path} is a folder, where a file belongs: move it elsewhere{remedy}")


def refuse_file(folder: Path) -> None:
    """Refuse a file where a folder, or one of those above it, belongs; raises UserError."""
    for each in (folder, *folder.parents):
        if each.exists() and not each.is_dir():
            raise UserError(f"{each} is a file, where a folder belongs: move it elsewhere, or name another")


def temporary_beside(path: Path) -> Path:
    """The name under which this process may write what is to take the place of `path`; its folder is made.

    What other processes have left behind under theirs is removed, unless they live.

    Raises:
        UserError: a file is where a folder belongs.
    """
    refuse_file(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.glob(f".*.{glob.escape(path.name)}"):
        number = other.name[1 : -len(path.name) - 1]
        if number.isdecimal() and not lives(int(number)):
            shutil.rmtree(other) if other.is_dir() else other.unlink(missing_ok=True)
    return path.with_name(f".{os.getpid()}.{path.name}")  # keeps the suffix, which writers look at


def lives(process: int) -> bool:
    """Whether there is such a process, of whomever; where that cannot be asked, yes."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_full(error: Exception, folder: Path) -> bool:
    """Whether an error in writing is that the disk is full, or a quota is."""
    number = re.search(r"errno = (\d+)", str(error))  # as HDF5 says it
    if (int(number[1]) if number else getattr(error, "errno", None)) in NO_SPACE:
        return True
    return any(words in str(error) for words in TORCH_FULL) or shutil.disk_usage(folder).free < FULL


def _flush(path: Path) -> None:
    """Have the system write a file, or the names in a folder, onto the disk now."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON object; metrics are flat, because DVC drops nested lists and nulls.

    Raises:
        UserError: a number is not finite, which JSON has no word for; the message says which.
    """
    for name, number in _numbers(content):
        if not math.isfinite(number):
            raise UserError(f"{path}: {name} would be {number}, which says nothing: look for its cause in the data")
    with replacing(path, durable=True) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _numbers(content: object, name: str = "") -> Iterator[tuple[str, float]]:
    """The floats of a JSON object with their dotted names."""
    if isinstance(content, float):
        yield name, content
    elif isinstance(content, Mapping | list | tuple):
        items = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in items:
            yield from _numbers(value, f"{name}.{key}".lstrip("."))


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def stays_inside(name: str) -> bool:
    """Whether a path that a file names lies below the folder that it is relative to, on any system."""
    paths = PurePosixPath(name), PureWindowsPath(name)
    return not any(path.anchor or ".." in path.parts or "\0" in name for path in paths)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, numbers in names in their order."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith("."))
    return sorted(found, key=lambda path: [int(x) if x.isdecimal() else x for x in re.split(r"(\d+)", path.name)])
