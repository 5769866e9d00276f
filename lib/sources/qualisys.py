"""Cameras from a calibration that Qualisys Track Manager exported (.qca.txt, XML).

Its lengths are millimetres, its pixels are counted in units of 1/64, and its cameras look along their negative z axis
with y up. Its distortion coefficients are OpenCV's, as they stand: pose2sim's converter divides them by 64 as if they
were pixels, which leaves almost none (lib/sources/wild.py says how that was found out).
"""

from pathlib import Path
from xml.etree import ElementTree

import torch

from lib.pose.cameras import Camera
from lib.pose.geometry import matrix_to_quaternion
from lib.runtime.errors import UserError

SUBPIXELS = 64.0
MILLIMETRES = 1000.0


def read_cameras(path: Path) -> list[Camera]:
    """The calibrated cameras of a file, in its order, in metres.

    Raises:
        UserError: the file is missing or is no such calibration.
    """
    try:
        entries = ElementTree.parse(path).getroot().findall("cameras/camera")
        cameras = [_camera(entry) for entry in entries]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `python -m stages.wild --prepare`, which fetches it") from None
    except (ElementTree.ParseError, KeyError, ValueError, AttributeError):
        raise UserError(f"{path} is no calibration of Qualisys (.qca.txt): export it again") from None
    if not cameras:
        raise UserError(f"{path} has no camera: export the calibration again")
    return cameras


def _camera(entry: ElementTree.Element) -> Camera:
    video, transform, intrinsic = (
        {name: float(value) for name, value in entry.find(tag).attrib.items() if name != "type"}  # type: ignore[union-attr]
        for tag in ("fov_video", "transform", "intrinsic")
    )
    turn = torch.tensor(
        [[transform[f"r{row}{column}"] for column in (1, 2, 3)] for row in (1, 2, 3)], dtype=torch.float64
    )
    # A row is one of the camera's axes in the world; ours has y down and z forward.
    axes = turn * turn.new_tensor([[1.0], [-1.0], [-1.0]])
    w, x, y, z = matrix_to_quaternion(axes.mT).tolist()
    return Camera(
        entry.attrib["serial"],
        (int(video["right"] - video["left"] + 1), int(video["bottom"] - video["top"] + 1)),
        (intrinsic["focalLengthU"] / SUBPIXELS, intrinsic["focalLengthV"] / SUBPIXELS),
        (intrinsic["centerPointU"] / SUBPIXELS - video["left"], intrinsic["centerPointV"] / SUBPIXELS - video["top"]),
        (intrinsic["radialDistortion1"], intrinsic["radialDistortion2"], intrinsic["radialDistortion3"]),
        # Camera's tangential terms are named the other way round
        (intrinsic["tangentalDistortion2"], intrinsic["tangentalDistortion1"]),
        (w, x, y, z),
        (transform["x"] / MILLIMETRES, transform["y"] / MILLIMETRES, transform["z"] / MILLIMETRES),
    )
