"""Files that are taken out of published packages: fetched, compared with a known digest, never installed.

This module imports little, because the download depends on whatever it imports.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from lib.runtime.errors import UserError
from lib.runtime.files import refuse_file, sha256, temporary_beside
from lib.runtime.logs import say


class Parcel(NamedTuple):
    """A package at a version, and what is wanted of it."""

    requirement: str  # NAME==VERSION, or NAME@VERSION for npm
    file: str  # of the package
    sha256: str
    megabytes: int
    wanted: str  # in words
    members: Mapping[str, str]  # the path inside the package -> the file's name outside
    platform: tuple[str, ...] = ()  # pip's options that choose the file, whatever system this is
    client: Literal["pip", "npm"] = "pip"
    contents: str = ""  # what `contents_of` gives for the members, where they are known


def fetch(parcel: Parcel | None, target: Path, note: str, file: Path | None = None) -> None:
    """Make the folder `target` of README.txt and a parcel's members, if any; `file` is a copy of the package.

    The folder is there whole, or as it was before. Members that are there already are not fetched again.

    Raises:
        UserError: the package cannot be downloaded, or is not the file it should be, or a file is at `target`.
    """
    refuse_file(target)
    scratch = temporary_beside(target)
    try:
        folder = scratch / target.name
        folder.mkdir(parents=True)
        if parcel is not None and parcel.contents and contents_of(parcel, target) == parcel.contents:
            for name in parcel.members.values():
                shutil.copyfile(target / name, folder / name)
            say(f"{target.name} has all of {parcel.wanted}: nothing to download")
        elif parcel is not None:
            extract(parcel, file or download(parcel, scratch), folder)
        (folder / "README.txt").write_text(note, encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        os.replace(folder, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def contents_of(parcel: Parcel, folder: Path) -> str | None:
    """One hash of all members in a folder; None if one is missing."""
    files = [folder / name for name in sorted(parcel.members.values())]
    if not all(path.is_file() for path in files):
        return None
    return hashlib.sha256("\n".join(f"{sha256(path)} {path.name}" for path in files).encode()).hexdigest()


def download(parcel: Parcel, folder: Path) -> Path:
    """Let pip or npm fetch the package, which know the user's index, proxy and cache. Nothing is installed."""
    say(f"downloading {parcel.requirement} ({parcel.megabytes} MB) for {parcel.wanted}")
    if parcel.client == "npm":
        command = ["npm", "pack", "--silent", "--pack-destination", str(folder), parcel.requirement]
        missing, help_ = "npm", "install Node.js"
    else:
        options = ("--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder))
        command = [sys.executable, "-m", "pip", "download", *options, *parcel.platform, parcel.requirement]
        missing, help_ = "pip", "run `python -m ensurepip`"
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        absent = f"No module named {missing}" in result.stderr
    except FileNotFoundError:
        absent = True
    if absent:
        owner = f"{sys.executable} has" if parcel.client == "pip" else "this system has"
        raise UserError(f"{owner} no {missing}, which fetches {parcel.requirement}: {help_} and try again")
    file = folder / parcel.file
    if result.returncode != 0 or not file.is_file():
        marks = ("ERROR", "npm error", "npm ERR!")
        errors = [line for line in result.stderr.splitlines() if line.startswith(marks)] or ["ERROR: no file"]
        reason = errors[-1].removeprefix("ERROR: ")
        raise UserError(
            f"{missing} could not download {parcel.requirement} ({reason}): check the connection and try again"
        )
    return file


def extract(parcel: Parcel, file: Path, folder: Path) -> None:
    """Copy the members out of the package, once it is the one that was looked at."""
    if (digest := sha256(file)) != parcel.sha256:
        raise UserError(f"{file.name} has the sha256 {digest}, not {parcel.sha256}: it is not the file it should be")
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as wheel:
            contents = {name: wheel.read(member) for member, name in parcel.members.items()}
    else:
        with tarfile.open(file) as archive:
            contents = {}
            for member, name in parcel.members.items():
                stream = archive.extractfile(member)
                assert stream is not None, f"{member} is a folder"
                contents[name] = stream.read()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
