"""Tuning by Optuna: trials one after the other, remembered in a file, so that a sweep goes on whatever ended it."""

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from lib.experiments.space import Choices, Range, Space, dump_space
from lib.experiments.variants import Changes
from lib.runtime.errors import UserError

STARTUP = 5  # trials at random, before what they say is used
FEWEST = 4  # trials that say anything about which param matters
BEST, LEAST_SHARE = (
    4,
    0.1,
)  # trials, and the share of all, that count as the best when it is asked what they have in common
Run = Callable[[Changes, str], float | None]  # values and a name -> the objective, None if it failed


class Goal(NamedTuple):
    """The metric that is tuned."""

    stage: str  # whose metrics/STAGE.json has it
    key: str
    maximize: bool = False

    def __str__(self) -> str:
        return f"{self.stage}.{self.key}"


class Trial(NamedTuple):
    """One run of a sweep."""

    name: str
    changes: dict[str, object]
    value: float | None  # None: it failed


class Sweep:
    """A sweep in the file `path`, of experiments called NAME-000 and so on; `open_sweep` makes one."""

    def __init__(self, study: Any, name: str, space: Space) -> None:
        self._study, self.name, self.space = study, name, space

    @property
    def trials(self) -> list[Trial]:
        """Those that ended, in their order; what was interrupted is tried again, and none of them."""
        found = []
        for trial in self._study.trials:
            if trial.state.is_finished() and "interrupted" not in trial.user_attrs:
                found.append(Trial(self._name(trial.number), self._changes(trial.params), trial.value))
        return found

    @property
    def best(self) -> Trial | None:
        """The best of those that did not fail."""
        done = [trial for trial in self.trials if trial.value is not None]
        sign = -1 if self._study.direction.name == "MAXIMIZE" else 1
        return min(done, key=lambda trial: sign * (trial.value or 0.0)) if done else None

    def go_on(self, trials: int, check: Callable[[Changes], None], run: Run, announce: Callable[[str], None]) -> None:
        """Try until there are so many trials; one that fails, or that `check` refuses, counts, and the rest go on.

        Raises:
            KeyboardInterrupt: as it came; the trial that it interrupted is the next one's.
        """
        for trial in self._study.trials:
            if not trial.state.is_finished() and trial.params:  # of a process that was killed
                self._interrupted(trial)
        distributions = {key: _distribution(part) for key, part in self.space.items()}
        while (done := len(self.trials)) < trials:
            trial = self._study.ask(distributions)
            changes, name = self._changes(trial.params), self._name(trial.number)
            announce(f"trial {done + 1} of {trials}, {name}: {describe(changes)}")
            try:
                check(changes)
                value = run(changes, name)
            except UserError as error:
                announce(str(error))
                value = None
            except KeyboardInterrupt:
                self._interrupted(trial)
                raise
            if value is None:
                announce(f"{name} failed, and the sweep goes on")
                self._study.tell(trial, state=_optuna().trial.TrialState.FAIL)
            else:
                announce(f"{name}: {value:.6g}")
                self._study.tell(trial, value)

    def importance(self) -> dict[str, float]:
        """How much each key matters for being among the best, in shares of 1; nothing after few trials."""
        done = sum(trial.value is not None for trial in self.trials)
        if done < FEWEST:
            return {}
        module = _optuna().importance
        evaluator = module.PedAnovaImportanceEvaluator(target_quantile=max(LEAST_SHARE, min(0.5, BEST / done)))
        found = module.get_param_importances(self._study, evaluator=evaluator)
        return {key: float(value) for key, value in found.items()}

    def _interrupted(self, trial: Any) -> None:
        self._study.enqueue_trial(trial.params)
        number = trial._trial_id
        self._study._storage.set_trial_user_attr(number, "interrupted", True)
        self._study.tell(trial.number, state=_optuna().trial.TrialState.FAIL)

    def _name(self, number: int) -> str:
        return f"{self.name}-{number:03d}"

    def _changes(self, values: Mapping[str, Any]) -> dict[str, object]:
        """Values by their keys in the space's order, of which choices are written as JSON."""
        return {
            key: json.loads(values[key]) if isinstance(part, Choices) else values[key]
            for key, part in self.space.items()
            if key in values
        }


@contextmanager
def open_sweep(path: Path, space: Space, goal: Goal, seed: int) -> Iterator[Sweep]:
    """Begin or go on with the sweep of a file, whose name is its own; one process at a time.

    Raises:
        UserError: it is of another space or objective, another process has it, or Optuna is not installed.
    """
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"the sweep {path.stem} is on in another process: wait, or choose another --name") from None
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name=path.stem,
            direction="maximize" if goal.maximize else "minimize",
            load_if_exists=True,
        )
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed + len(study.trials))
        kept, asked = study.user_attrs, {"space": dump_space(space), "objective": str(goal)}
        for what, value in asked.items():
            if kept.get(what, value) != value:
                raise UserError(f"the sweep {path.stem} has another {what}, {kept[what]}: choose another --name")
            study.set_user_attr(what, value)
        yield Sweep(study, path.stem, space)
    finally:
        lock.release()


def describe(changes: Changes) -> str:
    """Values in a line."""
    return ", ".join(f"{key} {_short(value)}" for key, value in changes.items())


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _distribution(part: Range | Choices) -> Any:
    kinds = _optuna().distributions
    if isinstance(part, Choices):
        return kinds.CategoricalDistribution([json.dumps(value) for value in part.choices])
    if part.whole:
        return kinds.IntDistribution(part.low, part.high, log=part.log, step=part.step or 1)
    return kinds.FloatDistribution(part.low, part.high, log=part.log, step=part.step)


def _optuna() -> Any:
    try:
        return importlib.import_module("optuna")
    except ImportError:
        raise UserError("tuning needs packages of its own: pip install -r requirements-tuning.txt") from None
