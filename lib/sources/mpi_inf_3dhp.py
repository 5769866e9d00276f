"""MPI-INF-3DHP in the files that lifters use: those of P-STMO (W. Shan et al., ECCV 2022).

`data_train_3dhp.npz` holds {"S1 Seq1": [{camera: {data_2d, data_3d}}, ...]}, `data_test_3dhp.npz` {"TS1": {data_2d,
data_3d, valid}}: pixels, and millimetres in the camera frame, of the 17 joints of the layout mpi_inf_3dhp. The data set
is D. Mehta et al.'s (Monocular 3D human pose estimation in the wild using improved CNN supervision, 3DV 2017).

- Its 3D may be the universal one (`univ_annot3`, each body scaled about the camera): the 2D is the same.
- Frames of the test set that are not valid have no 3D here: the protocol measures the others alone. Their 2D stays.
- The files hold no lenses: they are found from 2D and 3D (`lib.pose.lens`). Pictures have 2048 x 2048 pixels, those of
  TS5 and TS6, outdoors, 1920 x 1080.
- Frame rates are the data set's: 50 a second in the sequences of `FAST`, else 25. For the test set nobody gives any;
  25 fits the length of its sequences, which is that of training sequences at 25.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lib.pose.cameras import Camera
from lib.pose.layouts import LAYOUTS
from lib.pose.lens import fitted
from lib.runtime.bounds import one_line, readable_name
from lib.runtime.errors import UserError
from lib.runtime.files import refuse_folder
from lib.sources import npz
from lib.sources.base import Dropped, PoseSequence, Recorded, SourceData, SourceParams
from lib.sources.unread import Unread, tensor

LAYOUT = LAYOUTS["mpi_inf_3dhp"]
TRAIN, TEST = "data_train_3dhp.npz", "data_test_3dhp.npz"
KEYPOINTS = ("gt",)
FPS, FAST_FPS = 25.0, 50.0
FAST = ("S1 Seq2", "S3 Seq1", "S3 Seq2", "S5 Seq1", "S5 Seq2")
_MM = 1000.0
# Lenses to begin from: the data set's calibrations have 1490 to 1500 pixels, and 1680 outdoors.
_STUDIO = Camera("studio", (2048, 2048), (1500.0, 1500.0), (1024.0, 1024.0))
_OUTDOORS = Camera("outdoors", (1920, 1080), (1680.0, 1680.0), (960.0, 540.0))
_LENSES = {"TS5": _OUTDOORS, "TS6": _OUTDOORS}


class Entry(NamedTuple):
    """What the files have of one video."""

    subject: str
    action: str
    camera: str
    fps: float
    content: Any


def check(params: SourceParams) -> None:
    """Refuse keypoints that there are not; raises UserError."""
    if params.keypoints not in KEYPOINTS:
        raise UserError(
            f"params.yaml: data.keypoints = {params.keypoints!r}: {params.source} has {' and '.join(KEYPOINTS)}"
        )


def read(raw: Path, params: SourceParams) -> SourceData:
    """Read the sequences of the subjects in the split: S1 to S8, and TS1 to TS6 of the test set.

    Raises:
        UserError: a file is missing, damaged or not P-STMO's, or no sequence can be used.
    """
    check(params)
    require_files(raw, params)
    sequences, dropped, subjects = list[Recorded](), list[Dropped](), dict[str, None]()
    for name in _needed(params):
        file = npz.opened(raw / name, "data")
        for entry in _entries(raw / name, file.content):
            subjects[entry.subject] = None
            if entry.subject not in params.subjects:
                continue
            problem = _problem(entry.content)
            if problem:
                where = f"{raw}: {entry.subject} {entry.action} {entry.camera}: {problem}"
                dropped.append(Dropped(entry.subject, entry.action, entry.camera, 0, "unreadable", where))
            else:
                sequences.append(_sequence(entry, file.release))
    if dropped and not sequences:
        raise UserError(f"none of {len(dropped)} sequences can be used; the first: {dropped[0].why}")
    return SourceData(sequences, dropped, tuple(subjects), layout=LAYOUT)


def require_files(raw: Path, params: SourceParams) -> None:
    """Refuse to begin without the files that the split needs; raises UserError, which says where they come from."""
    for name in _needed(params):
        refuse_folder(raw / name, ", and put there the file of that name")
    missing = [name for name in _needed(params) if not (raw / name).is_file()]
    if missing:
        raise UserError(
            f"{raw} lacks {' and '.join(missing)}: put there what the README of paTRICK-swk/P-STMO on GitHub says how "
            "to make (you need the data set of vcai.mpi-inf.mpg.de/3dhp-dataset)"
        )


def _needed(params: SourceParams) -> list[str]:
    """The files with the split's subjects."""
    tested = [subject.startswith("TS") for subject in params.subjects]
    return [TRAIN] * (not all(tested)) + [TEST] * any(tested)


