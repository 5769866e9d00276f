"""No param is inert: changing any param of a stage changes what the stage does."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from lib.runtime.params import read
from tests import contract
from tests.param_cases import CASES, ELSEWHERE, REFUSED
from tests.param_runs import Runs, make_quick, params_with
from tests.pipeline.test_sections import at, keys
from tests.settings import PARAMS

KEYS = tuple(keys(read(contract.ROOT / "params.yaml")))


class Spy(NamedTuple):
    """Where a param arrives that decides how fast or where a stage runs, and by design not what it makes."""

    other: Any
    place: str  # a function ...
    seen: Callable[..., Any]  # ... and which of its arguments is the param's value
    reason: str


def _of_training(module: str) -> dict[str, Spy]:
    stage = {"pretraining": "pretrain", "finetuning": "finetune"}[module]
    processes = f"stages.{stage}.processes_to_start"
    hardware, loader = f"lib.training.{module}.Hardware.prepare", "lib.data.windows.DataLoader"
    return {
        "training.device": Spy("cuda:7", hardware, lambda device, *_: device, "where it runs: here, there is a CPU"),
        "training.devices": Spy("auto", processes, lambda training: training.devices, "who does it"),
        "training.precision": Spy("16-mixed", hardware, lambda *given: given[1], "CPUs may have 32-true alone"),
        "training.threads": Spy(2, hardware, lambda *given: given[2], "how fast it runs"),
        "data.loader.workers": Spy(1, loader, lambda *_, num_workers, **__: num_workers, "how fast it runs"),
    }


SPIES = {
    "pretrain": _of_training("pretraining"),
    "finetune": _of_training("finetuning"),
    "evaluate": {
        "evaluation.device": Spy("cuda:7", "stages.evaluate.resolve_device", lambda name: name, "where it runs"),
        "evaluation.batch_size": Spy(
            7, "lib.inference.lifter.lift_poses", lambda _, crops, __: len(crops.scale), "how fast it runs"
        ),
    },
}
TESTED = {stage: set(cases) | set(SPIES.get(stage, ())) for stage, cases in CASES.items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        yield Runs(tmp_path_factory.mktemp("runs"))


def test_the_tests_params_have_the_keys_of_params_yaml() -> None:
    assert set(keys(PARAMS)) == set(KEYS), "tests/params.yaml is a copy of params.yaml: give it the same keys"


@pytest.mark.parametrize("key", KEYS)
def test_every_param_has_a_case(key: str) -> None:
    assert any(key in tested for tested in TESTED.values()), (
        f"{key} of params.yaml: say in tests/param_cases.py how it acts"
    )


@pytest.mark.parametrize("stage", CASES)
def test_every_param_of_a_stage_has_a_case_in_it(stage: str) -> None:
    declared = contract.declared_params(contract.stages()[stage])
    # Any network and size can be chosen.
    declared = {"model" if name.startswith("model.") else name for name in declared}
    own = {key for key in KEYS if any(contract.covers(name, key) for name in declared)}
    assert own == TESTED[stage] | set(ELSEWHERE.get(stage, ()))


@pytest.mark.parametrize(
    ("stage", "context"),
    sorted(
        {(stage, context) for stage, cases in CASES.items() for case in cases.values() for context in case.contexts}
    ),
)
def test_the_same_params_do_the_same(stage: str, context: str, runs: Runs) -> None:
    """Else any change would seem to act."""
    assert runs.product(stage, context, {}) == runs.run(stage, params_with(context, {}))


@pytest.mark.parametrize(
    ("stage", "key", "other", "context"),
    [
        pytest.param(stage, key, other, context, id=f"{stage} {key}={other} ({context})")
        for stage, cases in CASES.items()
        for key, case in cases.items()
        for other in case.others
        for context in case.contexts
    ],
)
def test_changing_a_param_changes_what_its_stage_does(
    stage: str, key: str, other: Any, context: str, runs: Runs
) -> None:
    assert at(params_with(context, {}), key) != other, "the other value is no other"
    before, after = (runs.product(stage, context, changes) for changes in ({}, {key: other}))
    assert "error" not in before
    assert ("error" in after) == (key in REFUSED), after
    assert after != before, f"{key} is inert: {stage} does the same with {other} ({context})"


@pytest.mark.parametrize(("stage", "key"), [(stage, key) for stage, spies in SPIES.items() for key in spies])
def test_what_decides_only_speed_or_place_arrives_there(
    stage: str, key: str, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = SPIES[stage][key]

    class Seen(Exception):
        pass

    def stop(*arguments: Any, **named: Any) -> None:
        raise Seen(spy.seen(*arguments, **named))

    monkeypatch.setattr(spy.place, stop)
    seen = []
    for changes in ({}, {key: spy.other}):
        with pytest.raises(Seen) as found:
            runs.run(stage, params_with("lift", changes))
        seen.append(found.value.args[0])
    assert seen[0] != seen[1] == spy.other, f"{key} is inert in {stage}"


@pytest.mark.parametrize("stage", ELSEWHERE)
def test_what_is_said_to_act_in_other_stages_alone_does(stage: str, runs: Runs) -> None:
    """The list of exceptions has none too many."""
    changes = {key: elsewhere.other for key, elsewhere in ELSEWHERE[stage].items()}
    for key, other in changes.items():
        assert at(params_with("lift", {}), key) != other, f"{key}: the other value is no other"
        assert any(key in cases for name, cases in CASES.items() if name != stage), f"{key} acts nowhere"
    assert runs.product(stage, "lift", changes) == runs.product(stage, "lift", {})
