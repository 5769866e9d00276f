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
        orientation = quaternion_to_matrix(world.new_tensor(self.orientation))
        return rotate(orientation.mT, world - world.new_tensor(self.position))

    def project(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 2"]:
        """Points in the camera frame -> pixels."""
        return self.to_pixels(points[..., :2] / points[..., 2:])

    def to_pixels(self, rays: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Rays (x, y) = (X, Y) / Z -> pixels, lens distortion applied."""
        bent = torch.stack(self._distort(*rays.unbind(-1)), -1)
        return bent * rays.new_tensor(self.focal) + rays.new_tensor(self.center)

    def to_rays(self, pixels: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Pixels -> rays (x, y), lens distortion undone by fixed-point iteration."""
        distorted = (pixels - pixels.new_tensor(self.center)) / pixels.new_tensor(self.focal)
        if not any((*self.radial, *self.tangential)):
            return distorted
        from_x, from_y = (part.contiguous() for part in distorted.unbind(-1))
        x, y = from_x, from_y
        for _ in range(UNDISTORT_STEPS):
            bent_x, bent_y = self._distort(x, y)
            before, x, y = (x, y), x + (from_x - bent_x), y + (from_y - bent_y)
            if torch.equal(x, before[0]) and torch.equal(y, before[1]):
                break
        return torch.stack([x, y], -1)

    def _distort(self, x: Float[Tensor, "*batch"], y: Float[Tensor, "*batch"]) -> tuple[Tensor, Tensor]:
        (k1, k2, k3), (p1, p2) = self.radial, self.tangential[::-1] if self.opencv else self.tangential
        r2 = x * x + y * y
        squared = r2 * r2
        radial = k1 * r2 + k2 * squared + k3 * (squared * r2)
        tilt = (2.0 if self.opencv else 1.0) * (p1 * x + p2 * y)
        scale = 1 + radial + tilt
        return x * scale + p1 * r2, y * scale + p2 * r2


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
