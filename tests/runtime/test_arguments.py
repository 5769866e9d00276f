"""Words after commands."""

import re
import sys

import pytest

from lib.runtime.arguments import Parser, no_options
from tests import contract

STAGES = sorted(path for path in contract.ROOT.glob("stages/*.py") if path.name != "__init__.py")


def test_every_command_answers_help_before_it_does_anything() -> None:
    for path in STAGES:
        source = path.read_text(encoding="utf-8")
        begins = source.split('if __name__ == "__main__":\n')[1]
        assert "Parser(" in source or begins.startswith("    no_options(__doc__)\n"), path.name


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["--epochs", "3"], 2), (["sample"], 2)])
def test_a_command_without_options_takes_no_words(
    words: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["stages/pretrain.py", *words])
    with pytest.raises(SystemExit) as ended:
        no_options("Train a lifter.")
    said = capsys.readouterr()
    assert ended.value.code == code
    assert ("Train a lifter." in said.out) is (code == 0)
    assert code == 0 or re.fullmatch(r"error: unrecognized arguments: .*stages\.pretrain --help.*\n", said.err)


def test_help_keeps_paragraphs() -> None:
    text = Parser("python -m stages.x", "One\nline.\n\nAnother paragraph.").format_help()
    assert "One line.\n\nAnother paragraph.\n" in text
