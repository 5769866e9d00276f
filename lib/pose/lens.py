"""The lens of a camera from points whose place in its frame is known: for data sets with 2D and 3D, and no lens."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.cameras import Camera
from lib.pose.geometry import project

POINTS = 4000  # that are looked at, evenly spread
FEWEST = 50
LARGEST_FACTOR = 2.0  # of the focal length that is expected: beyond it the points are not what they are said to be
_ROBUST_PX = 3.0  # what is further off counts less


def fitted(
    camera: Camera,
    points: Float[Tensor, "point 3"],
    pixels: Float[Tensor, "point 2"],
    distortion: bool = False,
) -> Camera:
    """The camera with the focal lengths, the centre and, if wanted, OpenCV's k1 k2 p1 p2 that points and pixels say.

    Points are in the camera frame, in any unit; those that are not finite or not in front of the camera count nothing.
    Where nothing sensible is found, because there are too few points or they do not belong together, it is the camera
    that was given: the reprojection then tells (`lib.data.reprojection`).
    """
    good = points.isfinite().all(-1) & pixels.isfinite().all(-1) & (points[:, 2] > 0) & (pixels != 0).any(-1)
    chosen = good.nonzero()[:, 0]
    if len(chosen) < FEWEST:
        return camera
    from scipy.optimize import least_squares  # noqa: PLC0415 - a quarter of a second of every stage's start

    chosen = chosen[torch.linspace(0, len(chosen) - 1, min(POINTS, len(chosen))).long()]
    rays, seen = project(points[chosen].double()), pixels[chosen].double()

    def residuals(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        error: npt.NDArray[np.float64] = (_with(camera, numbers).to_pixels(rays) - seen).flatten().numpy()
        return error

    start = np.array([*camera.focal, *camera.center, *([0.0] * 4 if distortion else [])])
    scale = np.array([1000.0, 1000.0, 100.0, 100.0, *([0.1, 0.1, 0.01, 0.01] if distortion else [])])
    found = least_squares(residuals, start, x_scale=scale, loss="soft_l1", f_scale=_ROBUST_PX, max_nfev=100).x
    factors = found[:2] / np.array(camera.focal)
    if not np.isfinite(found).all() or not ((factors > 1 / LARGEST_FACTOR) & (factors < LARGEST_FACTOR)).all():
        return camera
    return _with(camera, found)


def _with(camera: Camera, numbers: npt.NDArray[np.float64]) -> Camera:
    fx, fy, cx, cy, *lens = (float(number) for number in numbers)
    k1, k2, p1, p2 = lens or (0.0,) * 4
    return replace(
        camera, focal=(fx, fy), center=(cx, cy), radial=(k1, k2, 0.0), tangential=(p1, p2), opencv=bool(lens)
    )
