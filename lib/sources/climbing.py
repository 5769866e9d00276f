"""Motion capture of people who climb over boxes: poses that no other source has, with true 3D.

It is a demonstration of holosoma-retargeting (Apache-2.0): 12,939 frames of 53 joints of Motive's skeleton, world frame
z up, metres, by two people (two sets of bone lengths). The files name neither joints nor frame rate. Their order is
that of the wheel's own table; the names below were given after looking at the poses. 120 Hz is Motive's usual rate and
agrees with the motion: at it, bodies fall with 6.8 m/s^2 at most (over 12 frames that a parabola fits to a millimetre),
and people walk at up to 1.3 m/s; above 144 Hz they would fall faster than stones.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.cameras import Camera
from lib.runtime.errors import UserError
from lib.sources.parcels import Parcel
from lib.sources.virtual_cameras import SIZE, camera_around

FPS = 120.0
JOINTS_IN_FILE = 53
TAKES = {0: "f900-3700", 1: "f0-2422", 2: "f100-3110", 3: "f200-2600", 4: "f0-2303"}
# Joint -> its position in the files. Fingers are left out but for those that a hand's turn needs; the feet come twice.
JOINTS = {
    "pelvis": 0,
    "spine": 1,  # at the height of the navel
    "chest": 2,  # 24 cm above it
    "neck": 3,  # its base, between the shoulders
    "head": 4,  # its base, 14 to 16 cm above the neck's
    **{
        f"{side}_{joint}": first + offset
        for side, first in (("left", 5), ("right", 24))
        for joint, offset in (("collar", 0), ("shoulder", 1), ("elbow", 2), ("wrist", 3), ("index", 7), ("pinky", 16))
    },
    **{
        f"{side}_{joint}": first + offset
        for side, first in (("left", 43), ("right", 47))
        for joint, offset in (("hip", 0), ("knee", 1), ("ankle", 2), ("toe", 3))
    },
}
ELEVATIONS = (-20.0, 10.0, 40.0, 70.0)  # degrees above the horizon
_FOCAL = 1150.0  # pixels

CAPTURE = Parcel(
    "holosoma-retargeting==0.1.0",
    "holosoma_retargeting-0.1.0-py3-none-any.whl",
    "3dcdcc06c6705c091478808024298dfcc684d9eb49e890cc6b11fc03fa246cb4",
    102,
    "motion capture of climbing",
    {
        f"holosoma_retargeting/demo_data/climb/mocap_climb_seq_{take}/"
        f"mocap_climb_seq_{take}_joint_positions_{frames}.npy": f"climb_{take}.npy"
        for take, frames in TAKES.items()
    },
)


class Motion(NamedTuple):
    """A take; joints are `JOINTS`, in this order."""

    name: str
    fps: float
    positions: Float[Tensor, "frame joint 3"]  # metres, world frame, z up

    def cameras(self, elevations: tuple[float, ...] = ELEVATIONS) -> list[Camera]:
        """A camera for each elevation in degrees, which stands still and has all of the take in its picture.

        Each is turned on by the golden angle around the vertical.
        """
        middle = (self.positions.amin((0, 1)) + self.positions.amax((0, 1))) / 2
        radius = float(torch.linalg.vector_norm(self.positions - middle, dim=-1).max())
        distance = radius * math.hypot(1, 2 * _FOCAL / SIZE)  # a ball that touches the picture's edges
        turns = (math.pi * (3 - math.sqrt(5)) * number for number in range(len(elevations)))
        return [
            camera_around(f"elevation{degrees:g}", middle, math.radians(degrees), turn, distance, _FOCAL)
            for degrees, turn in zip(elevations, turns, strict=True)
        ]


def read_climbing(folder: Path) -> list[Motion]:
    """All takes.

    Raises:
        UserError: a file is missing or damaged.
    """
    return [Motion(f"climb_{take}", FPS, _read(folder / f"climb_{take}.npy")) for take in TAKES]


def _read(path: Path) -> Float[Tensor, "frame joint 3"]:
    try:
        content = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `python -m stages.wild --prepare`, which fetches it") from None
    except (ValueError, EOFError):
        content = np.empty(0)
    if content.ndim != 3 or content.shape[1:] != (JOINTS_IN_FILE, 3) or content.dtype.kind != "f":
        raise UserError(f"{path} is no take of {JOINTS_IN_FILE} joints: delete its folder and prepare again")
    return torch.from_numpy(content.astype(np.float32))[:, list(JOINTS.values())]
