"""Files that are no plain YAML: each is one line with the number of the line, at once."""

import time
from pathlib import Path

import pytest

from lib.runtime import plain_yaml
from lib.runtime.errors import UserError
from lib.runtime.params import read

NAMES = list(zip("abcdefghi", "bcdefghij", strict=True))
BOMB = "a: &a [x, x]\n" + "".join(f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]\n" for last, name in NAMES)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{last}'] * 10)}]}}\n" for last, name in NAMES
)


def refused(content: bytes, folder: Path) -> str:
    """The message without the file's name; one line, within a second or two."""
    path = folder / "params.yaml"
    path.write_bytes(content)
    began = time.perf_counter()
    with pytest.raises(UserError) as caught:
        read(path)
    assert time.perf_counter() - began < 5
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", ", line 3: a is there twice, first on line 1: delete one of them"),
        ("t:\n  lr: 1\n  'lr': 2", ", line 3: t.lr is there twice, first on line 2: delete one of them"),
        ("t: [{x: 1, x: 2}]", ", line 1: t[0].x is there twice"),
        ("t: {<<: {a: 1}, <<: {b: 1}}", ", line 1: t.<< is there twice"),
        ("1: one", ", line 1: the key '1' in the file must be text: write it in quotes"),
        ("t:\n  true: x", ", line 2: the key 'true' in t must be text"),
        ("t:\n  ? [a]\n  : x", ", line 2: the key that is no text in t must be text"),
        ("a: !!set {x, y}", ", line 1: a has the tag '!!set': write a mapping, a list, text"),
        ("a: !!binary aGk=", ", line 1: a has the tag '!!binary'"),
        ("a:\n  b: !!timestamp 2024-01-01", ", line 2: a.b has the tag '!!timestamp'"),
        ("a: !!omap [x: 1]", ", line 1: a has the tag '!!omap'"),
        ("a: !!python/object:os.system {}", ", line 1: a has the tag '!!python/object:os.system'"),
        ("a: !mine x", ", line 1: a has the tag '!mine'"),
        ("!!set {a}", ", line 1: the file has the tag '!!set'"),
        ("a: !!int x", ", line 1: a = 'x' is not what its tag !!int says"),
        ("a: !!bool 2", ", line 1: a = '2' is not what its tag !!bool says"),
        (f"a: {'1' * 5000}", ", line 1: a = '1111111111111111111111111111111111111111...' has more than 100 digits"),
        (f"a: 0x{'f' * 5000}", "has more than 100 digits"),
        (f"a: {'1' * 5000}.0", "has more than 100 digits"),
        (f"a: {'[' * 5000}{']' * 5000}", ", line 1: not valid YAML: nested more than 100 deep"),
        (f"a: {'{a: ' * 5000}1{'}' * 5000}", ", line 1: not valid YAML: nested more than 100 deep"),
        ("a: &a [*a]", ", line 1: a[0] has an alias for what it stands in"),
        ("a: &a\n  b: {c: *a}", ", line 1: a.b.c has an alias for what it stands in"),
        ("a: &a {<<: *a}", ", line 1: a.<< has an alias for what it stands in"),
        (BOMB, "its anchors stand for more than 10,000 values"),
        (MERGE_BOMB, "its anchors stand for more than 10,000 values"),
        ("a: {<<: 1}", ", line 1: << in a must take over a mapping"),
        ("a: *nobody", ", line 1: not valid YAML: found undefined alias 'nobody'"),
        ("a: b: c", ", line 1: not valid YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 1", ", line 2: not valid YAML: expected a single document"),
        ("a: x\x00y", ", line 1: not valid YAML: it has a character that no text should have"),
        (r'a: "\ud800"', ", line 1: a has a character that no text should have"),
        ("# " + "x" * 100_000, " has more than 100,000 bytes"),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_not_plain_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    assert message in refused(text.encode(), tmp_path)


@pytest.mark.hostile
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_one_line(encoding: str, tmp_path: Path) -> None:
    message = refused("a: 1\nb: Müller\n".encode(encoding), tmp_path)
    assert "UTF-8" in message or "character that no text should have" in message


def test_a_byte_order_mark_and_other_scripts_are_text(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes("\ufeffa: Müller 山\n".encode())
    assert read(tmp_path / "params.yaml") == {"a": "Müller 山"}


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    text = """
        base: &base {lr: 1, steps: {warm: 2}}
        other: &other {lr: 5, name: x}
        one: {<<: *base, lr: 2}
        several: {<<: [*base, *other]}
        deeper: &deeper {<<: *base}
        deepest: {lr: 3, <<: *deeper}
        twice: [*base, *base]
        quoted: {'<<': 1}
    """
    (tmp_path / "params.yaml").write_text(text)
    base = {"lr": 1, "steps": {"warm": 2}}
    assert read(tmp_path / "params.yaml") == {
        "base": base,
        "other": {"lr": 5, "name": "x"},
        "one": base | {"lr": 2},
        "several": base | {"name": "x"},
        "deeper": base,
        "deepest": base | {"lr": 3},
        "twice": [base, base],
        "quoted": {"<<": 1},
    }


def test_as_many_values_as_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("[" + "1," * 9_000 + "]")
    assert plain_yaml.load(path) == [1] * 9_000
    deep = plain_yaml.MAX_DEPTH - 1
    path.write_text("[" * deep + "1" + "]" * deep)
    assert str(plain_yaml.load(path)).count("[") == deep
