"""HDF5 files that somebody forged or damaged: the store, predictions, examples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.security.readers import READERS
from tests.security.refusal import refused

pytestmark = pytest.mark.hostile
Change = Callable[[h5py.File, Path], object]
FRAMES = 60  # of the test split


def put(name: str, value: Any, **options: Any) -> Change:
    """Another dataset, or none, in place of one."""

    def change(file: h5py.File, folder: Path) -> None:
        if name in file:
            del file[name]
        if value is not None or options:
            file.create_dataset(name, data=value, **options)

    return change


def first(name: str, value: Any) -> Change:
    return lambda file, folder: file[name].__setitem__(0, value)


def link(name: str, make: Callable[[Path], Any]) -> Change:
    def change(file: h5py.File, folder: Path) -> None:
        del file[name]
        file[name] = make(folder)

    return change


def attribute(name: str, value: Any) -> Change:
    return lambda file, folder: file.attrs.__setitem__(name, value)


def external(folder: Path) -> h5py.ExternalLink:
    with h5py.File(folder / "elsewhere.h5", "w") as file:
        file["secret"] = np.zeros((FRAMES, 17, 2), np.float32)
    return h5py.ExternalLink("elsewhere.h5", "secret")


def raw_file(name: str, *shape: int) -> Change:
    """An array whose numbers are those of another file on the machine."""

    def change(file: h5py.File, folder: Path) -> None:
        (folder / "secret.txt").write_bytes(bytes(4 * int(np.prod(shape))))
        del file[name]
        places = [(str(folder / "secret.txt"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset(name, shape, "f4", external=places)

    return change


def virtual(name: str, *shape: int) -> Change:
    def change(file: h5py.File, folder: Path) -> None:
        layout = h5py.VirtualLayout(shape, "f4")
        layout[:] = h5py.VirtualSource(str(folder / "elsewhere.h5"), "secret", shape)
        del file[name]
        file.create_virtual_dataset(name, layout)

    return change


STORES: dict[str, tuple[Change, str]] = {
    "no keypoints": (put("test/keypoints", None), "keypoints is missing"),
    "no table": (put("test/length", None), "length is missing"),
    "no names": (put("test/subject", None), "subject is missing"),
    "no cameras": (put("test/cameras", None), "has no cameras of a test split"),
    "short keypoints": (put("test/keypoints", np.zeros((5, 17, 2), "f4")), "keypoints is float32 of 5 x 17 x 2"),
    "other joints": (put("test/keypoints", np.zeros((FRAMES, 5, 2), "f4")), "keypoints is float32 of 60 x 5 x 2"),
    "flat rays": (put("test/rays", np.zeros(FRAMES, "f4")), "rays is float32 of 60, not of 60 x 17 x 2"),
    "a scalar": (put("test/rays", np.float32(1)), "rays is float32 of , not of"),
    "text for numbers": (put("test/confidence", "abc"), "confidence is object"),
    "whole numbers": (put("test/confidence", np.ones((FRAMES, 17), "i4")), "confidence is int32"),
    "double precision": (put("test/confidence", np.ones((FRAMES, 17))), "confidence is float64"),
    "complex": (put("test/confidence", np.ones((FRAMES, 17), "c8")), "confidence is complex64"),
    "other positions": (put("test/positions", np.zeros((FRAMES, 17, 2), "f4")), "positions is float32 of 60 x 17 x 2"),
    "short times": (put("test/times", np.zeros(3)), "times is float64 of 3, not of 60"),
    "a group for an array": (lambda f, d: (f.__delitem__("test/rays"), f.create_group("test/rays")), "no array of"),
    "an array for a group": (put("test", np.zeros(3)), "test is no group"),
    "a length of -1": (first("test/length", -1), "a sequence of -1 frames"),
    "a length of 0": (first("test/length", 0), "a sequence of 0 frames"),
    "a huge length": (first("test/length", 10**15), "a sequence of 1000000000000000 frames"),
    "a length of its own": (first("test/length", 29), "not lie back to back"),
    "a start in the middle": (first("test/start", 3), "not lie back to back"),
    "fps 0": (first("test/fps", 0.0), "fps of 0.0"),
    "fps -1": (first("test/fps", -1.0), "fps of -1.0"),
    "fps nan": (first("test/fps", np.nan), "fps of nan"),
    "width 0": (first("test/width", 0), "width of 0"),
    "height -1": (first("test/height", -1), "height of -1"),
    "a column too short": (put("test/fps", np.ones(2)), "different lengths"),
    "a column of arrays": (put("test/fps", np.ones((3, 2))), "fps is float64 of 3 x 2"),
    "names of numbers": (put("test/action", np.ones(3)), "action is float64"),
    "names of other bytes": (put("test/action", [b"\xff\xfe"] * 3, dtype=h5py.string_dtype()), "damaged"),
    "keypoints of 1e9 frames": (put("test/keypoints", None, shape=(10**9, 17, 2), dtype="f4"), "claim to unpack to"),
    "packed keypoints of 1e9": (
        put("test/keypoints", None, shape=(10**9, 17, 2), dtype="f4", chunks=(1000, 17, 2), compression=9),
        "claim to unpack to",
    ),
    "an external link": (link("test/keypoints", external), "keypoints is a link to elsewhere"),
    "an external split": (link("test", external), "test is a link to elsewhere"),
    "a soft link": (link("test/keypoints", lambda folder: h5py.SoftLink("/test/rays")), "keypoints is a link to"),
    "numbers of another file": (raw_file("test/keypoints", FRAMES, 17, 2), "keypoints is no array of this file"),
    "a virtual array": (virtual("test/keypoints", FRAMES, 17, 2), "keypoints is no array of this file"),
    "no layout": (lambda f, d: f.attrs.__delitem__("layout"), "damaged"),
    "a layout that is no JSON": (attribute("layout", "{"), "damaged"),
    "a deep layout": (attribute("layout", "[" * 10_000), "damaged"),
    "a layout of a number": (attribute("layout", 5), "damaged"),
    "a layout of nobody": (attribute("layout", '{"name": "x"}'), "damaged"),
    "cameras that are no JSON": (put("test/cameras", "{"), "damaged"),
    "cameras of numbers": (put("test/cameras", "[1, 2, 3]"), "damaged"),
    "deep cameras": (put("test/cameras", "[" * 10_000), "damaged"),
    "too few cameras": (put("test/cameras", "[]"), "0 cameras of 3 sequences"),
    "frames that are not finite": (first("test/rays", np.nan), "rays of S9/Eating 1/camera1, 1 frames in all, are not"),
}  # fmt: skip

PREDICTIONS: dict[str, tuple[Change, str]] = {
    "short": (put("predicted", np.zeros((5, 17, 3), "f4")), "predicted is float32 of 5 x 17 x 3, not of 60 x 17 x 3"),
    "not a number": (first("predicted", np.nan), "predicted has numbers that are not finite"),
    "errors that are infinite": (first("h36m_error", np.inf), "h36m_error has numbers that are not finite"),
    "of other joints": (put("predicted", np.zeros((FRAMES, 5, 3), "f4")), "predicted is float32 of 60 x 5 x 3"),
    "of fewer joints": (put("h36m", np.zeros((FRAMES, 16, 3), "f4")), "h36m is float32 of 60 x 16 x 3"),
    "without errors": (put("predicted_error", None), "predicted_error is missing"),
    "of 1e9 frames": (put("predicted", None, shape=(10**9, 17, 3), dtype="f4"), "claim to unpack to"),
    "elsewhere": (link("predicted", external), "predicted is a link to elsewhere"),
    "no sequences": (put("length", np.zeros(0, int)), "different lengths"),
    "of another layout": (attribute("layout", "5"), "damaged"),
}
EXAMPLES: dict[str, tuple[Change, str]] = {
    "missing": (put("reconstruction/output", None), "output is missing"),
    "of other windows": (put("reconstruction/output", np.zeros((1, 3, 17, 2), "f4")), "windows of different shapes"),
    "of other joints": (put("reconstruction/whole", np.zeros((2, 3, 5, 2), "f4")), "whole is float32 of 2 x 3 x 5 x 2"),
    "parents in a circle": (attribute("parents", [1] * 17), "joints and parents that are no tree"),
    "parents beyond": (attribute("parents", [-1] + [99] * 16), "no tree"),
    "one parent": (attribute("parents", [-1]), "no tree"),
}
CASES = [
    (reader, what, *case)
    for reader, cases in (("store", STORES), ("predictions", PREDICTIONS), ("examples", EXAMPLES))
    for what, case in cases.items()
]


@pytest.mark.parametrize(("name", "what", "change", "message"), CASES, ids=[f"{case[0]}: {case[1]}" for case in CASES])
def test_a_forged_file_is_one_line(name: str, what: str, change: Change, message: str, tmp_path: Path) -> None:
    reader = READERS[name]
    for path, content in reader.files().items():
        (tmp_path / path).write_bytes(content)
    with h5py.File(tmp_path / reader.file, "r+") as file:
        change(file, tmp_path)
    refused(lambda: reader.read(tmp_path), tmp_path, message, reader.file)
