"""What short runs learn at a fixed seed, in windows of the default length: a refactoring must not change it."""

import json
from pathlib import Path

import pytest

from tests import golden

GOLDEN = json.loads(golden.FILE.read_text())


@pytest.mark.parametrize("name", golden.RUNS)
def test_golden_runs(name: str, tmp_path: Path) -> None:
    run, known = golden.golden_run(name, tmp_path), GOLDEN["runs"][name]
    assert run["losses"] == pytest.approx(known["losses"], rel=2e-3)
    if golden.machine() == GOLDEN["machine"]:
        assert run["weights"] == known["weights"], "weights changed: python -m tests.golden"
