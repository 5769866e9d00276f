"""The sources of poses by their name in `data.source`."""

from collections.abc import Callable
from pathlib import Path

from lib.data import h36m, sample
from lib.data.sequences import SourceData, SourceParams

SOURCES: dict[str, Callable[[Path, SourceParams], SourceData]] = {"sample": sample.read, "h36m": h36m.read}
