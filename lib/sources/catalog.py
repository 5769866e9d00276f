"""The sources of poses by their name in `data.source`: what reads a source's raw files, all of them in this folder."""

from collections.abc import Callable
from pathlib import Path

from lib.runtime.errors import UserError
from lib.sources import bvh, clips, h36m, sample
from lib.sources.base import SourceData, SourceParams

SOURCES: dict[str, Callable[[Path, SourceParams], SourceData]] = {
    "sample": sample.read,
    "h36m": h36m.read,
    "bvh": bvh.read,
}

CHECKS: dict[str, Callable[[SourceParams], None]] = {"sample": sample.check, "bvh": bvh.check}  # without raw files


def read_source(raw: Path, params: SourceParams) -> SourceData:
    """The sequences of the source that params.yaml names, from its raw files.

    Raises:
        UserError: no source has this name, or its files are missing or wrong.
    """
    check_source(params)
    return SOURCES[params.source](raw, params)


def check_source(params: SourceParams) -> None:
    """Refuse, without its raw files, a source that there is not, and what it cannot give.

    Raises:
        UserError: naming the key.
    """
    if params.source not in SOURCES:
        raise UserError(f"params.yaml: data.source = {params.source!r}: must be one of {', '.join(SOURCES)}")
    if params.source in CHECKS:
        CHECKS[params.source](params)


def require_files(raw: Path, params: SourceParams) -> None:
    """Refuse to begin without raw files that nothing in the pipeline makes; raises UserError.

    The sample's are downloaded.
    """
    if params.source == "h36m":
        h36m.require_files(raw, params)
    elif params.source != "sample":
        clips.require_folder(raw, params.source)
