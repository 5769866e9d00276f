"""Human3.6M in the files of VideoPose3D.

`data_3d_h36m.npz` holds {subject: {action: (frame, 32, 3)}}, metres, world frame, z up; `data_2d_h36m_NAME.npz` holds
{subject: {action: [(frame, 17, 2) a camera]}}, pixels. What is done with their known faults:

- 2D that goes on after the mocap's end (CPN and others) is cut to its length; 2D that ends before it is dropped,
  because nobody can say which frames are missing.
- Takes without 3D (S11 Directions, whose recording is corrupt) or without 2D, and takes whose 3D has a value that is
  not finite, are dropped. Every dropped sequence is reported with its reason.
- 2D that is not finite, or exactly (0, 0), is of a joint that was not detected (see `lib.data.calibration`).
- S2, S3 and S4 of the CPN files have no 3D at all: they are no subjects of this source.
- S9's Greeting, SittingDown 1 and Waiting 1, whose 3D is shifted against the video, are kept: VideoPose3D's protocol
  keeps them, and its published figures include them. (MotionBERT drops them.)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.pose.geometry import all_finite
from lib.pose.skeleton import H36M
from lib.runtime.bounds import one_line
from lib.runtime.errors import UserError
from lib.runtime.files import refuse_folder
from lib.sources import npz
from lib.sources.base import Dropped, Reason, Recorded, SourceData, SourceParams
from lib.sources.h36m_cameras import CAMERAS, SUBJECTS, cameras
from lib.sources.unread import seen_take, tensor

FPS = 50.0
# Which of the capture system's 32 joints are H36M's 17, in their order; the rest are duplicates, fingers and toes.
_KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
_CAPTURED = 32
_POSITIONS_FILE = "data_3d_h36m.npz"


def read(raw: Path, params: SourceParams) -> SourceData:
    """Read the sequences of the subjects in the split from VideoPose3D's two files in `raw`.

    Raises:
        UserError: a file is missing, damaged or not in VideoPose3D's layout.
    """
    positions_path, keypoints_path = _files(raw, params)
    require_files(raw, params)
    positions_file = npz.opened(positions_path, "positions_3d")
    positions = npz.takes(positions_file.content, positions_path)
    _check_layout(keypoints_path)
    keypoints_file = npz.opened(keypoints_path, "positions_2d")
    keypoints = npz.takes(keypoints_file.content, keypoints_path)

    def release() -> None:
        positions_file.release()
        keypoints_file.release()

    subjects = tuple(subject for subject in SUBJECTS if subject in positions and subject in keypoints)
    sequences, dropped, cut = list[Recorded](), list[Dropped](), 0
    for subject in (subject for subject in subjects if subject in params.subjects):
        filming = cameras(subject)
        for action in dict.fromkeys([*positions[subject], *keypoints[subject]]):
            world = positions[subject].get(action)
            views = keypoints[subject].get(action)
            _check_world(world, f"{positions_path}: {subject} {action}")
            _check_views(views, f"{keypoints_path}: {subject} {action}")
            joints = _KEPT if world is not None and world.shape[1] == _CAPTURED else tuple(range(len(H36M)))
            finite = world is None or all_finite(tensor(world[:, joints]))
            release()
            for number, camera in enumerate(filming):
                view = views[number] if views is not None else None
                reason = _fault(world, view, finite)
                if world is None or view is None or reason:
                    frames = max(0 if part is None else len(part) for part in (world, view))
                    dropped.append(Dropped(subject, action, camera.name, frames, reason or "no_2d"))
                else:
                    cut += len(view) - len(world)
                    sequences.append(seen_take((subject, action, camera, FPS), world, view, release, joints))
    return SourceData(sequences, dropped, subjects, cut)


def _fault(world: NDArray[Any] | None, view: NDArray[Any] | None, finite: bool) -> Reason | None:
    if world is None:
        return "no_3d"
    if view is None:
        return "no_2d"
    if len(view) < len(world):
        return "shorter_than_mocap"
    return None if finite else "not_finite"


def _files(raw: Path, params: SourceParams) -> tuple[Path, Path]:
    return raw / _POSITIONS_FILE, raw / f"data_2d_h36m_{params.keypoints}.npz"


def require_files(raw: Path, params: SourceParams) -> None:
    """Refuse to begin without the two files; raises UserError, which says where they come from."""
    for path in _files(raw, params):
        refuse_folder(path, ", and put there the file of that name")
    missing = [path.name for path in _files(raw, params) if not path.is_file()]
    if missing:
        there = ", ".join(sorted(path.name for path in raw.glob("data_2d_h36m_*.npz"))) or "none"
        raise UserError(
            f"{raw} lacks {' and '.join(missing)}: put there what DATASETS.md of facebookresearch/VideoPose3D on "
            "GitHub says how to make (you need a licence for Human3.6M); data.keypoints is the NAME in "
            f"data_2d_h36m_NAME.npz, of which are present: {there}"
        )


def _check_layout(path: Path) -> None:
    """Some 2D files have 17 joints of another skeleton (COCO's): their mirror pairs tell."""
    metadata = npz.read(path, "metadata")
    pairs = metadata.get("keypoints_symmetry") if isinstance(metadata, Mapping) else None
    try:
        sides: object = [[int(joint) for joint in side] for side in pairs] if pairs is not None else None
    except (TypeError, ValueError, OverflowError):
        sides = one_line(repr(pairs))
    if sides != [list(H36M.left), list(H36M.right)]:
        layout = metadata.get("layout_name", "unnamed") if isinstance(metadata, Mapping) else "unnamed"
        found = f"layout {one_line(repr(layout))}, left and right {one_line(str(sides))}"
        raise UserError(
            f"{path} is not in Human3.6M's layout of {len(H36M)} joints ({found}): "
            "use keypoints of a detector that was fine-tuned on Human3.6M"
        )


def _check_world(content: Any, where: str) -> None:
    """Refuse a take's 3D that is no array of poses."""
    if content is not None and not _is_frames(content, joints=(len(H36M), _CAPTURED), coords=(3,)):
        raise UserError(f"{where}: 3D must be (frames, 32 or 17, 3), but is {_shape(content)}")


def _check_views(content: Any, where: str) -> None:
    """Refuse a take's 2D that is not an array a camera; a third coordinate is the confidence."""
    if content is None:
        return
    if not isinstance(content, list | tuple | np.ndarray) or len(content) != len(CAMERAS):
        raise UserError(f"{where}: 2D must be a list of {len(CAMERAS)} cameras, but is {_shape(content)}")
    for view in content:
        if not _is_frames(view, joints=(len(H36M),), coords=(2, 3)):
            raise UserError(f"{where}: 2D of a camera must be (frames, 17, 2 or 3), but is {_shape(view)}")


def _is_frames(content: Any, joints: tuple[int, ...], coords: tuple[int, ...]) -> bool:
    if not (isinstance(content, np.ndarray) and content.ndim == 3 and content.dtype.kind in "fiu"):
        return False
    return content.shape[1] in joints and content.shape[2] in coords


def _shape(content: Any) -> str:
    if isinstance(content, np.ndarray):
        return f"{content.dtype} of shape {content.shape}"
    return f"a {type(content).__name__} of {len(content)}" if hasattr(content, "__len__") else type(content).__name__
