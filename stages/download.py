"""Get the sample's motion clips out of pybullet's wheel, if it is trained or tested on.

Whether it is, the stage `check` says in a file: a change of params that needs no other download then runs none.
"""

from pathlib import Path
from typing import Any

from lib.runtime.arguments import no_options
from lib.runtime.files import require_file
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.sources import clips, parcels

_NOTE = f"""Motion-capture clips of DeepMimic (https://github.com/xbpeng/DeepMimic), MIT licence, copyright (c) 2018
Xue Bin Peng, taken unchanged from the wheel of {clips.REQUIREMENT} on PyPI, whose own licence is PYBULLET-LICENSE.txt.
"""


def run(_: dict[str, Any], paths: Paths, wheel: Path | None = None) -> None:
    """Write data/raw/sample; `wheel` is a copy of pybullet's wheel that is there already."""
    require_file(paths.downloads, "run dvc repro check")
    if paths.downloads.read_text(encoding="utf-8").split() == [clips.SAMPLE]:
        parcels.fetch(clips.PARCEL, paths.raw(clips.SAMPLE), _NOTE, wheel)
    else:
        parcels.fetch(None, paths.raw(clips.SAMPLE), "Nothing is downloaded: params.yaml does not name the sample.\n")


if __name__ == "__main__":
    no_options(__doc__)
    main(run)
