"""JSON, CSV, npz and HDF5: all numbers of a motion, in its own frame of reference.

JSON, npz and HDF5 hold the same, under the same names: arrays with one entry a frame (`frame_numbers`, `times` in
seconds, `pixels`, `confidence`, `keypoints`, `keypoint_error`, `joints`, `joint_error`, and `target` where the true
keypoints are known), the names and parents of keypoints and joints, and what they mean (`about`: units, frame of
reference, axes, scale, layout and so on). In JSON, what is not known is null.

CSV holds one row a frame under one row of names: frame, time, and then of each joint x, y, z and error in metres, and
of each keypoint also confidence, u and v (its pixels, right and down). Where keypoints are no others than the joints,
they share columns; else a keypoint's are named `keypoint_NAME_x` and so on. What is not known is empty. JSON and CSV
are rounded to 0.1 mm, 0.01 pixels and microseconds.
"""

import json
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
import orjson
import torch
from jaxtyping import Shaped
from torch import Tensor

from lib.inference.motion import Motion
from lib.pose.skeleton import H36M

VERSION = 1
AXES = {
    "camera": "x right, y down, z forward; the camera is at the origin",
    "world": "x right, y up, z towards the camera; the floor is y = 0",
}
_METRES, _PIXELS, _SHARE, _SECONDS = 4, 2, 4, 6  # decimals
_DECIMALS = {"times": _SECONDS, "pixels": _PIXELS, "confidence": _SHARE}
Array: TypeAlias = npt.NDArray[Any]


def about(motion: Motion) -> dict[str, Any]:
    """What the numbers of a motion mean, in plain values."""
    return {
        "format": "motion",
        "version": VERSION,
        "name": motion.name,
        "person": motion.person,
        "model": motion.model,
        "video": motion.video.name if motion.video else "",
        "units": {"3d": "metres", "errors": "metres", "pixels": "pixels, right and down", "times": "seconds"},
        "frame_of_reference": motion.frame,
        "axes": AXES[motion.frame],
        "scale": motion.scale,
        "picture_size": list(motion.size),
        "fps": motion.fps,
        "layout": motion.layout.dump(),
    }


def names(motion: Motion) -> dict[str, tuple[str, ...] | tuple[int, ...]]:
    """The names of points and the indices of those that they hang on; -1: the root."""
    return {
        "keypoint_names": motion.layout.keypoints,
        "keypoint_parents": motion.layout.skeleton.parents,
        "joint_names": H36M.names,
        "joint_parents": H36M.parents,
    }


def arrays(motion: Motion) -> dict[str, Shaped[Array, "frame ..."]]:
    """All that has one entry a frame; floats in float32, times in float64."""
    parts: dict[str, Tensor | None] = {
        "frame_numbers": motion.numbers,
        "times": motion.times.double(),
        "pixels": motion.pixels.float(),
        "confidence": motion.confidence.float(),
        "keypoints": motion.keypoints.float(),
        "keypoint_error": motion.keypoint_error.float(),
        "joints": motion.joints.float(),
        "joint_error": motion.joint_error.float(),
        "target": None if motion.target is None else motion.target.float(),
    }
    return {name: part.detach().cpu().contiguous().numpy() for name, part in parts.items() if part is not None}


def write_json(motion: Motion, path: Path) -> None:
    """Write one file."""
    numbers = {name: _rounded(array, _DECIMALS.get(name, _METRES)) for name, array in arrays(motion).items()}
    content = {"about": about(motion), **names(motion), **numbers}
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))


def write_npz(motion: Motion, path: Path) -> None:
    """Write one file, without pickles; `about` is text in JSON."""
    with path.open("wb") as file:  # a path would get a second suffix where it has another
        content = {"about": np.array(json.dumps(about(motion))), **_of_names(motion), **arrays(motion)}
        np.savez_compressed(file, allow_pickle=False, **content)


def write_h5(motion: Motion, path: Path) -> None:
    """Write one file: datasets, and what they mean as attributes; units and layout are text in JSON."""
    with h5py.File(path, "w") as file:
        for name, array in arrays(motion).items():
            file.create_dataset(name, data=array, compression="gzip", compression_opts=1, shuffle=True)
        for name, value in {**about(motion), **names(motion)}.items():
            file.attrs[name] = json.dumps(value) if isinstance(value, dict) else value


def write_csv(motion: Motion, path: Path) -> None:
    """Write one file."""
    columns: list[tuple[str, Tensor, int]] = []  # name, values, decimals
    joints, keypoints = _columns(motion, of_keypoints=False), _columns(motion, of_keypoints=True)
    shared = motion.layout.exact
    for joint, name in enumerate(H36M.names):
        parts = joints + (keypoints[len(joints) :] if shared else [])
        columns += [(f"{name}_{suffix}", values[:, joint], decimals) for suffix, values, decimals in parts]
    for keypoint, name in enumerate(() if shared else motion.layout.keypoints):
        columns += [(f"keypoint_{name}_{part}", values[:, keypoint], decimals) for part, values, decimals in keypoints]
    table = torch.stack([motion.times, *(values for _, values, _ in columns)], 1).double()
    table = torch.where(table.isfinite(), table, torch.nan)
    decimals = torch.tensor([_SECONDS, *(places for _, _, places in columns)])
    table = torch.round(table * 10.0**decimals) / 10.0**decimals + 0.0  # no -0
    line = ",".join(["%d", *(f"%.{places}f" for places in decimals.tolist())])
    rows = zip(motion.numbers.tolist(), table.tolist(), strict=True)
    body = "\n".join(line % (number, *row) for number, row in rows).replace("nan", "")
    head = ",".join(["frame", "time", *(_cell(name) for name, _, _ in columns)])
    path.write_text(f"{head}\n{body}\n", encoding="utf-8")


def _columns(motion: Motion, of_keypoints: bool) -> list[tuple[str, Tensor, int]]:
    """Suffix, values of all points and decimals of each column that a point has."""
    places, error = (motion.keypoints, motion.keypoint_error) if of_keypoints else (motion.joints, motion.joint_error)
    found = [(axis, places[..., index], _METRES) for index, axis in enumerate("xyz")] + [("error", error, _METRES)]
    if of_keypoints:
        found += [("confidence", motion.confidence, _SHARE)]
        found += [(axis, motion.pixels[..., index], _PIXELS) for index, axis in enumerate("uv")]
    return found


def _cell(text: str) -> str:
    """A name in a row of names; one with a comma, a quote or a line's end stands in quotes."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text


def _rounded(array: Shaped[Array, "frame ..."], decimals: int) -> Shaped[Array, "frame ..."]:
    """Floats in float64, so that they are written with no more digits than these decimals."""
    return array if array.dtype.kind == "i" else np.round(array.astype(np.float64), decimals) + 0.0


def _of_names(motion: Motion) -> dict[str, Shaped[Array, " point"]]:
    return {name: np.array(values) for name, values in names(motion).items()}
