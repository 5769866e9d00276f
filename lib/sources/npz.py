"""A reader of VideoPose3D's npz files that runs nothing of what is in them.

The files hold dicts and lists of arrays as pickles, and np.load(allow_pickle=True) calls whatever a pickle names. Here
a pickle gets stand-ins for the few names that arrays are made of, and no other. Not even numpy's own constructors are
handed out: they trust the state that they are given, so a forged one could make them read bytes as object pointers.

The unpickler is the one in Python, which claims no memory for numbers that a file has made up. What a file unpacks to,
and what its references to one and the same object stand for, is bounded.

Files of the size of a data set are not read into memory: `opened` gives arrays that stay in the unpacked file, and are
read where they are touched.
"""

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from lib.runtime.bounds import check_unpacked, check_zip, one_line, readable_name
from lib.runtime.errors import UserError
from lib.runtime.unpacked import Unpacked

MAX_VALUES = 2_000_000  # with what references to the same object stand for


class _Dtype:
    """Stands in for numpy.dtype: plain numbers, text and objects, no structures."""

    def __init__(self, code: str, *_flags: object) -> None:
        if not re.fullmatch(r"[biufSUO]\d{0,6}", code):
            raise ValueError(f"dtype {code!r} in a file of keypoints")
        self.value: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: Sequence[Any]) -> None:
        if any(part is not None for part in state[2:5]):
            raise ValueError("a structured dtype in a file of keypoints")
        self.value = self.value.newbyteorder(state[1])


class _Array:
    """Stands in for numpy.ndarray; `value` is the array, with stand-ins inside it if it holds objects."""

    value: Any = None

    def __setstate__(self, state: Sequence[Any]) -> None:
        _, shape, dtype, fortran, content = state
        if dtype.value.hasobject:
            flat = np.empty(len(content), object)
            for index, item in enumerate(content):  # one by one: numpy would take a list for a row
                flat[index] = item
        else:
            # Python 2 wrote bytes as text.
            raw = content.encode("latin1") if isinstance(content, str) else content
            flat = np.frombuffer(raw, dtype.value)
        self.value = flat.reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, content: bytes) -> Any:
    return np.frombuffer(content, dtype.value)[0]


def _encode(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")  # what protocol 2 writes bytes as, and nothing else


def _no_bytes() -> bytes:
    return b""  # which protocol 2 writes as a call


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
}


class _Unpickler(pickle._Unpickler):
    def __init__(self, file: Unpacked, path: Path) -> None:
        super().__init__(cast("IO[bytes]", file), encoding="latin1")
        self.path = path

    def _load_frame(self: Any) -> None:
        self.read(8)  # its length: what is in it is read where it is

    def _decode_string(self, value: bytes | memoryview) -> str:
        return str(value, "latin1")

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {**pickle._Unpickler.dispatch, pickle.FRAME[0]: _load_frame}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise UserError(
                f"{self.path} is not safe to read: it wants to run {module}.{name}; get it from its source again"
            )
        return _ALLOWED[module, name]


class Opened(NamedTuple):
    """An entry of an npz file whose arrays must not be written to: they may lie in a file, and begin at any byte."""

    content: Any
    release: Callable[[], None]  # lets go of the memory of what was touched


def read(path: Path, key: str) -> Any:
    """Read one entry of an npz file: an array, or the dicts, lists, strings, numbers and arrays that it holds.

    Raises:
        UserError: the file is damaged or no npz, has no such entry, or names anything but arrays to construct.
    """
    return _opened(path, key, own=True).content


def opened(path: Path, key: str) -> Opened:
    """The same, with arrays that are read where they are touched; raises UserError as `read` does."""
    return _opened(path, key, own=False)


def _opened(path: Path, key: str, own: bool) -> Opened:
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(path, archive)
            keys = [name.removesuffix(".npy") for name in archive.namelist()]
            if key not in keys:
                raise UserError(f"{path} has no {key!r}; it has {', '.join(keys) or 'nothing'}")
            file = Unpacked(archive, f"{key}.npy")
        content = _read_entry(file, path, own)
        file.release()
        return Opened(content, file.release)
    except UserError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        what = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{path} is damaged or no npz file ({what}); get it again") from None


def takes(content: Any, path: Path) -> Mapping[str, Mapping[str, Any]]:
    """What VideoPose3D's files hold: {subject: {action: ...}}; raises UserError where it is something else."""
    if not (isinstance(content, Mapping) and all(isinstance(actions, Mapping) for actions in content.values())):
        raise UserError(f"{path} is not in VideoPose3D's layout: it must hold {{subject: {{action: ...}}}}")
    for name in (*content, *(action for actions in content.values() for action in actions)):
        if not readable_name(name):
            raise UserError(f"{path} has the name {one_line(repr(name))}: subjects and actions must have plain text")
    return content


def _read_entry(file: Unpacked, path: Path, own: bool) -> Any:
    npy: Any = np.lib.format  # numpy leaves these functions without annotations
    version = npy.read_magic(file)
    shape, fortran, dtype = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    if dtype.hasobject:
        array = _Plain(path, own).value(_Unpickler(file, path).load())
        return array.item() if shape == () else array.reshape(shape, order="F" if fortran else "C")
    flat = _native(np.frombuffer(file.read(), dtype), own)
    return flat.reshape(shape, order="F" if fortran else "C")


def _native(array: NDArray[Any], own: bool) -> NDArray[Any]:
    """An array in this machine's byte order, as numpy reads it; one of its `own` can be written to."""
    return array.astype(array.dtype.newbyteorder("="), copy=own)


class _Plain:
    """Replaces the stand-ins by what they stand for, and counts what there is."""

    def __init__(self, path: Path, own: bool) -> None:
        self.path, self.own = path, own
        self.values = self.bytes = 0

    def value(self, node: Any) -> Any:
        self.values += 1
        if self.values > MAX_VALUES:
            raise ValueError(f"it stands for more than {MAX_VALUES:,} values")
        if isinstance(node, _Array | memoryview):
            self.bytes += node.nbytes if isinstance(node, memoryview) else node.value.nbytes
            check_unpacked(self.path, self.bytes)
        if isinstance(node, memoryview):
            return bytes(node)
        if isinstance(node, _Array):
            if node.value.dtype.hasobject:
                whole = np.empty(node.value.shape, object)
                for index in np.ndindex(node.value.shape):
                    whole[index] = self.value(node.value[index])
                return whole
            return _native(node.value, self.own)
        if isinstance(node, dict):
            return {self.value(key): self.value(value) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return type(node)([self.value(value) for value in node])
        return node
