"""Arrays that stay in their HDF5 file: the system reads what is touched, and what was touched is let go again.

A process keeps in memory what it touches of a mapped file, as long as nobody asks for that memory. So whoever has read
a part says so (`release`); what is read again soon is still in the system's own cache of files, which is nobody's.
"""

import mmap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

IN_MEMORY = 1 << 28  # bytes of the arrays of a split: one that has less is read at once
CHUNK = 1 << 16  # frames at a time where all of them are looked at
# Of gathers from anywhere, windows and frames at a time: systems may hand out 2 MB of a file where a byte is touched.
WINDOWS, GATHERED = 32, 1 << 13


class Mapped:
    """A file whose arrays are read where they are touched. They must not be written to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __reduce__(self) -> tuple[type["Mapped"], tuple[Path]]:
        return Mapped, (self._path,)

    def array(self, dataset: h5py.Dataset) -> Tensor:
        """An array of the file; one that does not lie in it in one piece, as the store writes them, is read."""
        start: int | None = dataset.id.get_offset() if dataset.chunks is None else None
        in_place = dataset.dtype.isnative and start is not None and start % dataset.dtype.itemsize == 0
        if start is None or not in_place or start + dataset.nbytes > len(self._bytes):
            return torch.from_numpy(dataset[:])
        flat = np.frombuffer(self._bytes, dataset.dtype, dataset.size, start)
        with warnings.catch_warnings():  # that it cannot be written to
            warnings.simplefilter("ignore", UserWarning)
            return torch.from_numpy(flat.reshape(dataset.shape))

    def release(self) -> None:
        """Let go of the memory of what was touched."""
        if hasattr(mmap, "MADV_DONTNEED"):  # where a system lets nobody say so, it takes what it needs itself
            self._bytes.madvise(mmap.MADV_DONTNEED)


def over(mapped: Mapped | None, change: Callable[..., Tensor], *arrays: Tensor) -> Tensor:
    """What a function makes of every frame of arrays by itself; of mapped ones, some frames at a time."""
    if mapped is None:
        return change(*arrays)
    return torch.cat(list(chunks(mapped, change, *arrays)))


def chunks(mapped: Mapped | None, change: Callable[..., Tensor], *arrays: Tensor) -> Iterator[Tensor]:
    """What a function makes of some frames of arrays after others."""
    for parts in zip(*(array.split(CHUNK) for array in arrays), strict=True):
        yield change(*parts)
        if mapped is not None:
            mapped.release()


def gathered(mapped: Mapped | None, array: Tensor, frames: Tensor) -> Tensor:
    """Frames of an array, by their numbers or a mask."""
    if mapped is None:
        return array[frames]
    numbers = frames.nonzero()[:, 0] if frames.dtype == torch.bool else frames
    parts = []
    for some in numbers.split(GATHERED):
        parts.append(array[some])
        mapped.release()
    return torch.cat(parts)
