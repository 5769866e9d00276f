"""params.yaml -> frozen, validated sections.

Each concept's section class stands beside the code it configures and derives from `Section`; a stage asks for the
sections it needs. Validation is strict, so that a typo on the command line (`-S training.learning=1`) is an error and
never a silently ignored key.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from lib.runtime.errors import UserError

SectionT = TypeVar("SectionT", bound="Section")


class Section(BaseModel):
    """A mapping of params.yaml: frozen, no unknown keys, no conversion between types.

    `elsewhere` names keys of the same mapping that belong to other sections (`data.window` inside `data`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    elsewhere: ClassVar[frozenset[str]] = frozenset()


class _Yaml12Loader(yaml.SafeLoader):
    """PyYAML with the core schema of YAML 1.2, as DVC's own parser reads it: 5e-4 is a number and `on` a string."""

    yaml_implicit_resolvers = {}  # PyYAML keeps its YAML 1.1 rules here


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
    _Yaml12Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    """Integers as YAML 1.2 writes them: 010 is ten and 0o10 eight."""
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_Yaml12Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def read(path: Path) -> dict[str, Any]:
    """Read params.yaml as YAML 1.2.

    Raises:
        UserError: the file is missing, is no YAML or no mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Yaml12Loader)  # noqa: S506 - derives from SafeLoader
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's root, or restore it with git checkout") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping of sections, but is {content!r}")
    return content


def section(cls: type[SectionT], name: str, params: Mapping[str, Any]) -> SectionT:
    """Validate the mapping at the dotted `name` of params.yaml as a `cls`.

    Raises:
        UserError: naming the key, the value and what is allowed.
    """
    content: Any = params
    for depth, key in enumerate(name.split(".") if name else [], start=1):
        if not isinstance(content, Mapping) or key not in content:
            raise UserError(f"params.yaml: {'.'.join(name.split('.')[:depth])} is missing")
        content = content[key]
    if not isinstance(content, Mapping):
        raise UserError(f"params.yaml: {name} = {content!r} must be a mapping with {', '.join(cls.model_fields)}")
    own = {key: value for key, value in content.items() if key not in cls.elsewhere}
    try:
        # Through JSON, in which pydantic's strict mode takes a list for a tuple, as YAML writes it.
        return cls.model_validate_json(json.dumps(own))
    except ValidationError as error:
        lines = [_describe(dict(detail), name, cls) for detail in error.errors()]
        raise UserError("; ".join(dict.fromkeys(lines))) from None


def _describe(detail: dict[str, Any], name: str, cls: type[Section]) -> str:
    """One validation error as `params.yaml: key = value: what is allowed`."""
    location = [str(part) for part in detail["loc"]]
    key = ".".join(filter(None, [name, *location]))
    if detail["type"] == "extra_forbidden":
        owner: Any = cls
        for part in location[:-1]:
            owner = owner.model_fields[part].annotation if part in getattr(owner, "model_fields", {}) else None
        known = ", ".join(getattr(owner, "model_fields", {}))
        return f"params.yaml: {key} is not a known key" + (f"; known: {known}" if known else "")
    if detail["type"] == "missing":
        return f"params.yaml: {key} is missing"
    allowed = detail["msg"].removeprefix("Value error, ")
    allowed = allowed[:1].lower() + allowed[1:]
    whole = isinstance(detail["input"], Mapping) and detail["type"] == "value_error"  # the values are in the message
    return f"params.yaml: {key}: {allowed}" if whole else f"params.yaml: {key} = {detail['input']!r}: {allowed}"
