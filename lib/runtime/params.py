"""params.yaml -> frozen, validated sections.

Each concept's section class stands beside the code it configures and derives from `Section`; a stage asks for the
sections it needs, and lib/pipeline/sections.py checks all of them before anything runs. Validation is strict, so that a
typo on the command line (`-S training.learning=1`) is an error and never a silently ignored key.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lib.runtime import plain_yaml
from lib.runtime.allowed import Place, shown
from lib.runtime.errors import UserError

SectionT = TypeVar("SectionT", bound="Section")
MOST_SAID = 20  # mistakes in a section
# Words that several sections have.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="a name of letters, digits, _ and - alone")]
FileName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$", description="the name of a file of letters, digits, . _ and -"
    ),
]
DeviceName = Annotated[
    str, Field(pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,3})?)$", description="auto, cpu, mps, cuda or cuda:NUMBER")
]


class Section(BaseModel):
    """A mapping of params.yaml: frozen, no unknown keys, no conversion between types.

    `elsewhere` names keys of the same mapping that belong to other sections (`data.window` inside `data`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    elsewhere: ClassVar[frozenset[str]] = frozenset()


def read(path: Path) -> dict[str, Any]:
    """Read params.yaml as YAML 1.2.

    Raises:
        UserError: the file is missing, is not plain YAML or no mapping.
    """
    try:
        content = plain_yaml.load(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's root, or restore it with git checkout") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping, a line `key: value` each, but is {shown(content)}")
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
    return validated(cls, content, name)


def validated(cls: type[SectionT], content: Any, name: str, file: str = "params.yaml") -> SectionT:
    """Validate what a file has at the key `name` as a `cls`.

    Raises:
        UserError: naming the file, the key, the value and what is allowed.
    """
    if not isinstance(content, Mapping):
        what = f"{name} = {shown(content)}" if name else shown(content)
        raise UserError(f"{file}: {what} must be a mapping with {_known(cls)}")
    own = {key: value for key, value in content.items() if key not in cls.elsewhere}
    try:
        # Through JSON, in which pydantic's strict mode takes a list for a tuple, as YAML writes it.
        return cls.model_validate_json(json.dumps(own))
    except ValidationError as error:
        whole = Place.of(cls, name, own)
        wrong = error.errors()
        lines = [f"{file}: {_describe(part['type'], part['loc'], part['msg'], whole)}" for part in wrong[:MOST_SAID]]
        lines += [f"and {len(wrong) - MOST_SAID} more"] if len(wrong) > MOST_SAID else []
        raise UserError("; ".join(dict.fromkeys(lines))) from None


def _known(cls: type[Section]) -> str:
    return ", ".join([*cls.model_fields, *sorted(cls.elsewhere)])


def _describe(kind: str, location: tuple[int | str, ...], message: str, whole: Place) -> str:
    """One validation error as `key = value: what is allowed`, whatever pydantic calls it."""
    if kind == "extra_forbidden":
        owner = whole.inside(location[:-1])
        return f"{owner.key_of(location[-1])} is not a known key; known: {_known(owner.kind)}"
    if kind == "missing" and isinstance(location[-1], str):
        return f"{whole.inside(location[:-1]).key_of(location[-1])} is missing"
    # Of a list that is too short, pydantic says that its last values are missing.
    place = whole.inside(location[:-1] if kind == "missing" else location)
    if kind != "value_error":
        finite = " and finite" if kind == "finite_number" else ""
        return f"{place.key} = {shown(place.value)}: must be {place.allowed}{finite}"
    reason = message.removeprefix("Value error, ")  # of our own validators
    if isinstance(place.value, Mapping):  # whose values are in the reason
        return f"{place.key}: {reason}" if place.key else reason
    return f"{place.key} = {shown(place.value)}: {reason}"
