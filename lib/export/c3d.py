"""C3D: the places of points, for programs of motion laboratories.

Millimetres; x right, y away from the camera, z up, as laboratories have it. Points are named as in TRC files. Of a
motion in the camera frame, y and z change their signs first. Frames are evenly spaced (`lib.export.upright`).

Residuals are 0: how far off the model expects points to be does not fit into them, since readers disagree about which
of their bits mean what.

ezc3d writes it, which is kept well; the package c3d, in pure Python, writes no file without analog data, and is the
reference in the tests.
"""

import importlib
import warnings
from pathlib import Path
from typing import Any

import torch

from lib.export.upright import evenly_spaced, points_of, upright
from lib.inference.motion import Motion
from lib.runtime.errors import UserError

_MOST_FRAMES = 65_535  # its header counts in 16 bits
_MILLIMETRES = 1000.0


def check(motion: Motion) -> None:
    """Refuse what the format cannot hold, and to write it without its library; raises UserError."""
    _library()
    if (frames := len(evenly_spaced(motion))) > _MOST_FRAMES:
        raise UserError(f"{motion.name}: a C3D file holds {_MOST_FRAMES} frames, not {frames}: choose another format")


def write(motion: Motion, path: Path) -> None:
    """Write one file."""
    motion = evenly_spaced(upright(motion))
    points = points_of(motion)
    x, y, z = (points.places.double() * _MILLIMETRES).unbind(-1)
    file = _library().c3d()
    point = file["parameters"]["POINT"]
    point["LABELS"]["value"], point["UNITS"]["value"], point["RATE"]["value"] = list(points.names), ["mm"], [motion.fps]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file["data"]["points"] = torch.stack([x, -z, y, torch.ones_like(x)]).mT.numpy()
    file.write(str(path))


def _library() -> Any:
    try:
        with warnings.catch_warnings():  # those of the tool that its binding is made with
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("ezc3d")
    except ImportError:
        raise UserError("C3D files need the package ezc3d: pip install ezc3d==1.7.2") from None
