"""Read the source, sort its sequences into splits, and write the store and its statistics."""

import time
from typing import Any

from lib.data import store
from lib.data.preprocessing import (
    check_split,
    count_dropped,
    flat_metrics,
    keypoint_statistics,
    one_thread,
    position_statistics,
    split_sequences,
)
from lib.runtime.files import write_json
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.sources.base import SourceParams
from lib.sources.catalog import read_source


@one_thread()
def run(params: dict[str, Any], paths: Paths) -> None:
    """data/raw/SOURCE -> data/processed/poses.h5, stats.json and metrics/preprocess.json."""
    started = time.perf_counter()
    data = section(SourceParams, "data", params)
    check_split(data.split)
    source = read_source(paths.raw(data.source), data)
    splits, dropped = split_sequences(source, data)
    store.write(paths.poses, splits, source.skeleton)

    keypoints, positions = {}, {}
    for name, sequences in splits.items():
        if not sequences:
            continue
        split = store.read_split(paths.poses, name, "if any")
        keypoints[name] = keypoint_statistics(split)
        if split.positions is not None:
            positions[name] = position_statistics(split.positions, split.skeleton)
    stats = {
        "source": data.source,
        "keypoints": data.keypoints,
        "splits": keypoints,
        "dropped": count_dropped(dropped),
        "cut_frames": source.cut_frames,
        "evaluation_only": positions,
    }
    write_json(paths.stats, stats)
    metrics = flat_metrics(splits, dropped, source.cut_frames)
    write_json(paths.metrics("preprocess"), {**metrics, "seconds": round(time.perf_counter() - started, 3)})


if __name__ == "__main__":
    main(run)
