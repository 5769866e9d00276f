"""The HDF5 store of preprocessed poses.

A group a split (train, validation, test) holds contiguous float32 arrays, all frames back to back, a table of
sequences, and `cameras`, the camera of each as JSON. Where any of them has frame times of its own, it also holds
`times`, in float64: the seconds of every frame since the first of its sequence. 3D positions are read only where
`labels` asks for them: objectives that claim to train without labels never do.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lib.data import checked
from lib.data import mapped as mapping
from lib.data.calibration import calibrate
from lib.data.split import Split, labelled_only
from lib.data.tables import read_table, write_table
from lib.pose.cameras import Camera
from lib.pose.layout import Layout
from lib.pose.skeleton import Skeleton
from lib.runtime.bounds import one_line
from lib.runtime.errors import UserError
from lib.runtime.files import replacing, require_file
from lib.sources.base import PoseSequence, Recorded


@contextlib.contextmanager
def opened(path: Path, made_by: str) -> Iterator[h5py.File]:
    """An HDF5 file for reading.

    Raises:
        UserError: it is missing or damaged; the message names the stage that makes it.
    """
    require_file(path, f"run `dvc repro {made_by}` first")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:  # by what is damaged
        what = one_line(str(error).replace("'", ""))
        raise UserError(f"{path} is damaged ({what}): delete it and run `dvc repro {made_by}`") from None


def write_skeleton(file: h5py.File, skeleton: Skeleton) -> None:
    """Name the joints that a file's arrays have, and their parents."""
    file.attrs["joints"], file.attrs["parents"] = list(skeleton.names), list(skeleton.parents)


def read_skeleton(file: h5py.File) -> Skeleton:
    """What `write_skeleton` wrote; raises ValueError where it is no tree."""
    names, parents = tuple(map(str, file.attrs["joints"])), tuple(map(int, file.attrs["parents"]))
    if len(names) != len(parents) or parents.count(-1) != 1 or not all(-1 <= one < len(names) for one in parents):
        raise ValueError("joints and parents that are no tree")
    return Skeleton(names, parents)


def write_layout(file: h5py.File, layout: Layout) -> None:
    """Say what the arrays of a file have: joints and parents as for `write_skeleton`, and the whole layout as JSON."""
    write_skeleton(file, layout.skeleton)
    file.attrs["layout"] = json.dumps(layout.dump())


def read_layout(file: h5py.File) -> Layout:
    """What `write_layout` wrote."""
    return Layout.load(json.loads(file.attrs["layout"]))


def has_labels(path: Path, split: str) -> bool:
    """Whether any sequence of a split has 3D positions."""
    with opened(path, "preprocess") as file:
        return f"{split}/positions" in file


WRITTEN = 1 << 14  # frames at a time
Labels = Literal["never", "needed", "if any"]


def split_of(sequences: Sequence[PoseSequence], layout: Layout) -> Split:
    """A split of sequences: 2D calibrated, and positions if any of them has some, not a number for those without."""
    joints = len(layout)
    calibrated = [calibrate(sequence, layout.skeleton) for sequence in sequences]
    keypoints, confidence, rays = zip(*calibrated, strict=True) if sequences else ((), (), ())
    labelled = not sequences or any(s.positions is not None for s in sequences)
    return Split(
        layout,
        _table(sequences),
        _back_to_back(keypoints, (joints, 2)),
        _back_to_back(confidence, (joints,)),
        _back_to_back(rays, (joints, 2)),
        _back_to_back([_positions(s) for s in sequences], (joints, 3)) if labelled else None,
        torch.cat([_times(s) for s in sequences]) if any(s.times is not None for s in sequences) else None,
    )


def write(path: Path, splits: Mapping[str, Sequence[Recorded]], layout: Layout) -> None:
    """Write the store, of each split what `split_of` makes of its sequences, one of them at a time."""
    with replacing(path, durable=True) as temporary, h5py.File(temporary, "w") as file:
        write_layout(file, layout)
        for name, sequences in splits.items():
            group, table = file.create_group(name), _table(sequences)
            write_table(group, table)
            described = {camera: asdict(camera) for camera in {sequence.camera for sequence in sequences}}
            group["cameras"] = json.dumps([described[sequence.camera] for sequence in sequences])
            frames = _Frames(group, _shapes(sequences, len(layout)), int(table["length"].sum()))
            for sequence in sequences:
                frames.add(_parts(sequence.read(), layout))
            frames.flush()


