"""Small files that claim, or unpack to, more than a machine has: each is read in a process that may take little.

`python -m tests.security.bombs FOLDER` writes and reads all of them, and prints a line of JSON each.
"""

import gzip
import io
import json
import resource
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from lib.runtime.errors import UserError
from tests.security.readers import READERS
from tests.sources.test_npz import write_pickle

ALLOWED = 400 << 20  # bytes beside what the process has when it begins
ZEROS = 300 << 20  # that the packed ones unpack to


def zeros(path: Path, name: str) -> None:
    """A zip of a member that unpacks to a thousand times its size."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open(name, "w") as file:
        for _ in range(ZEROS >> 20):
            file.write(bytes(1 << 20))


def npy(path: Path, shape: tuple[int, ...]) -> None:
    """An npz whose array has a shape and next to nothing in it."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})  # type: ignore[no-untyped-call]
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("positions_2d", "metadata"):
            archive.writestr(f"{name}.npy", header.getvalue() + bytes(64))


def member_of_10_gb(path: Path) -> None:
    """A zip that says that its member has 10 GB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("positions_2d.npy", bytes(1000))
        archive.writestr("metadata.npy", bytes(1000))
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        struct.pack_into("<I", content, place + 24, 0xFFFF_FF00)
        place = content.find(b"PK\x01\x02", place + 1)
    path.write_bytes(bytes(content))


def packed_checkpoint(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(ZEROS >> 20):
            file.write(bytes(1 << 20))


def deep(path: Path) -> None:
    path.write_text('{"a":' * 100_000)


def laughs(path: Path) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines))


def png(width: int, height: int) -> Callable[[Path], object]:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return lambda path: path.write_bytes(content)


def claims(name: str, shape: tuple[int, ...], **options: Any) -> Callable[[Path], object]:
    """An array of a store that claims numbers that are not there."""

    def change(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[name]
            file.create_dataset(name, shape, "f4", **options)

    return change


def sparse(size: int) -> Callable[[Path], object]:
    """A file with a size and nothing on the disk."""

    def change(path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(size)

    return change


def pickled(content: bytes) -> Callable[[Path], object]:
    return lambda path: write_pickle(path, content, "metadata")


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def checkpoint(**changes: Any) -> Callable[[Path], object]:
    """Another model than the weights are of, or weights that repeat a number without end."""

    def change(path: Path) -> None:
        content = torch.load(path, weights_only=True)
        content["model"]["params"].update({k: v for k, v in changes.items() if k != "weights"})
        if "weights" in changes:
            name = next(iter(content["weights"]))
            content["weights"][name] = changes["weights"]
        torch.save(content, path)

    return change


_POSE = [{"image_id": 0, "keypoints": [9.0] * 51}, {"image_id": 2**52, "keypoints": [8.0] * 51}]
_HIERARCHY = (
    "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n"
)
BOMBS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "an npz of zeros": ("h36m 2D", lambda path: zeros(path, "metadata.npy")),
    "an npz of a member of 4 GB": ("h36m 2D", member_of_10_gb),
    "an npz of an array of 1e9 frames": ("h36m 2D", lambda path: npy(path, (10**9, 17, 2))),
    "an npz of a detector's 1e9 frames": ("keypoints videopose3d", lambda path: npy(path, (10**9, 17, 2))),
    "a pickle with a far place": ("h36m 2D", pickled(b"\x80\x04N" + b"r\xff\xff\xff\xff" + b".")),
    "a pickle of long bytes": ("h36m 2D", pickled(b"\x80\x04\x8e" + (10**12).to_bytes(8, "little") + b".")),
    "a pickle of a long frame": ("h36m 2D", pickled(b"\x80\x04\x95" + (10**12).to_bytes(8, "little") + b".")),
    "recordings of zeros": ("recordings", lambda path: zeros(path, "recordings.npy")),
    "a checkpoint of zeros": ("packed checkpoint", packed_checkpoint),
    "a checkpoint of packed members": ("checkpoint", lambda path: zeros(path, "m/data.pkl")),
    "a checkpoint of a huge network": ("checkpoint", checkpoint(width=2048, hidden=16384, encoder_depth=64)),
    "a checkpoint of endless weights": ("checkpoint", checkpoint(weights=torch.ones(1).bfloat16().expand(10**12))),
    "a state of packed members": ("state", lambda path: zeros(path, "s/data.pkl")),
    "a store of 1e9 frames": ("store", claims("train/keypoints", (10**9, 17, 2))),
    "a packed store of 1e9 frames": (
        "store", claims("train/keypoints", (10**9, 17, 2), chunks=(9, 17, 2), compression=9)
    ),
    "predictions of 1e9 frames": ("predictions", claims("predicted", (10**9, 17, 3))),
    "examples of 1e9 windows": ("examples", claims("reconstruction/whole", (10**9, 3, 17, 2))),
    "params of anchors": ("params", laughs),
    "params of 100 GB": ("params", sparse(100 << 30)),
    "cameras of anchors": ("cameras", laughs),
    "a layout of anchors": ("layout", laughs),
    "JSON 100,000 deep": ("keypoints coco", deep),
    "JSON of 100 GB": ("keypoints coco", sparse(100 << 30)),
    "JSON of 2^52 frames": ("keypoints coco", text(json.dumps(_POSE))),
    "a clip 100,000 deep": ("clips", deep),
    "a clip that lasts forever": ("clips", text(json.dumps({"Frames": [[1e12] + [0.0] * 43] * 2}))),
    "a CSV of 100 GB": ("keypoints csv_wide", sparse(100 << 30)),
    "a table of 100 GB": ("table", sparse(100 << 30)),
    "labels of 100 GB": ("keypoints yolo_text", sparse(100 << 30)),
    "a BVH of 1e9 frames": ("bvh", text(f"{_HIERARCHY}MOTION\nFrames: 1000000000\nFrame Time: 0.01\n1 2 3\n")),
    "a BVH of 100 GB": ("bvh", sparse(100 << 30)),
    "a picture of 60,000 x 60,000": ("picture", png(60_000, 60_000)),
    "a picture of 30,000 x 30,000": ("picture", png(30_000, 30_000)),
}  # fmt: skip


def main(folder: Path) -> None:
    """Write all bombs, take away memory, and read them."""
    for number, (reader, write) in enumerate(BOMBS.values()):
        place = folder / str(number)
        for name, content in READERS[reader].files().items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
        write(place / READERS[reader].file)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ALLOWED
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for number, (what, (reader, _)) in enumerate(BOMBS.items()):
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        try:
            READERS[reader].read(folder / str(number))
            line = "was read"
        except UserError as error:
            line = f"error: {error}"
        except BaseException as error:  # noqa: BLE001
            line = f"{type(error).__name__}: {error}"
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        seconds = time.perf_counter() - began
        print(json.dumps({"what": what, "line": line, "megabytes": round(grown, 1), "seconds": round(seconds, 2)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
