"""params.yaml is read as YAML 1.2, as DVC reads it, and every mistake in it is one line."""

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field
from ruamel.yaml import YAML

from lib.runtime.errors import UserError
from lib.runtime.params import Section, read, section

SCALARS = """
    5e-4 1e3 1E3 -5e-4 +1e3 1e+3 1.5e3 1.e3 12e03 e5 1e 0.1e1 .5 -.5 +.5 5. 1.0 . .. 1.2.3
    0 -0 00 +1 -1 010 -010 08 0o10 0o8 0x1F 0xg 0x 1,000 1:30 1:30:15
    on off On yes no NO y n true True TRUE tRUE false False ~ null Null NULL nULL
    .inf -.inf +.inf .Inf .INF inf .nan .NaN nan sample cuda:1 32-true bf16-mixed
""".split()
# Not in YAML 1.2's core schema, although ruamel.yaml reads them as numbers and dates.
EXTENSIONS = "1_000 1_0.5 0b11 -0x1F +0o10 2024-01-02 2024-01-02T03:04:05Z".split()


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(text: str) -> dict[str, Any]:
        path = tmp_path / "params.yaml"
        path.write_text(text, encoding="utf-8")
        return read(path)

    return load


def oracle(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def same(ours: Any, theirs: Any) -> bool:
    return type(ours) is type(theirs) and repr(ours) == repr(theirs)  # repr: NaN is not equal to itself


@pytest.mark.parametrize("scalar", SCALARS)
def test_scalars_as_ruamel_reads_them(scalar: str, load: Any) -> None:
    assert same(load(f"key: {scalar}")["key"], oracle(f"key: {scalar}")["key"])


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("5e-4", 5e-4),
        ("1e3", 1000.0),
        ("on", "on"),
        ("010", 10),
        ("0o10", 8),
        ("~", None),
        (".5", 0.5),
        ("1:30", "1:30"),
        (".5e3", 500.0),
    ],
)
def test_scalars_by_hand(scalar: str, value: object, load: Any) -> None:
    assert same(load(f"key: {scalar}")["key"], value)


@pytest.mark.parametrize("scalar", EXTENSIONS)
def test_what_the_core_schema_does_not_know_is_a_string(scalar: str, load: Any) -> None:
    assert load(f"key: {scalar}") == {"key": scalar}


NUMBERS = r"[-+]?([0-9]{1,3}(\.[0-9]{0,3})?([eE][-+]?[0-9]{1,2})?|\.[0-9]{1,3}([eE][-+][0-9]{1,2})?)"


@settings(deadline=None)  # of what both readers take, which a busy machine stretches
@given(st.from_regex(NUMBERS, fullmatch=True))
def test_numbers_as_ruamel_reads_them(tmp_path_factory: pytest.TempPathFactory, scalar: str) -> None:
    path = tmp_path_factory.getbasetemp() / "number.yaml"
    path.write_text(f"key: {scalar}", encoding="utf-8")
    assert same(read(path)["key"], oracle(f"key: {scalar}")["key"])


def test_anchors_merge_keys_and_quotes(load: Any) -> None:
    text = "base: &base {lr: 5e-4, on: '1'}\nfine: {<<: *base, lr: 1}\nlist: [*base, \"5e-4\"]\n"
    assert same(load(text), oracle(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not valid YAML"),
        ("- a", "must be a mapping"),
        ("", "must be a mapping"),
        ("a: !!python/object:x {}", "a has the tag .!!python/object:x."),
    ],
)
def test_a_file_that_is_no_mapping(text: str, message: str, load: Any) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load(text)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params.yaml is missing: run from the project's root"):
        read(tmp_path / "params.yaml")


class InnerParams(Section):
    depth: Annotated[int, Field(ge=1)]


class OuterParams(Section):
    elsewhere: ClassVar[frozenset[str]] = frozenset({"other"})

    name: Literal["cosine", "step"]
    lr: Annotated[float, Field(gt=0)]
    shape: tuple[int, int]
    inner: InnerParams


GOOD = {"name": "step", "lr": 0.1, "shape": [1, 2], "inner": {"depth": 1}}


def test_a_valid_section() -> None:
    params = section(OuterParams, "training", {"training": {**GOOD, "other": {"anything": 1}}})
    assert (params.name, params.lr, params.shape, params.inner.depth) == ("step", 0.1, (1, 2), 1)
    assert section(InnerParams, "training.inner", {"training": GOOD}) == params.inner
    assert section(OuterParams, "", GOOD) == params
    with pytest.raises(ValueError, match="frozen"):
        params.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "key", "rest"),
    [
        ({"learning": 1}, "training.learning", ("not a known key", "name, lr, shape, inner")),
        ({"inner": {"depth": 1, "deep": 2}}, "training.inner.deep", ("not a known key", "depth")),
        ({"lr": "5e-4"}, "training.lr", ("'5e-4'", "number")),
        ({"lr": -1.0}, "training.lr", ("-1.0", "must be a number above 0")),
        ({"lr": True}, "training.lr", ("true", "number")),
        ({"lr": float("inf")}, "training.lr", ("inf", "finite")),
        ({"lr": float("nan")}, "training.lr", ("nan", "finite")),
        ({"lr": None}, "training.lr", ("null", "number")),
        ({"inner": {"depth": 0}}, "training.inner.depth", ("0", "must be a whole number from 1")),
        ({"inner": {"depth": 1.5}}, "training.inner.depth", ("1.5", "must be a whole number from 1")),
        ({"inner": {}}, "training.inner.depth", ("missing",)),
        ({"inner": "deep"}, "training.inner", ("'deep'", "must be a mapping with depth")),
        ({"name": "cosin"}, "training.name", ("'cosin'", "must be cosine or step")),
        ({"shape": [1, 2, 3]}, "training.shape", ("[1, 2, 3]", "must be a list of 2, each a whole number")),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(
    change: dict[str, object], key: str, rest: tuple[str, ...]
) -> None:
    with pytest.raises(UserError) as caught:
        section(OuterParams, "training", {"training": {**GOOD, **change}})
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"params.yaml: {key} ")
    for part in rest:
        assert part in message.removeprefix(f"params.yaml: {key} ")


def test_a_string_in_place_of_a_mapping() -> None:
    with pytest.raises(UserError, match=r"^params.yaml: model = 'vit' must be a mapping with depth$"):
        section(InnerParams, "model", {"model": "vit"})  # dvc exp run -S model=vit


def test_missing_sections_are_named() -> None:
    with pytest.raises(UserError, match=r"^params.yaml: data is missing$"):
        section(InnerParams, "data.window", {})
    with pytest.raises(UserError, match=r"^params.yaml: data.window is missing$"):
        section(InnerParams, "data.window", {"data": {}})
    with pytest.raises(UserError, match=r"^params.yaml: data.window is missing$"):
        section(InnerParams, "data.window", {"data": "sample"})


def test_all_mistakes_of_a_section_are_named() -> None:
    with pytest.raises(UserError, match=r"training.name = 'x'.*; params.yaml: training.lr = 0:"):
        section(OuterParams, "training", {"training": {**GOOD, "name": "x", "lr": 0}})


def test_a_section_goes_through_json_and_back() -> None:
    params = section(OuterParams, "", GOOD)
    assert section(OuterParams, "", json.loads(params.model_dump_json())) == params
