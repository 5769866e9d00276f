"""Files of `torch.save` that hold plain tensors, strings and numbers in mappings and lists, from whoever wrote them.

Opening one runs no code, and takes no more memory than the file is large: members that are packed, and tensors that
show the same numbers many times over, are none that this project writes.
"""

import gzip
import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.runtime.bounds import one_line, unpacked_limit

PACKED = ".gz"
MAX_VALUES = 1_000_000  # with what references to the same object stand for


def load(path: Path) -> Any:
    """The content of a file, on the CPU; one whose name ends in .gz is unpacked.

    Raises:
        Exception: of any kind, as torch, pickle and zip make them, where the file is damaged or holds anything else.
    """
    file = io.BytesIO(_unpacked(path)) if path.suffix == PACKED else path.open("rb")
    with file:
        size = file.seek(0, io.SEEK_END)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it has packed members")
        if sum(member.file_size for member in members) > size:
            raise ValueError("it claims more than it holds")
        file.seek(0)
        with warnings.catch_warnings():  # of kinds of tensors that are refused
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True)
    _check(content, [0])
    return content


def what_is_wrong(error: Exception) -> str:
    """In words where they are ours: those of torch say how to run what a file names."""
    return one_line(str(error)) if type(error) is ValueError else type(error).__name__


def _unpacked(path: Path) -> bytes:
    limit = unpacked_limit(path)
    with gzip.open(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError("it unpacks to more than such a file can be")
    return content


def _check(node: Any, count: list[int]) -> None:
    """Refuse what is not plain, or is there too often; raises ValueError."""
    count[0] += 1
    if count[0] > MAX_VALUES:
        raise ValueError(f"it stands for more than {MAX_VALUES:,} values")
    if isinstance(node, Tensor):
        whole = node.layout == torch.strided and node.device.type == "cpu" and not node.is_quantized
        if not whole or node.untyped_storage().nbytes() < node.numel() * node.element_size():
            raise ValueError("it has a tensor that is not plain")
    elif isinstance(node, Mapping):
        for key, value in node.items():
            _check(key, count)
            _check(value, count)
    elif isinstance(node, list | tuple):
        for value in node:
            _check(value, count)
    elif not isinstance(node, str | int | float | bool | None):
        raise ValueError(f"it has a {type(node).__name__}")
