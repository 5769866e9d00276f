"""The safe reader against np.load, and what it refuses."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.runtime import unpacked
from lib.runtime.errors import UserError
from lib.sources import npz

NESTED = {
    "S1": {
        "Walking 1": [np.arange(12, dtype=np.float32).reshape(2, 3, 2), np.ones((1, 17, 3))],
        "Eating": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big endian": np.arange(4, dtype=">f8"),
        "empty": np.zeros((0, 17, 2), np.float32),
        "text": np.array(["left", "right"]),
        "number": np.float32(1.5),
        "plain": [1, 2.5, None, True, ("a", b"b")],
    }
}


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


def write_pickle(path: Path, content: bytes, key: str = "positions_2d") -> Path:
    """An npz file with one object entry whose pickle is `content`."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})  # type: ignore[no-untyped-call]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{key}.npy", header.getvalue() + content)
    return path


def assert_same(first: Any, second: Any) -> None:
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)
    else:
        assert first == second


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_numpy_reads(tmp_path: Path, save: Callable[..., None]) -> None:
    path = tmp_path / "file.npz"
    save(path, positions_2d=np.array(NESTED, dtype=object), plain=np.arange(6.0).reshape(2, 3).T)
    with np.load(path, allow_pickle=True) as oracle:
        assert_same(npz.read(path, "positions_2d"), oracle["positions_2d"].item())
        assert_same(npz.read(path, "plain"), oracle["plain"])


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
def test_arrays_that_stay_in_the_file(tmp_path: Path, protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long ones are those that numpy reads, before and after the memory of what was touched is let go of."""
    monkeypatch.setattr(unpacked, "IN_MEMORY", 0)
    large = np.random.default_rng(0).normal(size=(700, 17, 3))
    content = NESTED | {
        "S8": {"f4": [large.astype("f4")] * 4, "f8": np.asfortranarray(large), "swapped": large.astype(">f4")}
    }
    pickled = pickle.dumps(np.array(content, dtype=object), protocol)
    oracle = pickle.loads(pickled).item()
    opened = npz.opened(write_pickle(tmp_path / "file.npz", pickled), "positions_2d")
    assert_same(opened.content, oracle)
    opened.release()
    assert_same(opened.content, oracle)


def test_arrays_can_be_written_to(tmp_path: Path) -> None:
    np.savez(tmp_path / "file.npz", positions_2d=np.array(NESTED, dtype=object))
    npz.read(tmp_path / "file.npz", "positions_2d")["S1"]["Eating"][0, 0] = 7


def test_object_arrays_of_arrays(tmp_path: Path) -> None:
    views = np.empty(2, object)
    views[0], views[1] = np.zeros((3, 17, 2)), np.ones((5, 17, 2))
    np.savez(tmp_path / "file.npz", a=views, b=np.array({"views": views}, dtype=object))
    for content in (npz.read(tmp_path / "file.npz", "a"), npz.read(tmp_path / "file.npz", "b")["views"]):
        assert content.dtype == object
        np.testing.assert_array_equal(content[1], views[1])


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
def test_reads_pickles_of_old_and_new_numpy(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps(np.array(NESTED, dtype=object), protocol)
    oracle = pickle.loads(content).item()
    if protocol < 4:  # names are delimited by newlines, so that they can be of another length
        old = content.replace(b"numpy._core.", b"numpy.core.")
        assert old != content
        assert_same(npz.read(write_pickle(tmp_path / "old.npz", old), "positions_2d"), oracle)
    assert_same(npz.read(write_pickle(tmp_path / "new.npz", content), "positions_2d"), oracle)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_named_and_does_nothing(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    attack = pickle.dumps({"S1": Calls(os.system, f"touch {trace}")}, protocol)
    path = write_pickle(tmp_path / "evil.npz", attack)
    with pytest.raises(UserError, match=rf"evil\.npz is not safe to read: it wants to run {os.name}\.system"):
        npz.read(path, "positions_2d")
    assert not trace.exists()
    pickle.loads(attack)  # the attack works where it is let
    assert trace.exists()


@pytest.mark.parametrize("function", [eval, getattr, np.load, np.frombuffer, __import__])
def test_other_globals_are_refused(tmp_path: Path, function: Callable[..., Any]) -> None:
    path = write_pickle(tmp_path / "evil.npz", pickle.dumps(Calls(function, "x")))
    with pytest.raises(UserError, match=rf"it wants to run [\w.]*{function.__name__}"):
        npz.read(path, "positions_2d")


def test_forged_array_states_are_refused(tmp_path: Path) -> None:
    reconstruct = np.zeros(1).__reduce__()[0]
    assert callable(reconstruct)
    forged = {
        "pointers": (1, (1,), np.dtype(object), False, b"A" * 8),
        "too short": (1, (1000,), np.dtype("f8"), False, b"A" * 8),
        "structure": (1, (1,), np.dtype([("a", "f8")]), False, b"A" * 8),
        "no tuple": "nonsense",
    }
    for name, state in forged.items():
        content = pickle.dumps(Calls(reconstruct, np.ndarray, (0,), b"b", state=state))
        with pytest.raises(UserError, match="is damaged"):
            npz.read(write_pickle(tmp_path / f"{name}.npz", content), "positions_2d")


def test_a_pickle_that_holds_itself_is_refused(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UserError, match="is damaged"):
        npz.read(write_pickle(tmp_path / "endless.npz", pickle.dumps(endless)), "positions_2d")


def test_a_missing_key_names_what_there_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "file.npz", positions_3d=np.zeros(2), metadata=np.zeros(2))
    with pytest.raises(UserError, match=r"file\.npz has no 'positions_2d'; it has positions_3d, metadata"):
        npz.read(tmp_path / "file.npz", "positions_2d")


def test_damaged_files_are_errors_of_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", positions_2d=np.array(NESTED, dtype=object))
    whole = (tmp_path / "whole.npz").read_bytes()
    middle = len(whole) // 2
    damaged = {
        "empty": b"",
        "text": b"<html>404 Not Found</html>",
        "truncated": whole[:middle],
        "flipped": whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :],
    }
    for name, content in damaged.items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}\.npz is damaged or no npz file") as caught:
            npz.read(path, "positions_2d")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", [0, 1, 20, -1])
def test_cut_off_pickles_are_errors(tmp_path: Path, end: int) -> None:
    content = pickle.dumps(np.array(NESTED, dtype=object))[:end]
    with pytest.raises(UserError, match="is damaged"):
        npz.read(write_pickle(tmp_path / "cut.npz", content), "positions_2d")
