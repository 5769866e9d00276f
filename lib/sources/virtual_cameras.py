"""Cameras that nobody set up: for motion capture, which has 3D and no pictures.

Without distortion, upright, and around the person: `data.virtual_cameras` says how far away and how high. The defaults
are Human3.6M's, whose four cameras stand 4.1 to 5.5 metres from the middle of the room and look down by 10 to 16
degrees, with a field of view of 47 degrees (`lib.sources.h36m_cameras`).
"""

import hashlib
import math
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from lib.pose.cameras import Camera, focal_of_fov
from lib.pose.geometry import matrix_to_quaternion
from lib.runtime.params import Section

SIZE = 1000  # pixels
MARGIN = 1.1  # metres around the pelvis, of a person with raised arms

Degrees = Annotated[float, Field(ge=-80, le=80)]
Metres = Annotated[float, Field(ge=1.5, le=100)]


class VirtualCameraParams(Section):
    """`data.virtual_cameras`: where cameras stand before whom motion capture is performed."""

    count: Annotated[int, Field(ge=1, le=64)]  # of every take; evenly around it
    elevation_deg: tuple[Degrees, Degrees]  # they look down by this: from, to
    distance_m: tuple[Metres, Metres]  # from the person where nearest: from, to
    fov_deg: Annotated[float, Field(ge=10, le=120)]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]  # another one places cameras, and draws noise, in another way

    @model_validator(mode="after")
    def _check(self) -> "VirtualCameraParams":
        for name in ("elevation_deg", "distance_m"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} = [{low:g}, {high:g}]: the first must not be above the second")
        return self


def virtual_cameras(
    take: str, path: Float[Tensor, "frame 3"], params: VirtualCameraParams
) -> list[tuple[Camera, torch.Generator]]:
    """The cameras of a take, and a generator for the noise of each; the same for the same take and seed.

    `path` is the pelvis's, in metres, world frame z up. A camera stands still and has all of the path in its picture.
    """
    focal = focal_of_fov(params.fov_deg, SIZE)
    middle = (path.amin(0) + path.amax(0)) / 2
    radius = float((path - middle)[:, :2].norm(dim=-1).max())
    in_picture = (radius + MARGIN) / math.tan(math.radians(params.fov_deg) / 2)
    generator = _generator(params.seed, take)
    first = math.tau * float(torch.rand((), generator=generator))
    found = []
    for view in range(params.count):
        high, far = torch.rand(2, generator=generator).tolist()
        elevation = math.radians(_between(params.elevation_deg, high))
        distance = max(_between(params.distance_m, far) + radius, in_picture)
        azimuth = first + math.tau * view / params.count
        camera = camera_around(f"view{view + 1}", middle, elevation, azimuth, distance, focal)
        found.append((camera, _generator(params.seed, take, str(view))))
    return found


def camera_around(
    name: str, middle: Float[Tensor, "3"], elevation: float, azimuth: float, distance: float, focal: float
) -> Camera:
    """An upright camera that looks at `middle` from an elevation and an azimuth, in radians; metres, z up."""
    away = middle.new_tensor(
        (math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation))
    )
    right = middle.new_tensor((-math.sin(azimuth), math.cos(azimuth), 0.0))
    axes = torch.stack([right, torch.linalg.cross(right, away), -away], dim=-1)  # x right, y down, z forward
    w, x, y, z = matrix_to_quaternion(axes).tolist()
    px, py, pz = (middle + distance * away).tolist()
    half = (SIZE - 1) / 2
    return Camera(name, (SIZE, SIZE), (focal, focal), (half, half), orientation=(w, x, y, z), position=(px, py, pz))


def _between(bounds: tuple[float, float], share: float) -> float:
    low, high = bounds
    return low + (high - low) * share


def _generator(seed: int, *names: str) -> torch.Generator:
    digest = hashlib.sha256("/".join([str(seed), *names]).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
