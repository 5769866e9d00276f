"""The HDF5 store of preprocessed poses.

A group a split (train, validation, test) holds contiguous float32 arrays, all frames back to back, a table of
sequences, and `cameras`, the camera of each as JSON. Where any of them has frame times of its own, it also holds
`times`, in float64: the seconds of every frame since the first of its sequence. 3D positions are read only where
`labels` asks for them: objectives that claim to train without labels never do.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.data import checked
from lib.data.calibration import calibrate
from lib.data.confidence import ray_std
from lib.data.tables import read_table, write_table
from lib.pose.cameras import Camera
from lib.pose.layouts import Layout
from lib.pose.skeleton import Skeleton
from lib.runtime.bounds import one_line
from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.sequences.noise import Timing
from lib.sources.base import PoseSequence


@dataclass(frozen=True)
class Split:
    """All frames of a split, back to back, and where each sequence lies in them.

    `times` are there if any sequence has frame times of its own. Its rate in the table, `fps`, is then that of the
    median distance between them.
    """

    layout: Layout  # of the keypoints and the positions
    table: pd.DataFrame  # a row a sequence, with lib.data.tables.COLUMNS
    keypoints: Float[Tensor, "frame joint 2"]  # pixels
    confidence: Float[Tensor, "frame joint"]  # 0 to 1; 0: hidden
    rays: Float[Tensor, "frame joint 2"]  # calibrated, distortion undone: (X, Y) / Z in the camera frame
    positions: Float[Tensor, "frame joint 3"] | None  # metres, camera frame; None unless asked for. NaN: no 3D
    times: Float[Tensor, " frame"] | None = None  # seconds since a sequence's first frame; None: constant rates

    @property
    def skeleton(self) -> Skeleton:
        """The tree of the keypoints."""
        return self.layout.skeleton

    @cached_property
    def std(self) -> Float[Tensor, "frame joint"]:
        """The standard deviation of each ray's noise, as far as the 2D tells (`lib.data.confidence`)."""
        return ray_std(self.rays, self.confidence, self.timing)

    def with_std(self, std: Float[Tensor, "frame joint"]) -> "Split":
        """The same with noise that was found otherwise."""
        changed = replace(self)
        vars(changed)["std"] = std
        return changed

    @property
    def detected(self) -> Bool[Tensor, " frame"]:
        """The frames that show somebody; rays of the others, and of a root that is hidden, are stand-ins."""
        return (self.confidence > 0).any(-1)

    @property
    def labelled(self) -> Bool[Tensor, " frame"]:
        """The frames whose 3D is here."""
        if self.positions is None:
            return torch.zeros(len(self.keypoints), dtype=torch.bool)
        return self.positions.isfinite().flatten(1).all(1)

    @property
    def timing(self) -> Timing:
        """How long the sequences are, and at what rate or times."""
        return Timing(self.table["length"].tolist(), self.table["fps"].tolist(), self.times)

    def take(self, frames: Tensor, table: pd.DataFrame) -> "Split":
        """Some of the frames, by their numbers or a mask, which lie back to back as a table's sequences say.

        Of each sequence the frames are successive ones from its first on, so that times stay those since the first.
        """
        positions, times = (None if part is None else part[frames] for part in (self.positions, self.times))
        parts = (self.keypoints[frames], self.confidence[frames], self.rays[frames])
        return Split(self.layout, table, *parts, positions, times)


@contextlib.contextmanager
def opened(path: Path, made_by: str) -> Iterator[h5py.File]:
    """An HDF5 file for reading.

    Raises:
        UserError: it is missing or damaged; the message names the stage that makes it.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro {made_by}` first")
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


def write(path: Path, splits: Mapping[str, Sequence[PoseSequence]], layout: Layout) -> None:
    """Write the store, of each split what `split_of` makes of its sequences."""
    with replacing(path, durable=True) as temporary, h5py.File(temporary, "w") as file:
        write_layout(file, layout)
        for name, sequences in splits.items():
            group, split = file.create_group(name), split_of(sequences, layout)
            write_table(group, split.table)
            group["cameras"] = json.dumps([asdict(sequence.camera) for sequence in sequences])
            for array in ("keypoints", "confidence", "rays", "positions", "times"):
                if (values := getattr(split, array)) is not None:
                    group.create_dataset(array, data=values.numpy())


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
        whole = Split(
            layout=read_layout(file),
            table=read_table(group),
            keypoints=torch.from_numpy(group["keypoints"][:]),
            confidence=torch.from_numpy(group["confidence"][:]),
            rays=torch.from_numpy(group["rays"][:]),
            positions=torch.from_numpy(group["positions"][:]) if labelled and labels != "never" else None,
            times=torch.from_numpy(group["times"][:]) if "times" in group else None,
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
        bad = (~values.isfinite()).flatten(1).any(1).nonzero()
        if len(bad):
            row = split.table.iloc[int(split.table["start"].searchsorted(int(bad[0]), side="right")) - 1]
            raise UserError(
                f"{path}: {name} of {row['subject']}/{row['action']}/{row['camera']}, {len(bad)} frames in all, "
                "are not finite: run `dvc repro -f preprocess`"
            )


def labelled_only(split: Split) -> Split:
    """The frames of a split whose 3D is here.

    Where only some frames of a sequence have 3D, it has times: the frames that are left are not evenly spaced.
    """
    kept = split.labelled
    if split.positions is None or kept.all():
        return split
    lengths = split.table["length"].tolist()
    counts = torch.tensor([int(part.sum()) for part in kept.split(lengths)])
    table = split.table[(counts > 0).numpy()].assign(length=counts[counts > 0].numpy())
    table = table.assign(start=table["length"].cumsum() - table["length"]).reset_index(drop=True)
    if torch.equal(counts[counts > 0], torch.tensor(lengths)[counts > 0]):
        return split.take(kept, table)
    timing = split.timing
    constant = [
        torch.arange(length, dtype=torch.float64) / fps for length, fps in zip(lengths, timing.fps, strict=True)
    ]
    times = torch.cat(constant) if split.times is None else split.times
    parts = times[kept].split(table["length"].tolist())
    rates = [_median_rate(part, fps) for part, fps in zip(parts, table["fps"], strict=True)]
    return replace(split.take(kept, table.assign(fps=rates)), times=torch.cat([part - part[0] for part in parts]))


def _median_rate(times: Float[Tensor, " frame"], fps: float) -> float:
    """Frames a second of times, as `PoseSequence.rate`; `fps` of a single frame."""
    return 1 / float(times.double().diff().quantile(0.5)) if len(times) > 1 else fps


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


def _table(sequences: Sequence[PoseSequence]) -> pd.DataFrame:
    """The rows of sequences that lie back to back."""
    lengths = np.array([len(s.keypoints) for s in sequences], np.int64)
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
