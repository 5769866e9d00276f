"""The sources of poses by their name in `data.source`: what reads a source's raw files, all of them in this folder."""

from collections.abc import Callable
from pathlib import Path

from lib.runtime.errors import UserError
from lib.sources import h36m, sample
from lib.sources.base import SourceData, SourceParams

SOURCES: dict[str, Callable[[Path, SourceParams], SourceData]] = {"sample": sample.read, "h36m": h36m.read}


def read_source(raw: Path, params: SourceParams) -> SourceData:
    """The sequences of the source that params.yaml names, from its raw files.

    Raises:
        UserError: no source has this name, or its files are missing or wrong.
    """
    if params.source not in SOURCES:
        raise UserError(f"params.yaml: data.source = {params.source!r}: must be one of {', '.join(SOURCES)}")
    return SOURCES[params.source](raw, params)
