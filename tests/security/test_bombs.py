"""Small files that claim more than a machine has end in a line, with 400 MB to spare and within seconds."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests import contract
from tests.security.bombs import BOMBS

pytestmark = [
    pytest.mark.hostile,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is taken away by RLIMIT_AS"),
]
READ = {"labels of 100 GB"}  # of one frame, which is left out


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.security.bombs", str(tmp_path_factory.mktemp("bombs"))]
    done = subprocess.run(command, cwd=contract.ROOT, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row["what"]: row for row in rows}


@pytest.mark.parametrize("what", BOMBS)
def test_it_is_one_line_with_little_memory(what: str, results: dict[str, Any]) -> None:
    row = results[what]
    assert row["line"].startswith("error: ") or (what in READ and row["line"] == "was read")
    assert row["line"].isprintable() and "MemoryError" not in row["line"]
    assert row["megabytes"] < 300 and row["seconds"] < 10
