"""npz files that somebody forged or damaged: of VideoPose3D, P-STMO and detectors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.sources import npz
from tests.data.dataset_files import eva_takes, write_eva, write_mpi
from tests.data.files import METADATA, h36m_takes, write_h36m
from tests.security.readers import READERS
from tests.security.refusal import refused
from tests.sources.test_npz import write_pickle

pytestmark = pytest.mark.hostile
Change = Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], object]
_NAME = "subjects and actions must have plain text"


def action(name: Any) -> Change:
    return lambda positions, keypoints, metadata: keypoints["S1"].update({name: keypoints["S1"]["Walking"]})


def subject(name: Any) -> Change:
    return lambda positions, keypoints, metadata: positions.update({name: positions["S1"]})


def pairs(value: Any) -> Change:
    return lambda positions, keypoints, metadata: metadata.update(keypoints_symmetry=value)


def views(value: Any) -> Change:
    return lambda positions, keypoints, metadata: keypoints["S1"].update(Walking=value)


def world(value: Any) -> Change:
    return lambda positions, keypoints, metadata: positions["S1"].update(Walking=value)


H36M: dict[str, tuple[Change, str]] = {
    "an action that is a number": (action(5), _NAME),
    "an action that is None": (action(None), _NAME),
    "an action of bytes": (action(b"walk"), _NAME),
    "an action that is a tuple": (action(("a", "b")), _NAME),
    "an action with NUL": (action("Walk\0ing"), _NAME),
    "an action with half a character": (action("Walk\ud800"), _NAME),
    "an action of two lines": (action("Walk\ning"), _NAME),
    "an action of control codes": (action("\x1b[2J"), _NAME),
    "an action without a name": (action(""), _NAME),
    "an action of a long name": (action("x" * 10**5), _NAME),
    "a subject that is a number": (subject(1), _NAME),
    "a subject with NUL": (subject("S\0"), _NAME),
    "symmetry 5": (pairs(5), "is not in Human3.6M's layout"),
    "symmetry of text": (pairs(["ab", "cd"]), "is not in Human3.6M's layout"),
    "symmetry of one text": (pairs("left"), "is not in Human3.6M's layout"),
    "symmetry of nothing": (pairs([None, None]), "is not in Human3.6M's layout"),
    "symmetry of infinity": (pairs([[np.inf], [np.nan]]), "is not in Human3.6M's layout"),
    "symmetry of others": (pairs([[1], [2]]), "is not in Human3.6M's layout"),
    "symmetry without end": (pairs([list(range(10**5)), []]), "is not in Human3.6M's layout"),
    "cameras that are a number": (views(5), "must be a list of 4 cameras, but is int"),
    "cameras of text": (views("four"), "must be a list of 4 cameras|2D of a camera must be"),
    "too few cameras": (views([np.zeros((30, 17, 2))]), "must be a list of 4 cameras"),
    "2D of text": (views([np.array(["a"])] * 4), "2D of a camera must be"),
    "2D of objects": (views([np.array([None] * 3)] * 4), "2D of a camera must be"),
    "2D of other joints": (views([np.zeros((30, 16, 2))] * 4), "2D of a camera must be"),
    "2D of complex numbers": (views([np.zeros((30, 17, 2), "c8")] * 4), "2D of a camera must be|is damaged"),
    "3D of text": (world("here"), "3D must be"),
    "3D of other joints": (world(np.zeros((30, 5, 3))), "3D must be"),
    "3D that is flat": (world(np.zeros(90)), "3D must be"),
}  # fmt: skip


@pytest.mark.parametrize("what", H36M)
def test_forged_files_of_human36m_are_one_line(what: str, tmp_path: Path) -> None:
    change, message = H36M[what]
    positions, keypoints = h36m_takes(("S1",))
    metadata = dict(METADATA)
    change(positions, keypoints, metadata)
    write_h36m(tmp_path, positions, keypoints, metadata=metadata)
    refused(lambda: READERS["h36m 2D"].read(tmp_path), tmp_path, message, ".npz")


MPI: dict[str, tuple[Any, str]] = {
    "a name with NUL": ({"S1 Se\0q": [{"0": {}}]}, "sequences and cameras must have plain text"),
    "a name that is a number": ({5: [{"0": {}}]}, "must be SUBJECT SEQUENCE"),
    "a camera with half a character": ({"S1 Seq1": [{"\ud800": {}}]}, "sequences and cameras must have plain text"),
    "no cameras": ({"S1 Seq1": 5}, "must be SUBJECT SEQUENCE with its cameras"),
    "cameras of text": ({"S1 Seq1": "abc"}, "must be SUBJECT SEQUENCE with its cameras"),
    "cameras of nothing": ({"S1 Seq1": []}, "must be SUBJECT SEQUENCE with its cameras"),
}


@pytest.mark.parametrize("what", MPI)
def test_forged_files_of_mpi_inf_3dhp_are_one_line(what: str, tmp_path: Path) -> None:
    changes, message = MPI[what]
    write_mpi(tmp_path, changes)
    refused(lambda: READERS["mpi_inf_3dhp"].read(tmp_path), tmp_path, message, "data_train_3dhp.npz")


@pytest.mark.parametrize("name", [5, None, "\0", "\ud800", "x" * 1000])
def test_forged_names_of_humaneva_are_one_line(name: Any, tmp_path: Path) -> None:
    positions, keypoints = eva_takes(("S1",))
    positions["Train/S1"][name] = np.zeros((3, 15, 3))
    write_eva(tmp_path, positions, keypoints)
    refused(lambda: READERS["humaneva"].read(tmp_path), tmp_path, _NAME, "data_3d_humaneva15.npz")


def test_a_file_that_stands_for_more_than_it_holds_is_one_line(tmp_path: Path) -> None:
    """Lists of references to the same list; and an array that is there ten thousand times."""
    many: list[Any] = [1] * 10
    for _ in range(9):
        many = [many] * 10
    large = np.zeros(10**5)
    for content in (many, [large] * 10**4):
        np.savez_compressed(tmp_path / "many.npz", positions_2d=np.array({"a": content}, dtype=object))
        refused(lambda: npz.read(tmp_path / "many.npz", "positions_2d"), tmp_path, "damaged or no npz", "many.npz")


@pytest.mark.parametrize("content", [b"r\xff\xff\xff\xff.", b"\x8e" + b"\xff" * 6 + b"\0\0abc."])
def test_a_number_of_a_pickle_claims_no_memory(content: bytes, tmp_path: Path) -> None:
    """The place of an object in a pickle's memory, and the length of its bytes."""
    path = write_pickle(tmp_path / "claims.npz", b"\x80\x04N" + content)
    refused(lambda: npz.read(path, "positions_2d"), tmp_path, "damaged or no npz file", "claims.npz")
