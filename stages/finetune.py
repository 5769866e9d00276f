"""Fine-tune the pre-trained model with a share of the labels, if `finetune.enabled` says so; else pass it on.

Reads the store and a checkpoint of any objective; writes data/models/finetuned.pt, which is what evaluate measures,
metrics/finetune.json and plots/finetuning.csv. A run that was stopped goes on from its last state in
data/scratch/finetune, as that of pretrain does.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from lib.models.checkpoints import load, save
from lib.runtime.arguments import no_options
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.files import dispensable, replacing, require_file, sha256, write_json
from lib.runtime.group import Group
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.runtime.tensorboard import Board, NoBoard
from lib.runtime.unchanged import Inputs
from lib.runtime.workers import run_workers
from lib.training.finetuning import CURVES, Finetuned, FinetuneParams, Finetuning, finetune
from lib.training.recovery import USUAL, Pace, Recovery
from lib.training.shards import processes_to_start

DRAW = "lib.plotting.examples:draw_examples"


def run(params: dict[str, Any], paths: Paths, pace: Pace = USUAL) -> None:
    """Run the stage; `pace` is how often states are written."""
    own = section(FinetuneParams, "finetune", params)
    path = paths.root / own.checkpoint
    if path != paths.pretrained and not path.exists():
        raise UserError(f"params.yaml: finetune.checkpoint = {own.checkpoint!r}: there is no such file")
    if own.enabled:
        _finetune(Finetuning.read(params), path, Inputs.of(params, paths.root), paths, pace)
    elif Group.of_environment().first:
        pretrained = load(path)
        _write(Finetuned(pretrained, pd.DataFrame(columns=pd.Index(CURVES)), {"enabled": False}, {}, {}), paths)


def _finetune(chosen: Finetuning, path: Path, inputs: Inputs, paths: Paths, pace: Pace) -> None:
    """Fine-tune, or start the processes that do."""
    count = processes_to_start(chosen.training)
    if count > 1:
        run_workers(["stages.finetune"], count)
        return
    pretrained, console = load(path), Console()
    if not Group.of_environment().first:
        finetune(chosen, pretrained, paths.poses, NoBoard(), Console(quiet=True))
        return
    require_file(paths.poses, "run `dvc repro preprocess` first")
    files = {"checkpoint": sha256(path), "poses": sha256(paths.poses)}
    states, determining = paths.states("finetune"), {**chosen.run(), **files}
    with Recovery(states, determining, console.announce, pace, inputs.check) as recovery:
        board, resume = Board(paths.logs, "finetune", DRAW), recovery.latest()
        result = finetune(chosen, pretrained, paths.poses, board, console, resume, recovery.offer)
        inputs.check()
        _write(result, paths)
        with dispensable(paths.speed("finetune"), console.announce):
            write_json(paths.speed("finetune"), {**result.speed, **result.times})
        recovery.finish()


def _write(result: Finetuned, paths: Paths) -> None:
    save(result.checkpoint, paths.finetuned)
    with replacing(paths.plot("finetuning.csv")) as temporary:
        result.curves.to_csv(temporary, index=False)
    write_json(paths.metrics("finetune"), result.metrics)


if __name__ == "__main__":
    no_options(__doc__)
    main(run, lower="finetune.batch_size")
