"""Pinhole cameras with lens distortion: project, undistort, unproject.

World frame: z up, metres. Camera frame: x right, y down, z forward, metres. A camera with orientation R (its axes in
the world, as columns) at position t sees X_camera = R^-1 (X_world - t). With (x, y) = (X, Y) / Z, r2 = x^2 + y^2 and
a = 1 + k1 r2 + k2 r2^2 + k3 r2^3 + p1 x + p2 y, the pixel is

    u = f_x (x a + p1 r2) + c_x,    v = f_y (y a + p2 r2) + c_y

This is the form in which VideoPose3D projected Human3.6M's published 2D. Its radial part is OpenCV's; its tangential
part is not (OpenCV has x a' + p2 r2 with 2 p1 y + 2 p2 x inside a'), and files made with it need it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.geometry import quaternion_to_matrix, rotate

UNDISTORT_STEPS = 12  # the fixed point contracts about tenfold a step for Human3.6M's lenses


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

    def to_camera(self, world: Float[Tensor, "*batch joint 3"]) -> Float[Tensor, "*batch joint 3"]:
        """World frame -> camera frame."""
        orientation = quaternion_to_matrix(world.new_tensor(self.orientation))
        return rotate(orientation.mT, world - world.new_tensor(self.position))

    def project(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 2"]:
        """Points in the camera frame -> pixels."""
        return self.to_pixels(points[..., :2] / points[..., 2:])

    def to_pixels(self, rays: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Rays (x, y) = (X, Y) / Z -> pixels, lens distortion applied."""
        return self._distort(rays) * rays.new_tensor(self.focal) + rays.new_tensor(self.center)

    def to_rays(self, pixels: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Pixels -> rays (x, y), lens distortion undone by fixed-point iteration."""
        distorted = (pixels - pixels.new_tensor(self.center)) / pixels.new_tensor(self.focal)
        rays = distorted
        for _ in range(UNDISTORT_STEPS):
            rays = rays + (distorted - self._distort(rays))
        return rays

    def _distort(self, rays: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        r2 = rays.square().sum(-1, keepdim=True)
        powers = torch.cat([r2, r2.square(), r2**3], dim=-1)
        tangential = rays.new_tensor(self.tangential)
        radial = (powers * rays.new_tensor(self.radial)).sum(-1, keepdim=True)
        tilt = (rays * tangential).sum(-1, keepdim=True)
        return rays * (1 + radial + tilt) + tangential * r2
