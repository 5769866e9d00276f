"""Train a lifter on the 2D of the training subjects and on the anatomical prior: no 3D label is opened.

Reads the store of preprocess; writes the checkpoint, metrics/pretrain.json and plots/training.csv, and beside them
TensorBoard's logs and data/logs/pretrain_speed.json.
"""

from typing import Any

import pandas as pd

from lib.models.checkpoints import load, save
from lib.runtime.files import replacing, write_json
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.runtime.tensorboard import Board
from lib.training.loop import NEW_WEIGHTS
from lib.training.pretraining import PretrainParams, pretrain

DRAW = "lib.plotting.examples:draw_examples"


def run(params: dict[str, Any], paths: Paths) -> None:
    """Run the stage."""
    chosen = PretrainParams.read(params)
    origin = chosen.training.start
    start = None if origin == NEW_WEIGHTS else load(paths.start(origin), "generalist")
    result = pretrain(chosen, paths.poses, Board(paths.logs, "pretrain", DRAW), start=start)
    save(result.checkpoint, paths.pretrained)
    with replacing(paths.plot("training.csv")) as temporary:
        pd.DataFrame(result.curves).to_csv(temporary, index=False)
    write_json(paths.metrics("pretrain"), result.metrics)
    write_json(paths.speed("pretrain"), result.speed)


if __name__ == "__main__":
    main(run)
