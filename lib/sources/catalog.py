"""The sources of poses by their name in `data.source`: what reads a source's raw files, all of them in this folder."""

from collections.abc import Callable
from pathlib import Path

from lib.runtime.errors import UserError
from lib.sources import bvh, clips, h36m, humaneva, mpi_inf_3dhp, sample
from lib.sources.base import SourceData, SourceParams

SOURCES: dict[str, Callable[[Path, SourceParams], SourceData]] = {
    "sample": sample.read,
    "h36m": h36m.read,
    "mpi_inf_3dhp": mpi_inf_3dhp.read,
    "humaneva": humaneva.read,
    "bvh": bvh.read,
}

# What can be refused without raw files, and what raw files are missing
CHECKS: dict[str, Callable[[SourceParams], None]] = {
    "sample": sample.check,
    "mpi_inf_3dhp": mpi_inf_3dhp.check,
    "bvh": bvh.check,
}
FILES: dict[str, Callable[[Path, SourceParams], None]] = {
    "h36m": h36m.require_files,
    "mpi_inf_3dhp": mpi_inf_3dhp.require_files,
    "humaneva": humaneva.require_files,
}


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
    if params.source in FILES:
        FILES[params.source](raw, params)
    elif params.source != "sample":
        clips.require_folder(raw, params.source)
