"""Pinhole cameras with lens distortion: project, undistort, unproject.

World frame: z up, metres. Camera frame: x right, y down, z forward, metres. A camera with orientation R (its axes in
the world, as columns) at position t sees X_camera = R^-1 (X_world - t). With (x, y) = (X, Y) / Z, r2 = x^2 + y^2 and
a = 1 + k1 r2 + k2 r2^2 + k3 r2^3 + p1 x + p2 y, the pixel is

    u = f_x (x a + p1 r2) + c_x,    v = f_y (y a + p2 r2) + c_y

This is the form in which VideoPose3D projected Human3.6M's published 2D. Its radial part is OpenCV's; its tangential
part is not, and no choice of p1 and p2 makes one of the other. OpenCV has a' = 1 + k1 r2 + k2 r2^2 + k3 r2^3 +
2 p2 x + 2 p1 y, and (x a' + p2 r2, y a' + p1 r2).

Of a camera that nobody calibrated, a focal length is assumed (`assumed_camera`).
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.geometry import quaternion_to_matrix, rotate

UNDISTORT_STEPS = 12  # the fixed point contracts about tenfold a step for Human3.6M's lenses
# The field of view along a picture's longer side, degrees, where nothing is known. Webcams have 53 to 70 (Microsoft
# LifeCam HD-3000, Logitech C920), phones 65 to 69 in photographs (lenses of 28 and 26 mm, as the makers count) and less
# in video, which they crop (53 measured on an iPhone 7). Too long a focal length does less harm than too short a one
# (M. Kocabas et al., SPEC, ICCV 2021). Other tools assume 53 along the diagonal (Z. Li et al., CLIFF, ECCV 2022) or 55
# along the longer side (I. Sarandi et al., MeTRAbs, T-BIOM 2021).
ASSUMED_FOV_DEG = 60.0
UNNAMED = "camera"  # the name of a camera that nothing tells from another


@dataclass(frozen=True)
class Camera:
    """A calibrated camera; focal length and centre in pixels, position in metres, orientation a w-first quaternion."""

    name: str
    size: tuple[int, int]  # width, height in pixels
    focal: tuple[float, float]
    center: tuple[float, float]
    radial: tuple[float, float, float] = (0.0, 0.0, 0.0)  # k1 k2 k3
    tangential: tuple[float, float] = (0.0, 0.0)  # p1 p2
    orientation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    opencv: bool = False  # whether the tangential part is OpenCV's
    assumed: bool = False  # whether nothing but the pictures' size is known of its lens

    @property
    def fov_deg(self) -> float:
        """The horizontal field of view, lens distortion left aside."""
        return math.degrees(2 * math.atan(self.size[0] / 2 / self.focal[0]))

    def to_camera(self, world: Float[Tensor, "*batch joint 3"]) -> Float[Tensor, "*batch joint 3"]:
        """World frame -> camera frame."""
        axes = _axes(self.orientation, world.dtype, world.device)
        return rotate(axes.mT, world - world.new_tensor(self.position))

    def project(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 2"]:
        """Points in the camera frame -> pixels."""
        return self.to_pixels(points[..., :2] / points[..., 2:])

    def to_pixels(self, rays: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Rays (x, y) = (X, Y) / Z -> pixels, lens distortion applied."""
        points = rays.movedim(-1, 0).contiguous()
        bent = self._distort(points, self._tangential(points)).movedim(0, -1).contiguous()
        return bent * rays.new_tensor(self.focal) + rays.new_tensor(self.center)

    def to_rays(self, pixels: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Pixels -> rays (x, y), lens distortion undone by fixed-point iteration."""
        distorted = (pixels - pixels.new_tensor(self.center)) / pixels.new_tensor(self.focal)
        if not any((*self.radial, *self.tangential)):
            return distorted
        wanted = distorted.movedim(-1, 0).contiguous()
        last, before, tangential = wanted, wanted, self._tangential(wanted)
        for step in range(1, UNDISTORT_STEPS + 1):
            earlier, before, last = before, last, last + (wanted - self._distort(last, tangential))
            # Rounding makes some points swing between two places: the steps that are left decide which is the last.
            if step > 1 and torch.equal(last, earlier):
                last = before if (UNDISTORT_STEPS - step) % 2 else last
                break
        return last.movedim(0, -1).contiguous()

    def _tangential(self, points: Float[Tensor, " 2 *batch"]) -> Float[Tensor, " 2 *one"]:
        """The factors of x and y in OpenCV's order or not, as one tensor."""
        factors = self.tangential[::-1] if self.opencv else self.tangential
        return points.new_tensor(factors).view(2, *[1] * (points.ndim - 1))

    def _distort(
        self, points: Float[Tensor, " 2 *batch"], tangential: Float[Tensor, " 2 *one"]
    ) -> Float[Tensor, " 2 *batch"]:
        """Bend x and y. Sequences are short, so the time goes by operations: there are few, on both at once."""
        k1, k2, k3 = self.radial
        x2, y2 = (points * points).unbind()
        r2 = x2 + y2
        squared = r2 * r2
        scale = k1 * r2
        scale += k2 * squared
        scale += k3 * (squared * r2)
        scale += 1
        tilt_x, tilt_y = (tangential * points).unbind()
        tilt = tilt_x + tilt_y
        scale += 2 * tilt if self.opencv else tilt
        bent = points * scale
        bent += tangential * r2
        return bent


@lru_cache(maxsize=1024)
@torch.inference_mode(False)  # what is kept may be used where gradients are
def _axes(orientation: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Float[Tensor, "3 3"]:
    """The axes of a camera in the world, as columns."""
    return quaternion_to_matrix(torch.tensor(orientation, dtype=dtype, device=device))


def with_focal(camera: Camera, factor: float) -> Camera:
    """The camera with a focal length that is `factor` times as long; it undistorts as before, so rays are divided."""
    k1, k2, k3 = camera.radial
    return replace(
        camera,
        focal=(factor * camera.focal[0], factor * camera.focal[1]),
        radial=(factor**2 * k1, factor**4 * k2, factor**6 * k3),
        tangential=(factor * camera.tangential[0], factor * camera.tangential[1]),
    )


def focal_of_fov(fov_deg: float, side: int) -> float:
    """The focal length in pixels of a field of view along a side of the picture, in pixels."""
    return side / 2 / math.tan(math.radians(fov_deg) / 2)


def assumed_camera(size: tuple[int, int], name: str = "assumed") -> Camera:
    """What a camera is taken for of which nothing but the picture's width and height is known: a phone or a webcam."""
    focal = focal_of_fov(ASSUMED_FOV_DEG, max(size))
    return Camera(name, size, (focal, focal), (size[0] / 2, size[1] / 2), assumed=True)


def assumption(camera: Camera) -> str:
    """One line that says what was assumed of a camera, and what to do about it."""
    (width, height), name = camera.size, f"camera {camera.name}" if camera.name != UNNAMED else "the camera"
    return (
        f"{name}: a focal length of {camera.focal[0]:.0f} pixels is assumed ({ASSUMED_FOV_DEG:g} degrees "
        f"along the longer side of {width} x {height}), its centre in the middle, and no distortion: describe the "
        "camera in a YAML file if you know better (data.cameras)"
    )
