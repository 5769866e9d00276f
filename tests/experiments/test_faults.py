"""The bench that kills processes, on a made-up pipeline: it strikes when it should, and sees what is not the same."""

import os
import random
from itertools import chain, repeat
from pathlib import Path

import pytest

from lib.experiments import faults
from lib.experiments.faults import ANY, OUTPUT, STAGES, STATE, Kill, Moment, Outcome
from lib.runtime.errors import UserError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="no SIGKILL")
# Counts to 8, of which it writes a state each time; its output is all that it has counted.
STAGE = """
import os, pathlib, sys, time
stage, outputs = sys.argv[1], {outputs}
state = pathlib.Path("data/scratch", stage, "run", "state.pt")

def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{{os.getpid()}}.{{path.name}}")
    with temporary.open("w") as file:
        for letter in text:
            file.write(letter)
            file.flush()
            time.sleep({pause})
    os.replace(temporary, path)

counted = state.read_text().split() if state.exists() else []
for number in range(len(counted) + {forgotten}, 8):
    counted.append(str(number))
    write(state, " ".join(counted))
write(pathlib.Path(outputs[stage][0]), " ".join(counted))
"""


def bench(
    tmp_path: Path, patch: pytest.MonkeyPatch, moments: list[Moment], forgotten: str = "0"
) -> tuple[Outcome, list[str]]:
    """The outcome of kills at moments of a pipeline, and what was said."""

    def prepare(project: Path, params: object, root: Path, through_dvc: bool) -> None:
        root.mkdir()
        (root / "often.py").write_text(STAGE.format(outputs=dict(STAGES), pause=0.01, forgotten=forgotten))

    rest = {
        stage: chain([moment for moment in moments if moment.stage == stage], repeat(Moment(stage, ANY, "stage", 99.0)))
        for stage in STAGES
    }
    patch.setattr(faults, "_prepare", prepare)
    patch.setattr(faults, "_moments", lambda *_: rest)
    said: list[str] = []
    return faults.faults(Path(), {}, tmp_path, len(moments), 0, said.append, False, ("pretrain", "finetune")), said


def test_kills_strike_while_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [
        Moment("pretrain", STATE, "stage", 0.0, 2),
        Moment("pretrain", OUTPUT, "stage", 0.3),
        Moment("finetune", ANY, "stage", 0.5),
    ]
    outcome, said = bench(tmp_path, monkeypatch, moments)
    assert outcome.differing == [] and outcome.refused == 0
    assert [kill[1:4] for kill in outcome.kills] == [moment[:3] for moment in moments]
    assert outcome.kills[0].bytes > 0 and outcome.kills[1].bytes >= 5
    assert said[-1] == "round 1: every output byte-identical"


def test_a_run_that_goes_on_in_another_way_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [Moment("pretrain", OUTPUT, "stage", 0.3)]
    outcome, said = bench(tmp_path, monkeypatch, moments, forgotten="(len(counted) and -1)")
    assert outcome.differing == ["round 1: data/models/pretrained.pt"]
    assert said[-1] == "round 1: DIFFERENT: data/models/pretrained.pt"


def test_a_stage_that_fails_by_itself_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="^pretrain failed in .*ZeroDivisionError"):
        bench(tmp_path, monkeypatch, [], forgotten="1 // 0")


def test_all_kinds_of_moments_of_every_stage_come_up() -> None:
    drawn = faults._moments(random.Random(0), True, ("preprocess", "pretrain"))
    some = [next(drawn[stage]) for stage in drawn for _ in range(40)]
    assert {moment.kind for moment in some if moment.stage == "preprocess"} == {ANY, OUTPUT}
    assert {moment.kind for moment in some if moment.stage == "pretrain"} == {ANY, OUTPUT, STATE}
    assert {moment.victim for moment in some} == {"stage", "dvc", "both"}


def test_without_the_sample_there_is_nothing_to_kill(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `dvc repro download` first"):
        faults.faults(tmp_path, {}, tmp_path / "work", 2, 0, print)


def test_a_row_of_the_table_is_a_kill() -> None:
    assert Kill._fields == ("round", "stage", "kind", "victim", "seconds", "bytes")
