"""Get the sample's motion clips out of pybullet's wheel; another source needs no download."""

from pathlib import Path
from typing import Any

from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.sources import clips, parcels

_NOTE = f"""Motion-capture clips of DeepMimic (https://github.com/xbpeng/DeepMimic), MIT licence, copyright (c) 2018
Xue Bin Peng, taken unchanged from the wheel of {clips.REQUIREMENT} on PyPI, whose own licence is PYBULLET-LICENSE.txt.
"""


def run(params: dict[str, Any], paths: Paths, wheel: Path | None = None) -> None:
    """Write data/raw/sample; `wheel` is a copy of pybullet's wheel that is there already."""
    source = section(clips.DownloadParams, "data", params).source
    if source == "sample":
        parcels.fetch(clips.PARCEL, paths.raw("sample"), _NOTE, wheel)
    else:
        clips.require_folder(paths.raw(source), source)
        parcels.fetch(None, paths.raw("sample"), f"Nothing is downloaded for data.source = {source}.\n")


if __name__ == "__main__":
    main(run)
