"""Read the source, sort its sequences into splits, and write the store and its statistics."""

from typing import Any

from lib.data.preprocessing import preprocess
from lib.runtime.files import write_json
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.sources.base import SourceParams


def run(params: dict[str, Any], paths: Paths) -> None:
    """data/raw/SOURCE -> data/processed/poses.h5, stats.json and metrics/preprocess.json."""
    data = section(SourceParams, "data", params)
    result = preprocess(data, paths.raw(data.source), paths.poses)
    write_json(paths.stats, result.stats)
    write_json(paths.metrics("preprocess"), result.metrics)


if __name__ == "__main__":
    main(run)
