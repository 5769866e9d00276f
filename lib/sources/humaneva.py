"""HumanEva-I in the files of VideoPose3D, with 15 joints.

`data_3d_humaneva15.npz` holds {"Train/S1": {"Walking 1 chunk0": (frame, 15, 3)}}, metres, world frame, z up;
`data_2d_humaneva15_NAME.npz` {the same: [(frame, 15, 2) a camera]}, pixels of three colour cameras, 640 x 480, 60
frames a second. Takes are cut where the mocap fails: into chunks. The data set is L. Sigal et al.'s (HumanEva, IJCV
2010).

Where cameras stand is the data set's calibration, as VideoPose3D has it in common/humaneva_dataset.py. Lenses are in
neither: they are found from each subject's 2D and 3D (`lib.pose.lens`), distortion included. Takes without 2D or 3D in
a camera are dropped with their reason.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.pose.cameras import Camera
from lib.pose.layouts import LAYOUTS
from lib.pose.lens import fitted
from lib.runtime.errors import UserError
from lib.runtime.files import refuse_folder
from lib.sources import npz
from lib.sources.base import Dropped, Reason, Recorded, SourceData, SourceParams
from lib.sources.unread import seen_take, tensor

FPS = 60.0
LAYOUT = LAYOUTS["humaneva_15"]
CAMERAS = ("C1", "C2", "C3")
_POSITIONS_FILE = "data_3d_humaneva15.npz"
_SIZE = (640, 480)
_LENS = Camera("", _SIZE, (765.0, 765.0), (320.0, 240.0))  # to begin from: what C1's calibration has
# Orientation (w-first quaternion) and position (metres) of each camera; S3's are S1's.
_S1 = (
    ((0.424207, -0.4983646, -0.5802981, 0.4847012), (4.062227, 0.6632477, 1.528397)),
    ((0.6503354, -0.7481602, -0.0919284, 0.0941766), (0.8448131, -3.8052092, 1.5049929)),
    ((0.0664734, -0.0690535, 0.7416416, -0.6639132), (-0.79767377, 3.9163174, 1.4336602)),
)
_S2 = (
    ((0.4214752, -0.4961493, -0.5838273, 0.4851187), (4.1129121, 0.6264929, 1.5452988)),
    ((0.6501393, -0.7476588, -0.0954617, 0.0959808), (0.923574, -3.8779243, 1.5045518)),
    ((0.0699353, -0.0712403, 0.7421637, -0.662742), (-0.7814915, 3.8388853, 1.4449929)),
)
STANDS = {"S1": _S1, "S2": _S2, "S3": _S1}


def read(raw: Path, params: SourceParams) -> SourceData:
    """Read the sequences of the subjects in the split, such as Train/S1 and Validate/S1.

    Raises:
        UserError: a file is missing, damaged or not in VideoPose3D's layout, or no take can be used.
    """
    require_files(raw, params)
    positions_path, keypoints_path = _files(raw, params)
    files = npz.opened(positions_path, "positions_3d"), npz.opened(keypoints_path, "positions_2d")
    positions = npz.takes(files[0].content, positions_path)
    keypoints = npz.takes(files[1].content, keypoints_path)

    def release() -> None:
        for file in files:
            file.release()

    subjects = tuple(name for name in positions if name in keypoints and _person(name) in STANDS)
    sequences, dropped = list[Recorded](), list[Dropped]()
    lenses: dict[str, list[Camera]] = {}
    joints = tuple(range(len(LAYOUT)))
    for subject in (name for name in subjects if name in params.subjects):
        person = _person(subject)
        if person not in lenses:
            same = [name for name in subjects if _person(name) == person]
            lenses[person] = _lenses(person, [(positions[name], keypoints[name]) for name in same])
        for action in dict.fromkeys([*positions[subject], *keypoints[subject]]):
            world, views = positions[subject].get(action), keypoints[subject].get(action)
            for view, camera in enumerate(lenses[person]):
                fault = _fault(world, views, view)
                if world is None or views is None or fault:
                    dropped.append(_dropped(subject, action, camera, world, *(fault or ("no_2d", ""))))
                else:
                    sequences.append(seen_take((subject, action, camera, FPS), world, views[view], release, joints))
            release()
    if dropped and not sequences:
        raise UserError(f"none of {len(dropped)} takes below {raw} can be used; the first: {dropped[0].why}")
    return SourceData(sequences, dropped, subjects, layout=LAYOUT)


def require_files(raw: Path, params: SourceParams) -> None:
    """Refuse to begin without the two files; raises UserError, which says where they come from."""
    for path in _files(raw, params):
        refuse_folder(path, ", and put there the file of that name")
    missing = [path.name for path in _files(raw, params) if not path.is_file()]
    if missing:
        there = ", ".join(sorted(path.name for path in raw.glob("data_2d_humaneva15_*.npz"))) or "none"
        raise UserError(
            f"{raw} lacks {' and '.join(missing)}: put there what DATASETS.md of facebookresearch/VideoPose3D on "
            "GitHub says how to make (you need a licence for HumanEva); data.keypoints is the NAME in "
            f"data_2d_humaneva15_NAME.npz, of which are present: {there}"
        )


def _files(raw: Path, params: SourceParams) -> tuple[Path, Path]:
    return raw / _POSITIONS_FILE, raw / f"data_2d_humaneva15_{params.keypoints}.npz"


def _person(subject: str) -> str:
    return subject.rpartition("/")[2]


def _stands(person: str) -> list[Camera]:
    return [
        Camera(name, _SIZE, _LENS.focal, _LENS.center, orientation=orientation, position=position)
        for name, (orientation, position) in zip(CAMERAS, STANDS[person], strict=True)
    ]


def _lenses(person: str, takes: list[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[Camera]:
    """A person's cameras, with the lenses that all of the person's takes say."""
    cameras = []
    for view, camera in enumerate(_stands(person)):
        points, pixels = [], []
        for positions, keypoints in takes:
            for action, world in positions.items():
                if _fault(world, keypoints.get(action), view) is None:
                    points.append(camera.to_camera(tensor(world).double()).flatten(0, 1))
                    pixels.append(tensor(keypoints[action][view])[..., :2].flatten(0, 1))
        cameras.append(fitted(camera, torch.cat(points), torch.cat(pixels), distortion=True) if points else camera)
    return cameras


def _dropped(subject: str, action: str, camera: Camera, world: Any, reason: Reason, why: str) -> Dropped:
    """A take that cannot be used in a camera."""
    where = f"HumanEva {subject} {action} {camera.name}: {why}" if reason == "unreadable" else ""
    frames = len(world) if isinstance(world, np.ndarray) and world.ndim else 0
    return Dropped(subject, action, camera.name, frames, reason, where)


def _fault(world: Any, views: Any, view: int) -> tuple[Reason, str] | None:
    """Why a take cannot be used in a view."""
    if world is None:
        return "no_3d", "no 3D"
    if views is None or not hasattr(views, "__len__") or len(views) <= view or views[view] is None:
        return "no_2d", "no 2D"
    seen, joints = views[view], len(LAYOUT)
    for name, array, coords in (("3D", world, (3,)), ("2D", seen, (2, 3))):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim != 3:
            return "unreadable", f"{name} is no array of numbers of three dimensions"
        if array.shape[1] != joints or array.shape[2] not in coords:
            return "unreadable", f"{name} must be (frames, {joints}, {coords[0]}), but is {array.shape}"
    if len(world) != len(seen):
        return "unreadable", f"{len(world)} frames of 3D and {len(seen)} of 2D"
    return None if np.isfinite(world).all() else ("not_finite", "3D is not finite")
