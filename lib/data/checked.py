"""HDF5 files that may hold anything: what is in them is looked at before memory is taken for it."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from lib.data.tables import COLUMNS, read_table
from lib.pose.cameras import Camera
from lib.runtime.bounds import check_unpacked

Shape = tuple[int | None, ...]  # of an array; None: as many as there are frames, windows or sequences
TEXT, NUMBERS = ("O",), ("f", "i", "u")  # kinds of numbers, as numpy writes them
_CAMERAS = TypeAdapter(list[Camera])


def check_split(file: h5py.File, name: str, joints: int) -> None:
    """Refuse a split that does not hold together; raises ValueError, KeyError or TypeError."""
    if name not in file:
        return  # which its reader says
    group = check_group(file, name)
    arrays: dict[str, Shape] = {"keypoints": (joints, 2), "confidence": (joints,), "rays": (joints, 2)}
    optional: dict[str, Shape] = {"positions": (joints, 3), "times": ()}
    check_frames(group, arrays | {name: shape for name, shape in optional.items() if name in group})


def check_frames(group: h5py.Group, shapes: Mapping[str, Shape]) -> None:
    """Refuse a table of sequences and arrays of all their frames, if they do not fit; `shapes` are of one frame."""
    for column in COLUMNS:
        check_array(group, column, (None,), TEXT if column in ("subject", "action", "camera") else NUMBERS)
    if len({len(group[column]) for column in COLUMNS}) > 1:
        raise ValueError("columns of the table have different lengths")
    table = read_table(group)
    lengths = table["length"]
    if (lengths < 1).any() or (lengths > np.iinfo(np.int32).max).any():
        raise ValueError(f"a sequence of {int(lengths.min() if (lengths < 1).any() else lengths.max())} frames")
    if not np.array_equal(table["start"], lengths.cumsum() - lengths):
        raise ValueError("sequences that do not lie back to back")
    _check_numbers(table)
    frames = int(lengths.sum())
    for name, shape in shapes.items():
        check_array(group, name, (frames, *shape), ("f8" if name == "times" else "f4",))


def _check_numbers(table: pd.DataFrame) -> None:
    for name, least, most in (("fps", 1e-6, 1e6), ("width", 1, 1e6), ("height", 1, 1e6)):
        bad = table[name][~((table[name] >= least) & (table[name] <= most))]
        if len(bad):
            raise ValueError(f"{name} of {bad.iloc[0]}")


def check_group(group: h5py.Group, name: str) -> h5py.Group:
    """A group of the file itself; raises ValueError."""
    _check_link(group, name)
    if not isinstance(group[name], h5py.Group):
        raise ValueError(f"{name} is no group")
    return group[name]


def check_array(group: h5py.Group, name: str, shape: Shape, kinds: tuple[str, ...]) -> None:
    """Refuse an array that is elsewhere, claims more than its file holds, or is of another kind or shape.

    Raises:
        ValueError: naming it.
    """
    _check_link(group, name)
    found = group[name]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise ValueError(f"{name} is no array of this file")
    check_unpacked(Path(found.file.filename), found.size * found.dtype.itemsize)
    fits = len(found.shape) == len(shape) and all(n in (None, m) for n, m in zip(shape, found.shape, strict=True))
    if not found.dtype.str[1:].startswith(kinds) or not fits:
        expected = " x ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} is {found.dtype} of {' x '.join(map(str, found.shape))}, not of {expected}")


def _check_link(group: h5py.Group, name: str) -> None:
    """Refuse what a file says lies in another, or elsewhere in it."""
    if name not in group and group.get(name, getlink=True) is None:
        raise ValueError(f"{name} is missing")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link to elsewhere")


def read_cameras(group: h5py.Group) -> list[Camera]:
    """The cameras of a split's sequences; raises ValueError, KeyError or TypeError where they are none."""
    check_array(group, "cameras", (), TEXT)
    cameras = _CAMERAS.validate_json(group["cameras"][()])
    for camera in cameras:
        numbers = (*camera.focal, *camera.center, *camera.radial, *camera.tangential, *camera.orientation)
        if not (np.isfinite([*numbers, *camera.position]).all() and min(camera.focal) > 0 and min(camera.size) > 0):
            raise ValueError(f"camera {camera.name} has numbers that no camera has")
    if len(cameras) != len(group["length"]):
        raise ValueError(f"{len(cameras)} cameras of {len(group['length'])} sequences")
    return cameras
