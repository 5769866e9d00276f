"""The rotated square of a picture in which a person is, upright and centred: what the landmark network sees.

Pixels here are those of the picture: x right, y down, (0, 0) the middle of its first pixel.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from lib.detection.networks import Array

MARGIN = 1.25  # the side over the diameter of the circle around the body


@dataclass(frozen=True)
class Region:
    """A square of `side` pixels around `centre`; `angle` in radians turns it clockwise in the picture."""

    centre: tuple[float, float]
    side: float
    angle: float

    @classmethod
    def around(cls, hips: Float[Array, "2"], circle: Float[Array, "2"]) -> "Region":
        """The square around a body whose hips are in the middle of a circle, on which `circle` is, above the head."""
        x, y = (float(value) for value in circle - hips)
        return cls((float(hips[0]), float(hips[1])), 2 * MARGIN * math.hypot(x, y), math.atan2(x, -y))

    def to_pixels(self, points: Float[Array, "point 2"]) -> Float[Array, "point 2"]:
        """Points of the square, from (0, 0) at its upper left to (1, 1) -> pixels of the picture."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turn = np.array([[cos, sin], [-sin, cos]], dtype=points.dtype)
        return np.asarray((points - 0.5) * self.side @ turn + np.array(self.centre, dtype=points.dtype))

    def cut(self, picture: UInt8[Array, "height width 3"], size: int) -> UInt8[Array, "size size 3"]:
        """The square as a picture of `size` pixels a side, black where it reaches beyond the picture's edge."""
        corners = np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float32)
        matrix = cv2.getAffineTransform(corners * size - np.float32(0.5), self.to_pixels(corners))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(picture, matrix, (size, size), flags=flags), dtype=np.uint8)

    def same_person(self, other: "Region") -> bool:
        """Whether the other square is around the same body, as far as places say: nearer than a quarter of a side."""
        distance = math.dist(self.centre, other.centre)
        return distance < min(self.side, other.side) / 4


def whole(width: int, height: int) -> Region:
    """The smallest upright square around a picture."""
    return Region(((width - 1) / 2, (height - 1) / 2), float(max(width, height)), 0.0)