def _shapes(sequences: Sequence[Recorded], joints: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """The arrays that a split has, with the shape of a frame and the kind of number."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "keypoints": ((joints, 2), "f4"),
        "confidence": ((joints,), "f4"),
        "rays": ((joints, 2), "f4"),
    }
    if not sequences or any(s.labelled for s in sequences):
        shapes["positions"] = ((joints, 3), "f4")
    if any(s.timed for s in sequences):
        shapes["times"] = ((), "f8")
    return shapes


def _parts(sequence: PoseSequence, layout: Layout) -> dict[str, Tensor]:
    """What each array may have of a sequence."""
    parts = calibrate(sequence, layout.skeleton)._asdict()
    return {**parts, "positions": _positions(sequence), "times": _times(sequence)}


class _Frames:
    """Writes arrays of a split, many frames at a time, for HDF5 takes long over each."""

    def __init__(self, group: h5py.Group, shapes: Mapping[str, tuple[tuple[int, ...], str]], total: int) -> None:
        self._group, self._shapes, self._total = group, shapes, total
        self._arrays: dict[str, h5py.Dataset] = {}
        self._waiting: dict[str, list[Tensor]] = {name: [] for name in shapes}
        self._written = self._count = 0

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """The frames of the next sequence."""
        for name, waiting in self._waiting.items():
            waiting.append(parts[name])
        self._count += len(parts["keypoints"])
        if self._count >= WRITTEN:
            self.flush()

    def flush(self) -> None:
        """Write what waits; the first time makes the arrays, one after the other, as they then lie."""
        for name, (shape, kind) in self._shapes.items():
            if name not in self._arrays:
                self._arrays[name] = self._group.create_dataset(name, (self._total, *shape), kind)
            if waiting := self._waiting[name]:
                values = torch.cat(waiting).numpy()
                self._arrays[name][self._written : self._written + len(values)] = values
                waiting.clear()
        self._written, self._count = self._written + self._count, 0


def tested(path: Path, other: Path) -> Path:
    """The store whose test split is tested on: the other one, if it is there and has any."""
    if not other.exists():
        return path
    with opened(other, "preprocess") as file:
        return other if "test" in file else path


def read_split(path: Path, split: str, labels: Labels = "never") -> Split:
    """Read a split into memory, and its 3D positions as `labels` says.

    Where they are needed, frames without them are left out; "if any" keeps all, and the positions of those that have
    none are not a number.

    Raises:
        UserError: the store or the split is missing or empty, its 2D is not finite, or labels are needed and there
            are none.
    """
    with opened(path, "preprocess") as file:
        checked.check_split(file, split, len(read_layout(file)))
        if split not in file or len(file[split]["length"]) == 0:
            raise UserError(f"{path} has no {split} sequences: name subjects that the source has in data.split.{split}")
        group = file[split]
        labelled = "positions" in group
        if labels == "needed" and not labelled:
            raise UserError(f"{path} has no 3D for the {split} split: this source has keypoints only")
        names = ["keypoints", "confidence", "rays"]
        names += ["positions"] if labelled and labels != "never" else []
        names += ["times"] if "times" in group else []
        large = sum(group[name].nbytes for name in names) > mapping.IN_MEMORY
        mapped = mapping.Mapped(path) if large else None
        arrays = {name: mapped.array(group[name]) if mapped else torch.from_numpy(group[name][:]) for name in names}
        whole = Split(
            layout=read_layout(file),
            table=read_table(group),
            keypoints=arrays["keypoints"],
            confidence=arrays["confidence"],
            rays=arrays["rays"],
            positions=arrays.get("positions"),
            times=arrays.get("times"),
            mapped=mapped,
        )
    _check_finite(path, whole)
    return labelled_only(whole) if labels == "needed" else whole


def read_cameras(path: Path, split: str) -> list[Camera]:
    """The camera of each sequence of a split, with which its rays were made; raises UserError as `read_split` does."""
    with opened(path, "preprocess") as file:
        if "cameras" not in file.get(split, {}):
            raise UserError(f"{path} has no cameras of a {split} split: run `dvc repro preprocess`")
        return checked.read_cameras(checked.check_group(file, split))


def _check_finite(path: Path, split: Split) -> None:
    """Refuse 2D that would make every loss and statistic not a number; `write` makes none."""
    for name, values in (("rays", split.rays), ("confidence", split.confidence), ("keypoints", split.keypoints)):
        bad = mapping.over(split.mapped, _bad_frames, values).nonzero()
        if len(bad):
            row = split.table.iloc[int(split.table["start"].searchsorted(int(bad[0]), side="right")) - 1]
            raise UserError(
                f"{path}: {name} of {row['subject']}/{row['action']}/{row['camera']}, {len(bad)} frames in all, "
                "are not finite: run `dvc repro -f preprocess`"
            )


def _positions(sequence: PoseSequence) -> Float[Tensor, "frame joint 3"]:
    if sequence.positions is None:
        return torch.full((*sequence.keypoints.shape[:-1], 3), torch.nan)
    return sequence.positions


def _times(sequence: PoseSequence) -> Float[Tensor, " frame"]:
    """Seconds since the first frame, in float64, which tells frames apart after hours too."""
    if sequence.times is None:
        return torch.arange(len(sequence.keypoints), dtype=torch.float64) / sequence.fps
    return sequence.times.double() - sequence.times[0].double()


def _back_to_back(parts: Sequence[Tensor], shape: tuple[int, ...]) -> Tensor:
    return torch.cat(list(parts)).float() if parts else torch.zeros(0, *shape)


def _table(sequences: Sequence[Recorded]) -> pd.DataFrame:
    """The rows of sequences that lie back to back."""
    lengths = np.array([s.frames for s in sequences], np.int64)
    columns = {
        "subject": np.array([s.subject for s in sequences], object),
        "action": np.array([s.action for s in sequences], object),
        "camera": np.array([s.camera.name for s in sequences], object),
        "fps": np.array([s.rate for s in sequences], np.float64),
        "width": np.array([s.camera.size[0] for s in sequences], np.int64),
        "height": np.array([s.camera.size[1] for s in sequences], np.int64),
        "start": np.cumsum(lengths) - lengths,
        "length": lengths,
    }
    return pd.DataFrame(columns)


def _bad_frames(values: Tensor) -> Tensor:
    """The frames with a number that is not finite."""
    if values.sum().isfinite():  # much faster, and true of all of them unless they are as large as floats can be
        return torch.zeros(len(values), dtype=torch.bool)
    return (~values.isfinite()).flatten(1).any(1)
