"""What a section's field allows, in words: read off its type, so that no message needs to be written twice."""

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

SHOWN = 80  # characters of a value in a message


@dataclass(frozen=True)
class Place:
    """A key of params.yaml with its value, and the type and bounds that its section has for it."""

    key: str
    value: Any
    kind: Any
    bounds: tuple[Any, ...] = ()

    @classmethod
    def of(cls, kind: Any, key: str, value: Any) -> "Place":
        """The place of a field, a list's item or a whole section."""
        if get_origin(kind) is Annotated:
            plain, *bounds = get_args(kind)
            return cls(key, value, plain, tuple(bounds))
        return cls(key, value, kind)

    def key_of(self, name: int | str) -> str:
        """The dotted key of something inside."""
        if isinstance(name, int):
            return f"{self.key}[{name}]"
        plain = name.replace("_", "").replace("-", "").isalnum() and len(name) <= SHOWN
        return ".".join(filter(None, [self.key, name if plain else shown(name)]))

    def inside(self, location: tuple[int | str, ...]) -> "Place":
        """Follow pydantic's location of an error as far as it names keys and items, and not branches of a union."""
        place = self
        for part in location:
            if _is_section(place.kind) and part in place.kind.model_fields:
                field = place.kind.model_fields[part]
                value = place.value.get(part) if isinstance(place.value, Mapping) else None
                place = Place(place.key_of(part), value, field.annotation, (field,))
            elif get_origin(place.kind) is tuple and isinstance(part, int):
                items = get_args(place.kind)
                kind = items[0] if items[-1] is Ellipsis else items[part]
                place = Place.of(kind, place.key_of(part), place.value[part])
            else:
                break
        return place

    @property
    def allowed(self) -> str:
        """What may stand here."""
        return _allowed(self.kind, self.bounds)


def shown(value: Any) -> str:
    """A value as params.yaml writes it, more or less; a long one is cut."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, list):
        text = f"[{', '.join(map(shown, value[:SHOWN]))}]"
    elif isinstance(value, Mapping):
        text = f"{{{', '.join(f'{name}: {shown(item)}' for name, item in list(value.items())[:SHOWN])}}}"
    else:
        text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _allowed(kind: Any, bounds: tuple[Any, ...]) -> str:
    described = [bound.description for bound in bounds if isinstance(bound, FieldInfo) and bound.description]
    if described:
        return str(described[-1])
    if get_args(kind):
        return _compound(get_origin(kind), get_args(kind), bounds)
    if _is_section(kind):
        return f"a mapping with {', '.join(kind.model_fields)}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}[kind]
    return " ".join(filter(None, [words, _range(bounds)]))


def _compound(origin: Any, parts: tuple[Any, ...], bounds: tuple[Any, ...]) -> str:
    """What a type of types allows, such as a union or a tuple."""
    if origin is Annotated:
        return _allowed(parts[0], parts[1:])
    if origin is Literal:
        return _one_of([str(part) for part in parts])
    if origin in (Union, types.UnionType):
        return _one_of([_allowed(part, ()) for part in parts])
    assert origin is tuple, origin
    return _list(parts, bounds)


def _list(items: tuple[Any, ...], bounds: tuple[Any, ...]) -> str:
    if items[-1] is Ellipsis:
        least = ", at least one" if _bound(bounds, "min_length") else ""
        return f"a list, each of it {_allowed(items[0], ())}{least}"
    words = [_allowed(item, ()) for item in items]
    if len(set(words)) == 1:
        return f"a list of {len(items)}, each {words[0]}"
    return f"a list of {len(items)}: {', then '.join(words)}"


def _range(bounds: tuple[Any, ...]) -> str:
    """`from 0 to 1`, `above 0 and at most 10`."""
    least, above, most, below = (_bound(bounds, name) for name in ("ge", "gt", "le", "lt"))
    low = f"from {least:,}" if least is not None else f"above {above:,}" if above is not None else ""
    if most is None and below is None:
        return low
    if low.startswith("from"):
        return f"{low} to {most:,}" if below is None else f"{low} to below {below:,}"
    high = f"at most {most:,}" if below is None else f"below {below:,}"
    return f"{low} and {high}" if low else high


def _bound(bounds: tuple[Any, ...], name: str) -> Any:
    """What pydantic's Field was given as `name`, or None."""
    parts = [part for bound in bounds for part in (bound.metadata if isinstance(bound, FieldInfo) else [bound])]
    return next((getattr(part, name) for part in parts if getattr(part, name, None) is not None), None)


def _one_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
