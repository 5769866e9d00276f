"""Human3.6M's four cameras for each of its seven subjects with 3D.

The figures are the data set's own calibration (C. Ionescu et al., Human3.6M, TPAMI 2014), as VideoPose3D publishes them
in common/h36m_dataset.py. The npz files do not hold them.
"""

import json
from pathlib import Path

from lib.pose.cameras import Camera

_FIGURES = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
SUBJECTS: tuple[str, ...] = tuple(_FIGURES["extrinsics"])
CAMERAS: tuple[str, ...] = tuple(_FIGURES["intrinsics"])  # in the order of the cameras in VideoPose3D's files


def cameras(subject: str) -> list[Camera]:
    """The cameras that filmed a subject, in the order of `CAMERAS`."""
    return [_camera(name, subject) for name in CAMERAS]


def _camera(name: str, subject: str) -> Camera:
    intrinsics, extrinsics = _FIGURES["intrinsics"][name], _FIGURES["extrinsics"][subject][name]
    x, y, z = (coordinate / 1000 for coordinate in extrinsics["translation_mm"])
    return Camera(
        name=name,
        size=tuple(intrinsics["size"]),
        focal=tuple(intrinsics["focal"]),
        center=tuple(intrinsics["center"]),
        radial=tuple(intrinsics["radial"]),
        tangential=tuple(intrinsics["tangential"]),
        orientation=tuple(extrinsics["orientation"]),
        position=(x, y, z),
    )
