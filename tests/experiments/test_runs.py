"""What makes a run of a table a run of its own."""

import copy
from pathlib import Path

import pytest

from lib.experiments.runs import code_hash, deciding, short_hash
from tests.settings import PARAMS


@pytest.mark.parametrize(
    ("key", "value", "counts"),
    [
        ("training.lr", 1e-9, True),
        ("model.transformer.small.width", 8, True),
        ("evaluation.flip", False, True),
        ("model.vit.small.width", 8, False),  # another network than the chosen one
        ("visualize.dpi", 51, False),
        ("training.device", "mps", False),
        ("evaluation.batch_size", 1, False),
    ],
)
def test_only_params_that_decide_figures_count(key: str, value: object, counts: bool) -> None:
    params = copy.deepcopy(PARAMS)
    *sections, last = key.split(".")
    place = params
    for name in sections:
        place = place[name]
    assert place[last] != value
    place[last] = value
    assert (short_hash(deciding(params)) != short_hash(deciding(PARAMS))) == counts


def test_comments_and_pictures_are_no_other_code(tmp_path: Path) -> None:
    files = {"models/a.py": "def f(x):\n    return x\n", "plotting/b.py": "A = 1\n", "sources/c.json": "{}"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    known = code_hash(tmp_path)
    (tmp_path / "plotting/b.py").write_text("A = 2\n")
    (tmp_path / "models/a.py").write_text('"""A module."""\n\n\ndef f(x):  # the same\n    """It."""\n    return (x)\n')
    assert code_hash(tmp_path) == known
    (tmp_path / "sources/c.json").write_text("[]")
    assert code_hash(tmp_path) != known
    (tmp_path / "sources/c.json").write_text("{}")
    (tmp_path / "models/a.py").write_text("def f(x):\n    return -x\n")
    assert code_hash(tmp_path) != known