def _entries(path: Path, content: Any) -> Iterator[Entry]:
    """Every video of a file."""
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path} is not in P-STMO's layout: it must hold {{sequence: ...}}")
    for name, value in content.items():
        if path.name == TEST:
            _check_names(path, str(name))
            yield Entry(str(name), str(name), "video", FPS, value)
            continue
        subject, _, action = str(name).partition(" ")
        cameras = value[0] if isinstance(value, Sequence | np.ndarray) and len(value) else value
        if not action or not isinstance(cameras, Mapping):
            raise UserError(
                f"{path} is not in P-STMO's layout: {one_line(repr(name))} must be SUBJECT SEQUENCE with its cameras"
            )
        fps = FAST_FPS if name in FAST else FPS
        for camera, video in cameras.items():
            _check_names(path, subject, action, str(camera))
            yield Entry(subject, action, str(camera), fps, video)


def _check_names(path: Path, *names: str) -> None:
    for name in names:
        if not readable_name(name):
            raise UserError(f"{path} has the name {one_line(repr(name))}: sequences and cameras must have plain text")


def _problem(content: Any) -> str | None:
    """What is wrong with a video's arrays."""
    if not isinstance(content, Mapping):
        return "no data_2d and data_3d"
    frames = None
    for key, coords in (("data_2d", (2, 3)), ("data_3d", (3,))):
        array = content.get(key)
        if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "fiu":
            return f"{key} is no array of numbers of three dimensions"
        if array.shape[1] != len(LAYOUT) or array.shape[2] not in coords:
            return f"{key} must be (frames, {len(LAYOUT)}, {coords[0]}), but is {array.shape}"
        if frames not in (None, len(array)):
            return f"{len(array)} frames of 3D and {frames} of 2D"
        frames = len(array)
    valid = content.get("valid")
    if valid is not None and np.size(valid) != frames:
        return f"{np.size(valid)} frames are valid or not, and there are {frames}"
    return None


def _sequence(entry: Entry, release: Callable[[], None]) -> Unread:
    """A video before the camera that its 2D and 3D say."""
    whole = _read(entry)
    release()
    camera, frames = whole.camera, len(whole.keypoints)
    if whole.positions is not None:
        shown = whole.positions.isfinite().flatten(1).all(1)
        camera = fitted(camera, whole.positions[shown].flatten(0, 1), whole.keypoints[shown].flatten(0, 1))

    def load(some: slice | Tensor) -> PoseSequence:
        read = _read(entry).read(some)
        release()
        return read

    labelled = whole.positions is not None
    return Unread(entry.subject, entry.action, camera, entry.fps, load, frames, labelled=labelled, complete=False)


def _read(entry: Entry) -> PoseSequence:
    """The arrays of a video, before the lens to begin from."""
    keypoints, positions = (tensor(entry.content[key]) for key in ("data_2d", "data_3d"))
    positions = positions / _MM
    valid = entry.content.get("valid")
    shown = positions.isfinite().flatten(1).all(1)
    if valid is not None:
        shown &= torch.from_numpy(np.array(valid, np.float32).reshape(-1) > 0)
    positions[~shown] = torch.nan
    lens = _LENSES.get(entry.subject, _STUDIO)
    return PoseSequence(
        subject=entry.subject,
        action=entry.action,
        camera=Camera(entry.camera, lens.size, lens.focal, lens.center),
        fps=entry.fps,
        keypoints=keypoints[..., :2].contiguous(),
        confidence=keypoints[..., 2].clamp(0, 1) if keypoints.shape[-1] > 2 else torch.ones(keypoints.shape[:-1]),
        positions=positions if shown.any() else None,
    )
