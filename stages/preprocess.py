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
from lib.data.sequences import SourceParams
from lib.files import write_json
from lib.params import section
from lib.paths import Paths
from lib.sources.catalog import read_source
from lib.stage import main


@one_thread()
def run(params: dict[str, Any], paths: Paths) -> None:
    """data/raw/SOURCE -> data/processed/poses.h5, stats.json and metrics/preprocess.json."""
    started = time.perf_counter()
    data = section(SourceParams, "data", params)
    check_split(data.split)
    source = read_source(paths.raw(data.source), data)
    splits, dropped = split_sequences(source, data)
    store.write(paths.poses, splits)

    keypoints, positions, undetected = {}, {}, {}
    for name, sequences in splits.items():
        if not sequences:
            continue
        split = store.read_split(paths.poses, name, any(s.positions is not None for s in sequences), unlabelled=True)
        keypoints[name] = keypoint_statistics(split)
        undetected[name] = keypoints[name]["undetected_frames"]
        if split.positions is not None:
            positions[name] = position_statistics(split.positions[split.labelled])
    stats = {
        "source": data.source,
        "keypoints": data.keypoints,
        "splits": keypoints,
        "dropped": count_dropped(dropped),
        "cut_frames": source.cut_frames,
        "evaluation_only": positions,
    }
    write_json(paths.stats, stats)
    metrics = flat_metrics(splits, undetected, dropped, source.cut_frames)
    for name, count in undetected.items():
        if count:
            print(f"{count} {name} frames show nobody: they teach nothing, and their poses are interpolated")
        if unlabelled := metrics[f"{name}_unlabelled_sequences"]:
            print(f"{unlabelled} of {len(splits[name])} {name} sequences have no 3D: what needs labels leaves them out")
    write_json(paths.metrics("preprocess"), {**metrics, "seconds": round(time.perf_counter() - started, 3)})


if __name__ == "__main__":
    main(run)
