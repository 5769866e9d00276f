"""Fine-tune the pre-trained model with a share of the labels, if `finetune.enabled` says so; else pass it on.

Reads the store and a checkpoint of any objective; writes data/models/finetuned.pt, which is what evaluate measures,
metrics/finetune.json and plots/finetuning.csv.
"""

from typing import Any

import pandas as pd

from lib.models.checkpoints import load, save
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.files import replacing, write_json
from lib.runtime.group import Group
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.runtime.tensorboard import Board, NoBoard
from lib.runtime.workers import run_workers
from lib.training.finetuning import CURVES, Finetuned, FinetuneParams, Finetuning, finetune
from lib.training.shards import processes_to_start

DRAW = "lib.plotting.examples:draw_examples"


def run(params: dict[str, Any], paths: Paths) -> None:
    """Run the stage."""
    own = section(FinetuneParams, "finetune", params)
    path = paths.root / own.checkpoint
    if path != paths.pretrained and not path.exists():
        raise UserError(f"params.yaml: finetune.checkpoint = {own.checkpoint!r}: there is no such file")
    chosen = Finetuning.read(params) if own.enabled else None
    count = processes_to_start(chosen.training) if chosen else 1
    if count > 1:
        run_workers(["stages.finetune"], count)
        return
    pretrained = load(path)
    if not Group.of_environment().first:
        if chosen:
            finetune(chosen, pretrained, paths.poses, NoBoard(), Console(quiet=True))
        return
    result = Finetuned(pretrained, pd.DataFrame(columns=pd.Index(CURVES)), {"enabled": False}, {})
    if chosen:
        result = finetune(chosen, pretrained, paths.poses, Board(paths.logs, "finetune", DRAW))
    save(result.checkpoint, paths.finetuned)
    with replacing(paths.plot("finetuning.csv")) as temporary:
        result.curves.to_csv(temporary, index=False)
    write_json(paths.metrics("finetune"), result.metrics)
    if own.enabled:
        write_json(paths.speed("finetune"), result.speed)


if __name__ == "__main__":
    main(run)
