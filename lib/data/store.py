"""The HDF5 store of preprocessed poses.

A group a split (train, validation, test) holds contiguous float32 arrays, all frames back to back, and a table of
sequences, so that a window is an index range. 3D positions are read only where `labels` asks for them: objectives that
claim to train without labels never do.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.data.calibration import calibrate
from lib.data.sequences import PoseSequence
from lib.errors import UserError
from lib.files import replacing

COLUMNS = ("subject", "action", "camera", "fps", "width", "height", "start", "length")


@dataclass(frozen=True)
class Split:
    """All frames of a split, back to back, and where each sequence lies in them."""

    table: pd.DataFrame  # a row a sequence, with COLUMNS
    keypoints: Float[Tensor, "frame joint 2"]  # pixels
    confidence: Float[Tensor, "frame joint"]  # 0 to 1; 0: hidden
    rays: Float[Tensor, "frame joint 2"]  # calibrated, distortion undone: (X, Y) / Z in the camera frame
    positions: Float[Tensor, "frame joint 3"] | None  # metres, camera frame; None unless asked for. NaN: has no 3D

    @property
    def shown(self) -> Bool[Tensor, " frame"]:
        """The frames that show somebody; rays of the others, and of a root that is hidden, are stand-ins."""
        return (self.confidence > 0).any(-1)

    @property
    def labelled(self) -> Bool[Tensor, " frame"]:
        """The frames of sequences whose 3D is here."""
        if self.positions is None:
            return torch.zeros(len(self.keypoints), dtype=torch.bool)
        return self.positions.isfinite().flatten(1).all(1)


@contextlib.contextmanager
def opened(path: Path, made_by: str) -> Iterator[h5py.File]:
    """An HDF5 file for reading.

    Raises:
        UserError: it is missing or damaged; the message names the stage that makes it.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: run `dvc repro {made_by}` first")
    try:
        file = h5py.File(path, "r")
    except OSError:
        raise UserError(f"{path} is damaged: delete it and run `dvc repro {made_by}`") from None
    with file:
        yield file


def has_labels(path: Path, split: str) -> bool:
    """Whether any sequence of a split has 3D positions."""
    with opened(path, "preprocess") as file:
        return f"{split}/positions" in file


def write(path: Path, splits: Mapping[str, Sequence[PoseSequence]]) -> None:
    """Write the store; a split has positions if any of its sequences does, not a number for those that do not."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for name, sequences in splits.items():
            group = file.create_group(name)
            _write_table(group, sequences)
            keypoints, confidence, rays = zip(*map(calibrate, sequences), strict=True) if sequences else ((), (), ())
            _write_array(group, "keypoints", keypoints, (17, 2))
            _write_array(group, "confidence", confidence, (17,))
            _write_array(group, "rays", rays, (17, 2))
            if not sequences or any(s.positions is not None for s in sequences):
                _write_array(group, "positions", [_positions(s) for s in sequences], (17, 3))


def read_split(path: Path, split: str, labels: bool = False, unlabelled: bool = False) -> Split:
    """Read a split into memory; its 3D positions only with `labels`, and of sequences then only those that have them.

    With `unlabelled`, the others stay, and their positions are not a number.

    Raises:
        UserError: the store or the split is missing or empty, or labels are asked for and there are none.
    """
    with opened(path, "preprocess") as file:
        if split not in file or len(file[split]["length"]) == 0:
            raise UserError(f"{path} has no {split} sequences: name subjects that the source has in data.split.{split}")
        group = file[split]
        if labels and "positions" not in group:
            raise UserError(f"{path} has no 3D for the {split} split: this source has keypoints only")
        whole = Split(
            table=_read_table(group),
            keypoints=torch.from_numpy(group["keypoints"][:]),
            confidence=torch.from_numpy(group["confidence"][:]),
            rays=torch.from_numpy(group["rays"][:]),
            positions=torch.from_numpy(group["positions"][:]) if labels else None,
        )
    return whole if unlabelled or not labels else labelled_only(whole)


def labelled_only(split: Split) -> Split:
    """The sequences of a split whose 3D is here."""
    kept = split.labelled
    if split.positions is None or kept.all():
        return split
    table = split.table[kept[torch.from_numpy(split.table["start"].to_numpy())].numpy()]
    table = table.assign(start=table["length"].cumsum() - table["length"]).reset_index(drop=True)
    return Split(table, split.keypoints[kept], split.confidence[kept], split.rays[kept], split.positions[kept])


def _positions(sequence: PoseSequence) -> Float[Tensor, "frame joint 3"]:
    if sequence.positions is None:
        return torch.full((*sequence.keypoints.shape[:-1], 3), torch.nan)
    return sequence.positions


def _write_array(group: h5py.Group, name: str, parts: Sequence[Tensor], shape: tuple[int, ...]) -> None:
    array = torch.cat(list(parts)).float().numpy() if parts else np.zeros((0, *shape), np.float32)
    group.create_dataset(name, data=array)


def _write_table(group: h5py.Group, sequences: Sequence[PoseSequence]) -> None:
    lengths = np.array([len(s.keypoints) for s in sequences], np.int64)
    text = h5py.string_dtype()
    group.create_dataset("subject", data=[s.subject for s in sequences], dtype=text)
    group.create_dataset("action", data=[s.action for s in sequences], dtype=text)
    group.create_dataset("camera", data=[s.camera.name for s in sequences], dtype=text)
    group.create_dataset("fps", data=np.array([s.fps for s in sequences], np.float64))
    group.create_dataset("width", data=np.array([s.camera.size[0] for s in sequences], np.int64))
    group.create_dataset("height", data=np.array([s.camera.size[1] for s in sequences], np.int64))
    group.create_dataset("start", data=np.cumsum(lengths) - lengths)
    group.create_dataset("length", data=lengths)


def _read_table(group: h5py.Group) -> pd.DataFrame:
    columns = {}
    for name in COLUMNS:
        dataset = group[name]
        columns[name] = dataset.asstr()[:] if dataset.dtype.kind == "O" else dataset[:]
    return pd.DataFrame(columns)
