"""What a sweep tries: for each key of params.yaml a range or choices, from a YAML file."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from lib.experiments.variants import Changes
from lib.runtime.errors import UserError
from lib.runtime.params import Section, read, validated

# What decides how the validation loss is measured, so that losses of different values cannot be compared.
MEASURE = (
    "seed",
    *(f"data.{name}" for name in ("source", "keypoints", "layout", "cameras", "fps", "size", "split", "transforms")),
    *("data.occlusion", "data.window", "prior", "losses", "masking", "training.objective"),
)
Above0 = Annotated[Annotated[int, Field(gt=0)] | Annotated[float, Field(gt=0)], Field(description="a number above 0")]


class Range(Section):
    """Numbers from `low` to `high`, whole ones if all are."""

    low: int | float
    high: int | float
    step: Annotated[
        Annotated[int, Field(gt=0)] | Annotated[float, Field(gt=0)] | None, Field(description="a number above 0")
    ] = None
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        if self.low > self.high:
            raise ValueError("low must not be above high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0 and no step")
        return self

    @property
    def whole(self) -> bool:
        """Whether numbers are whole."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    @property
    def ends(self) -> tuple[object, ...]:
        """What has to be allowed for all of it to be."""
        return self.low, self.high


class Choices(Section):
    """Any values."""

    choices: Annotated[list[Any], Field(min_length=1, description="a list of one value or more")]

    @property
    def ends(self) -> tuple[object, ...]:
        """All of them."""
        return tuple(self.choices)


Space = Mapping[str, Range | Choices]


def read_space(path: Path) -> dict[str, Range | Choices]:
    """The dotted keys of a file and what is tried for each.

    Raises:
        UserError: naming what is neither a range nor choices.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; it has keys of params.yaml such as training.lr: {{low, high}}")
    space: dict[str, Range | Choices] = {}
    for key, content in read(path).items():
        if isinstance(content, Mapping) and "choices" in content:
            space[key] = validated(Choices, content, key, str(path))
        else:
            space[key] = validated(Range, content, key, str(path))
    if not space:
        raise UserError(f"{path} has no key: it needs one such as training.lr: {{low: 1e-4, high: 1e-2, log: true}}")
    return space


def dump_space(space: Space) -> str:
    """The same text for the same space."""
    return json.dumps({key: part.model_dump(mode="json") for key, part in space.items()}, sort_keys=True)


def ends(space: Space) -> Iterator[Changes]:
    """Single changes that all have to be allowed."""
    for key, part in space.items():
        for value in part.ends:
            yield {key: value}


def measured_otherwise(space: Space) -> list[str]:
    """The keys that change what the validation loss measures."""
    return [key for key in space if any(key == name or key.startswith(f"{name}.") for name in MEASURE)]
