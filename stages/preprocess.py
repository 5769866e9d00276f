"""Read the source, sort its sequences into splits, and write the store and its statistics."""

from typing import Any

from lib.data.preprocessing import preprocess, preprocess_test
from lib.runtime.arguments import no_options
from lib.runtime.files import write_json
from lib.runtime.logs import say
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.sources.base import SourceParams, SplitParams
from lib.sources.evaluation import EvaluationSourceParams


def run(params: dict[str, Any], paths: Paths) -> None:
    """data/raw/SOURCE -> data/processed/poses.h5, other_test.h5, stats.json and metrics/preprocess.json."""
    data = section(SourceParams, "data", params)
    other = section(EvaluationSourceParams, "evaluation", params).of(data)
    tested = preprocess_test(other, paths.raw(other.source) if other else None, paths.other_test)
    result = preprocess(data, paths.raw(data.source), paths.poses)
    if tested:
        result = result._replace(
            stats=result.stats | {"evaluation": tested.stats}, notes=[*result.notes, *tested.notes]
        )
    write_json(paths.stats, result.stats)
    write_json(paths.metrics("preprocess"), result.metrics)
    if tested:
        say(f"test on {tested.metrics['test_sequences']} sequences of the {tested.stats['source']} source")
    for line in result.notes:
        say(line)
    for split in SplitParams.model_fields:
        if count := result.metrics[f"{split}_undetected_frames"]:
            say(f"{count} {split} frames show nobody: they teach nothing, and their poses are interpolated")
        if count := result.metrics[f"{split}_unlabelled_sequences"]:
            all_of_them = result.metrics[f"{split}_sequences"]
            say(f"{count} of {all_of_them} {split} sequences have no 3D: what needs labels leaves them out")


if __name__ == "__main__":
    no_options(__doc__)
    main(run, lower="data.virtual_cameras.count, or data.people to `longest`,")
