"""Words after a command: what does not fit is one line, and not a page of usage."""

import argparse
import difflib
import re
import sys
from pathlib import Path
from typing import NoReturn


class _Paragraphs(argparse.HelpFormatter):
    """argparse's, which leaves a description's paragraphs apart."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n\n".join(fill(paragraph, width, indent) for paragraph in text.split("\n\n"))


class Parser(argparse.ArgumentParser):
    """argparse's, whose errors are one line that says how to see what there is."""

    def __init__(self, prog: str, description: str | None) -> None:
        super().__init__(prog, description=description, formatter_class=_Paragraphs)

    def error(self, message: str) -> NoReturn:
        """Print the line and end with exit code 2; of a word that is no option, it names the one that is like it."""
        known = [word for word in self._option_string_actions if word.startswith("--")]
        unknown = re.search(r"unrecognized arguments: .*?(--[\w-]+)", message)
        like = difflib.get_close_matches(unknown[1], known, 1) if unknown else []
        meant = f": did you mean {like[0]}?" if like else ""
        self.exit(2, f"error: {message}{meant} (`{self.prog} --help` says what there is)\n")


def no_options(description: str | None) -> None:
    """Answer --help, and refuse all other words, for a command that takes none."""
    Parser(f"python -m stages.{Path(sys.argv[0]).stem}", description).parse_args()


def named_path(text: str) -> Path:
    """A path that has a name: of no text, as of an empty variable of a shell, Path makes the current folder.

    Raises:
        argparse.ArgumentTypeError: it has none.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty: name a file or a folder")
    return Path(text)
