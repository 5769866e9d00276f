"""The sources of poses by their name in `data.source`: what reads a source's raw files, all of them in this folder."""

from collections.abc import Callable
from pathlib import Path

from lib.runtime.errors import UserError
from lib.sources import bvh, clips, h36m, humaneva, mpi_inf_3dhp, sample
from lib.sources.base import AutoSplit, SourceData, SourceParams, SplitParams
from lib.sources.keypoints import read as keypoints

SOURCES: dict[str, Callable[[Path, SourceParams], SourceData]] = {
    "sample": sample.read,
    "h36m": h36m.read,
    "keypoints": keypoints.read,
    "mpi_inf_3dhp": mpi_inf_3dhp.read,
    "humaneva": humaneva.read,
    "bvh": bvh.read,
}

# What can be refused without raw files, and what raw files are missing
CHECKS: dict[str, Callable[[SourceParams], None]] = {
    "sample": sample.check,
    "mpi_inf_3dhp": mpi_inf_3dhp.check,
    "bvh": bvh.check,
    "keypoints": keypoints.check,
}
FILES: dict[str, Callable[[Path, SourceParams], None]] = {
    "h36m": h36m.require_files,
    "mpi_inf_3dhp": mpi_inf_3dhp.require_files,
    "humaneva": humaneva.require_files,
}
# What `auto` stands for where the source itself has something usual.
SPLITS = {
    name: SplitParams(train=("S1", "S5", "S6", "S7"), validation=("S8",), test=("S9", "S11"))
    for name in ("sample", "h36m")
}
EXACT = "gt"
OF_ANY_FORMAT = ("keypoints",)  # whose files are told by their content


def read_source(raw: Path, params: SourceParams) -> SourceData:
    """The sequences of the source that params.yaml names, from its raw files.

    Raises:
        UserError: no source has this name, or its files are missing or wrong.
    """
    check_source(params)
    return SOURCES[params.source](raw, usual(params))


def usual(params: SourceParams) -> SourceParams:
    """The same params with what the source usually has in place of `auto`."""
    changes: dict[str, object] = {}
    if params.keypoints == "auto" and params.source not in OF_ANY_FORMAT:
        changes["keypoints"] = EXACT
    if isinstance(params.split, AutoSplit) and params.source in SPLITS:
        changes["split"] = SPLITS[params.source]
    return params.model_copy(update=changes) if changes else params


def check_source(params: SourceParams) -> None:
    """Refuse, without its raw files, a source that there is not, and what it cannot give.

    Raises:
        UserError: naming the key.
    """
    if params.source not in SOURCES:
        raise UserError(f"params.yaml: data.source = {params.source!r}: must be one of {', '.join(SOURCES)}")
    if params.source in CHECKS:
        CHECKS[params.source](usual(params))


def require_files(raw: Path, params: SourceParams) -> None:
    """Refuse to begin without raw files that nothing in the pipeline makes; raises UserError.

    The sample's are downloaded.
    """
    if params.source in FILES:
        FILES[params.source](raw, usual(params))
    elif params.source != clips.SAMPLE and not raw.is_dir():
        raise UserError(
            f"params.yaml: data.source = {params.source!r}: there is no folder {raw}; the sample is downloaded, other "
            "sources are files that you put there"
        )
