"""Train a lifter on the 2D of the training subjects and on the anatomical prior: no 3D label is opened.

Reads the store of preprocess; writes the checkpoint, metrics/pretrain.json and plots/training.csv, and beside them
TensorBoard's logs and data/logs/pretrain_speed.json. A run that was stopped goes on from its last state in
data/scratch/pretrain, unless something that determines it has changed; of one that ended, last_state.pt is there. With
`training.devices`, or under torchrun, several processes train together, of which the first one writes.
"""

from typing import Any

import pandas as pd

from lib.models.checkpoints import load, save
from lib.runtime.arguments import no_options
from lib.runtime.console import Console
from lib.runtime.files import dispensable, replacing, require_file, sha256, write_json
from lib.runtime.group import Group
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.runtime.tensorboard import Board, NoBoard
from lib.runtime.unchanged import Inputs
from lib.runtime.workers import run_workers
from lib.training.params import NONE
from lib.training.pretraining import PretrainParams, pretrain
from lib.training.recovery import USUAL, Pace, Recovery
from lib.training.shards import processes_to_start
from lib.training.state import TrainingState, check_same_run, load_state

DRAW = "lib.plotting.examples:draw_examples"
EMBED = "lib.inference.latents:embed"
DATA = "data/processed/poses.h5"  # a key beside those of params.yaml


def run(params: dict[str, Any], paths: Paths, pace: Pace = USUAL) -> None:
    """Run the stage; `pace` is how often states are written."""
    chosen = PretrainParams.read(params)
    count = processes_to_start(chosen.training)
    if count > 1:
        run_workers(["stages.pretrain"], count)
        return
    origin = chosen.training.start
    start = None if origin == NONE else load(paths.start(origin), "generalist")
    if not Group.of_environment().first:
        pretrain(chosen, paths.poses, NoBoard(), Console(quiet=True), start=start)
        return
    inputs, resume, console = Inputs.of(params, paths.root), _resumed(chosen, paths), Console()
    states, determining = paths.states("pretrain"), run_of(chosen, paths)
    with Recovery(states, determining, console.announce, pace, inputs.check) as recovery:
        result = pretrain(
            chosen,
            paths.poses,
            Board(paths.logs, "pretrain", DRAW, EMBED),
            console,
            start=start,
            resume=recovery.latest() or resume,
            offer_state=recovery.offer,
        )
        inputs.check()
        save(result.checkpoint, paths.pretrained)
        with replacing(paths.plot("training.csv")) as temporary:
            pd.DataFrame(result.curves).to_csv(temporary, index=False)
        write_json(paths.metrics("pretrain"), result.metrics)
        with dispensable(paths.speed("pretrain"), console.announce):
            write_json(paths.speed("pretrain"), {**result.speed, **result.times})
        recovery.finish()


def run_of(chosen: PretrainParams, paths: Paths) -> dict[str, Any]:
    """What determines the run: params, and hashes of the files that it reads."""
    require_file(paths.poses, "run `dvc repro preprocess` first")
    training, files = chosen.training, {DATA: sha256(paths.poses)}
    if training.start != NONE:
        files[f"data/starts/{training.start}"] = sha256(paths.start(training.start))
    if training.resume != NONE:
        files["training.resume"] = sha256(paths.start(training.resume))
    return {**chosen.run(), **files}


def _resumed(chosen: PretrainParams, paths: Paths) -> TrainingState | None:
    """The state that `training.resume` names."""
    training = chosen.training
    if training.resume == NONE:
        return None
    state, saved = load_state(paths.start(training.resume))
    check_same_run(saved, run_of(chosen, paths), state.progress.step)
    if saved["training.epochs"] != training.epochs and training.schedule.depends_on_length:
        Console().announce(
            f"the state is of a run of {saved['training.epochs']} epochs: from here on, rates are those of "
            f"{training.epochs} epochs, so that the result is that of neither"
        )
    return state


if __name__ == "__main__":
    no_options(__doc__)
    main(run, lower="training.batch_size, training.prior_batch_size or model.size")
