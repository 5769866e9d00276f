"""Cameras that nobody set up: for motion capture, which has 3D and no pictures.

Without distortion, upright, and around the person: `data.virtual_cameras` says how far away and how high. The defaults
are Human3.6M's, whose four cameras stand 4.1 to 5.5 metres from the middle of the room and look down by 10 to 16
degrees, with a field of view of 47 degrees (`lib.sources.h36m_cameras`).
"""

import hashlib
import math

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.cameras import Camera, focal_of_fov
from lib.pose.geometry import matrix_to_quaternion
from lib.sources.base import VirtualCameraParams

SIZE = 1000  # pixels
MARGIN = 1.1  # metres around the pelvis, of a person with raised arms


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
