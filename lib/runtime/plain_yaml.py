"""YAML 1.2 of mappings, lists, text, numbers, true, false and null: what params.yaml is made of, and no more.

A file is text that somebody else may have written, so its size, its depth and what its anchors expand to are bounded,
and whatever is wrong with it is one `UserError` with the number of the line.
"""

import math
import re
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lib.runtime.errors import UserError

MAX_BYTES = 100_000
MAX_DEPTH = 100
MAX_VALUES = 10_000  # with what aliases stand for
MAX_NUMBER = 100  # characters
SHOWN = 40  # characters of a key or value in a message
_PREFIX = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """PyYAML with the core schema of YAML 1.2, as DVC's own parser reads it: 5e-4 is a number and `on` a string."""

    yaml_implicit_resolvers = {}  # PyYAML keeps its YAML 1.1 rules here
    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """As PyYAML does it, which recurses without a bound."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.get_mark()
            raise yaml.MarkedYAMLError(problem=f"nested more than {MAX_DEPTH} deep", problem_mark=mark)
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"{_PREFIX}{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def load(path: Path) -> Any:
    """Read a file.

    Raises:
        UserError: it is too large, is not UTF-8, is no YAML, or says something that is not plain.
        OSError: it cannot be read.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, _Loader)
        return None if node is None else _Reader(str(path)).value(node, "")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, [error.context, error.problem]))
        raise UserError(f"{path}{_line(mark)}: not valid YAML: {' '.join(what.split())}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{path}, line {line}: not valid YAML: it has a character that no text should have") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UserError(f"{path} has more than {MAX_BYTES:,} bytes: this is not a file of params")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8 text: save the file as UTF-8 in your editor") from None


class _Reader:
    """Nodes -> plain values; aliases are expanded, and counted."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values = 0
        self.open: list[Node] = []  # those that the current one lies in, which it must not name

    def value(self, node: Node, key: str) -> Any:
        """The value of a node at a dotted key."""
        self.values += 1
        if self.values > MAX_VALUES:
            raise self._error(node, f"its anchors stand for more than {MAX_VALUES:,} values")
        if any(node is outer for outer in self.open):
            raise self._error(node, f"{key or 'the file'} has an alias for what it stands in, without end")
        if len(self.open) >= MAX_DEPTH:
            raise self._error(node, f"{key or 'the file'} is nested more than {MAX_DEPTH} deep")
        if isinstance(node, ScalarNode):
            return self._scalar(node, key)
        self.open.append(node)
        try:
            if isinstance(node, SequenceNode) and node.tag == f"{_PREFIX}seq":
                return [self.value(item, f"{key}[{index}]") for index, item in enumerate(node.value)]
            if isinstance(node, MappingNode) and node.tag == f"{_PREFIX}map":
                return self._mapping(node, key)
        finally:
            self.open.pop()
        raise self._tagged(node, key)

    def _mapping(self, node: MappingNode, key: str) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for name_node, value_node in node.value:
            name, line = self._name(name_node, key), name_node.start_mark.line + 1
            if name in lines:
                raise self._error(
                    name_node, f"{_dotted(key, name)} is there twice, first on line {lines[name]}: delete one of them"
                )
            lines[name] = line
            if name_node.tag == f"{_PREFIX}merge":
                merged = self._merged(value_node, key)
            else:
                own[name] = self.value(value_node, _dotted(key, name))
        return merged | own

    def _name(self, node: Node, key: str) -> str:
        """The text of a key."""
        if not isinstance(node, ScalarNode) or node.tag not in (f"{_PREFIX}str", f"{_PREFIX}merge"):
            shown = _short(str(node.value)) if isinstance(node, ScalarNode) else "that is no text"
            raise self._error(node, f"the key {shown} in {key or 'the file'} must be text: write it in quotes")
        return str(self._scalar(node, key)) if node.tag == f"{_PREFIX}str" else "<<"

    def _merged(self, node: Node, key: str) -> dict[str, Any]:
        """What `<<` takes over: of several mappings, the first one that has a key."""
        merged: dict[str, Any] = {}
        for source in reversed(node.value) if isinstance(node, SequenceNode) else [node]:
            content = self.value(source, _dotted(key, "<<"))
            if not isinstance(content, dict):
                raise self._error(source, f"<< in {key or 'the file'} must take over a mapping")
            merged |= content
        return merged

    def _scalar(self, node: ScalarNode, key: str) -> str | int | float | bool | None:
        kind, text = node.tag.removeprefix(_PREFIX), node.value
        if kind in ("int", "float") and len(text) > MAX_NUMBER:
            raise self._error(node, f"{key} = {_short(text)} has more than {MAX_NUMBER} digits")
        try:
            text.encode()
            value: str | int | float | bool | None = _SCALARS[kind](text)
            return value
        except UnicodeEncodeError:  # half of a surrogate pair, which an escape in quotes can write
            raise self._error(node, f"{key or 'the file'} has a character that no text should have") from None
        except KeyError:
            raise self._tagged(node, key) from None
        except ValueError:
            raise self._error(node, f"{key} = {_short(text)} is not what its tag !!{kind} says") from None

    def _tagged(self, node: Node, key: str) -> UserError:
        tag = _short(node.tag.replace(_PREFIX, "!!"))
        plain = "write a mapping, a list, text, a number, true or false"
        return self._error(node, f"{key or 'the file'} has the tag {tag}: {plain}")

    def _error(self, node: Node, what: str) -> UserError:
        return UserError(f"{self.file}{_line(node.start_mark)}: {what}")


def _integer(text: str) -> int:
    """Integers as YAML 1.2 writes them: 010 is ten and 0o10 eight."""
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _float(text: str) -> float:
    special = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
    return special[text.lower()] if text.lower() in special else float(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):  # what a tag says is one
        raise ValueError(text)
    return text.lower() == "true"


_SCALARS: dict[str, Any] = {
    "str": str,
    "int": _integer,
    "float": _float,
    "bool": _boolean,
    "null": lambda text: None,
    "merge": str,
}


def _dotted(key: str, name: str) -> str:
    shown = name if re.fullmatch(r"[\w<-]+", name) and len(name) <= SHOWN else _short(name)
    return f"{key}.{shown}" if key else shown


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")


def _line(mark: "yaml.Mark | None") -> str:
    return "" if mark is None else f", line {mark.line + 1}"
