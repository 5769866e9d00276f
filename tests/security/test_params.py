"""Every value of params.yaml in every kind that it should not have: it is read, or refused in one line with its key."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lib.experiments.variants import changed
from lib.pipeline.overrides import read_overrides
from lib.pipeline.sections import check_params
from lib.pose.layouts import read_layout
from lib.runtime.errors import UserError
from lib.runtime.files import stays_inside
from tests.security.refusal import LONGEST, refused
from tests.settings import PARAMS

pytestmark = pytest.mark.hostile
ODD: dict[str, tuple[Any, tuple[type, ...]]] = {  # a value, and of which kinds' keys none may take it
    "null": (None, (int, float, str, bool, list, dict)),
    "a mapping": ({"a": {"b": 1}}, (int, float, str, bool, list)),
    "a deep list": ([[[[[[[[1]]]]]]]], (int, float, str, bool, list)),
    "not a number": (float("nan"), (int, float, str, bool, list, dict)),
    "infinity": (float("inf"), (int, float, str, bool, list, dict)),
    "a huge number": (10**99, (int, float, str, bool, list, dict)),
    "a huge negative number": (-1e300, (int, float, str, bool, list, dict)),
    "a fraction": (-0.5, (int, str, bool, list, dict)),
    "true": (True, (int, float, str, list, dict)),
    "text": ("?*|", (int, float, bool, dict)),
    "a long text": ("x" * 50_000, (int, float, str, bool, list, dict)),
    "a path": ("../../../etc/passwd", (int, float, bool, dict)),
    "NUL": ("a\0b", (int, float, bool, list, dict)),
    "a long list": ([1] * 5000, (int, float, str, bool, list, dict)),
}
TAKEN = {"noise_std", "outlier_probability", "threads"}  # auto: a number is something else to them
PATHS = {"checkpoint"}  # relative to the project, and perhaps outside of it


def leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        yield f"{prefix}{name}", value
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")


KEYS = dict(leaves(PARAMS))


@pytest.mark.parametrize("what", ODD)
def test_no_key_takes_it_or_ends_in_more_than_a_line(what: str) -> None:
    value, never = ODD[what]
    for key, own in KEYS.items():
        name = key.rpartition(".")[2]
        try:
            check_params(changed(PARAMS, {key: value}))
        except UserError as error:
            line = str(error)
            assert line.isprintable() and len(line) < 5 * LONGEST and name in line, key
        else:
            assert type(own) not in never or name in TAKEN | PATHS, (key, what)


@pytest.mark.parametrize("key", ["data.layout", "data.cameras"])
@pytest.mark.parametrize(
    "name", ["../../x.yaml", "/etc/passwd", "a/../../x", "..\\x.yaml", "C:\\x.yaml", "\\\\host\\x"]
)
def test_paths_stay_in_their_folder(key: str, name: str, tmp_path: Path) -> None:
    refused(
        lambda: check_params(changed(PARAMS, {key: name})), tmp_path, rf"^params\.yaml: {key} = .*must lie in data/raw"
    )


@pytest.mark.parametrize("key", ["training.start", "training.resume", "data.keypoints", "data.source"])
@pytest.mark.parametrize("name", ["../../x.pt", "/etc/passwd", ".hidden", "a/b"])
def test_names_are_no_paths(key: str, name: str, tmp_path: Path) -> None:
    refused(lambda: check_params(changed(PARAMS, {key: name})), tmp_path, rf"^params\.yaml: {key} = ")


def test_names_of_folders_are_paths_inside() -> None:
    assert all(map(stays_inside, ("x.yaml", "a/b.yaml", "a.b", "..x", "ü")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: 5", "training"),
        ("training: {lr: .nan}", r"x\.yaml: training\.lr = nan"),
        ("training: {lr: [1]}", r"training\.lr = "),
        ("training: {rate: 1}", r"training\.rate is not a known key"),
        ("trainin: {lr: 1}", "trainin is not a known key"),
        ("[1, 2]", "must be a mapping"),
        ("", "must be a mapping"),
        ("a: &a [*a]", "alias for what it stands in"),
        ("training: {lr: 1e999}", "training.lr"),
        ("data: {layout: ../x.yaml}", "must lie in data/raw"),
    ],
)
def test_files_of_experiments(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    refused(lambda: read_overrides(tmp_path / "x.yaml", PARAMS), tmp_path, message, "x.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have `keypoints`"),
        ("keypoints: 5", "must have `keypoints`"),
        ("keypoints: {a: 5}", "a must be a landmark"),
        ("keypoints: {a: [left_hip]}", "a must be a landmark"),
        ("keypoints: {a: {left_hip: x}}", "a must be a landmark"),
        ("keypoints: {a: {left_hip: .nan}}", "must be from 0 to 1"),
        ("keypoints: {a: {left_hip: .inf}}", "must be from 0 to 1"),
        ("keypoints: {a: {left_hip: 1e999}}", "must be from 0 to 1"),
        ("keypoints: {a: {}}", "add up to 0"),
        ("keypoints: {a: {left_hip: -1, right_hip: 2}}", "weights of a must be from 0 to 1"),
        ("keypoints: {a: tail}", "a marks 'tail'"),
        ("keypoints: {a: pelvis, b: pelvis}", "both mark pelvis"),
        ("keypoints: {a: left_hip}", "needs a mirror image"),
        ('keypoints: {"a\\0b": pelvis}', "plain text"),
    ],
)
def test_layouts(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    refused(lambda: read_layout(tmp_path / "mine.yaml"), tmp_path, message, "mine")
