"""Read the source, sort its sequences into splits, and write the store and its statistics."""

from typing import Any

from lib.data.preprocessing import preprocess
from lib.runtime.files import write_json
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.sources.base import SourceParams, SplitParams


def run(params: dict[str, Any], paths: Paths) -> None:
    """data/raw/SOURCE -> data/processed/poses.h5, stats.json and metrics/preprocess.json."""
    data = section(SourceParams, "data", params)
    result = preprocess(data, paths.raw(data.source), paths.poses)
    write_json(paths.stats, result.stats)
    write_json(paths.metrics("preprocess"), result.metrics)
    for line in result.assumptions:
        print(line)
    for line in result.left_out:
        print(line)
    for split in SplitParams.model_fields:
        if count := result.metrics[f"{split}_undetected_frames"]:
            print(f"{count} {split} frames show nobody: they teach nothing, and their poses are interpolated")
        if count := result.metrics[f"{split}_unlabelled_sequences"]:
            all_of_them = result.metrics[f"{split}_sequences"]
            print(f"{count} of {all_of_them} {split} sequences have no 3D: what needs labels leaves them out")


if __name__ == "__main__":
    main(run)
