"""Tune params: python -m stages.sweep SPACE.yaml --trials N [--name NAME] [--objective STAGE.METRIC] [--maximize].

SPACE.yaml has keys of params.yaml with {low, high, log}, {low, high, step} or {choices}. Each trial is an experiment of
DVC, NAME-000 and so on, run beside the workspace (`dvc exp run --temp`). The same command continues
a sweep that was interrupted, up to N trials. Writes data/scratch/sweeps/NAME.db and plots/sweep_NAME.png.
"""

import argparse
import sys
from functools import partial
from typing import Any

from lib.experiments.space import Space, ends, measured_otherwise, read_space
from lib.experiments.sweep import Goal, Sweep, describe, open_sweep
from lib.experiments.variants import Changes, changed
from lib.objectives.catalog import OBJECTIVES
from lib.pipeline.overrides import check_changes, copied, experiment, metric_of
from lib.plotting.sweep import sweep_figure
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive

VALIDATION_LOSS = "pretrain.validation_loss"
WITHOUT_LABELS = (VALIDATION_LOSS, "evaluate.stated_error_mm")


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Run the trials that are missing, print the table and draw it."""
    console, space = Console(), read_space(arguments.space)
    name = arguments.name or arguments.space.stem
    goal = Goal(*_metric(arguments.objective), arguments.maximize)
    check = partial(check_changes, params=params, where=str(arguments.space))
    for change in ends(space):
        check(change)
    _check_goal(space, goal, params, console)

    def trial(changes: Changes, called: str) -> float | None:
        own = copied(changed(params, changes), paths)
        code = experiment(changes, paths.root, ["--temp", "--name", called, *own, goal.stage])
        return None if code else metric_of(called, goal.stage, goal.key, paths.root)

    path = paths.root / "data" / "scratch" / "sweeps" / f"{name}.db"
    with open_sweep(path, space, goal, params["seed"]) as sweep:
        try:
            sweep.go_on(arguments.trials, check, trial, console.announce)
        except KeyboardInterrupt:
            sys.exit(f"stopped after {len(sweep.trials)} trials: the same command goes on")
        finally:
            _show(sweep, goal, console, paths)


def _check_goal(space: Space, goal: Goal, params: dict[str, Any], console: Console) -> None:
    """Refuse what cannot be compared, and say where labels choose."""
    if str(goal) == VALIDATION_LOSS and (keys := measured_otherwise(space)):
        raise UserError(
            f"{', '.join(keys)} decides what the validation loss measures, so that trials cannot be compared by it: "
            "leave it out, or name a metric, such as --objective evaluate.p_mpjpe_mm, which uses labels"
        )
    if str(goal) not in WITHOUT_LABELS or OBJECTIVES[params["training"]["objective"]].labels:
        whose = "the test" if goal.stage == "evaluate" else "the validation"
        console.announce(f"WARNING: {goal} uses labels of {whose} subjects: what is chosen by it fits them, in part")


def _show(sweep: Sweep, goal: Goal, console: Console, paths: Paths) -> None:
    trials, best = sweep.trials, sweep.best
    if best is None:
        return
    sign = -1 if goal.maximize else 1
    ranked = sorted(trials, key=lambda one: float("inf") if one.value is None else sign * one.value)
    rows = [(one.name, "failed" if one.value is None else f"{one.value:.5g}", describe(one.changes)) for one in ranked]
    console.table(("experiment", str(goal), "values"), rows)
    importance = sweep.importance()
    for key, share in importance.items():
        console.announce(f"importance of {key}: {share:.2f}")
    tried = {key: [one.changes.get(key) for one in trials] for key in sweep.space}
    figure = sweep_figure([one.value for one in trials], tried, importance, str(goal), goal.maximize)
    path = paths.plot(f"sweep_{sweep.name}.png")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
    console.announce(f"drawn into {path}; the best is {best.name}: dvc exp apply {best.name}")


def _metric(text: str) -> tuple[str, str]:
    stage, _, key = text.partition(".")
    if not key or stage not in ("pretrain", "finetune", "evaluate"):
        raise UserError(f"--objective {text}: must be STAGE.METRIC, of metrics/STAGE.json, such as {VALIDATION_LOSS}")
    return stage, key


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.sweep", description=__doc__)
    parser.add_argument("space", type=named_path, metavar="SPACE.yaml")
    parser.add_argument("--trials", type=positive(int), required=True, help="in all, including those of earlier calls")
    parser.add_argument("--name", help="of the sweep and its experiments; default: that of the file")
    parser.add_argument("--objective", default=VALIDATION_LOSS, help="a metric of a stage; default: %(default)s")
    parser.add_argument("--maximize", action="store_true", help="for metrics such as evaluate.pck_150")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
