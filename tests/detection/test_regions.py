"""The rotated square: hand-computed corners, and pictures cut out of pictures."""

import math

import numpy as np
import pytest

from lib.detection.networks import Array
from lib.detection.regions import Region, whole

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def around(hips: tuple[float, float], circle: tuple[float, float]) -> Region:
    return Region.around(np.array(hips, dtype=float), np.array(circle, dtype=float))


def test_a_person_upright() -> None:
    region = around((100, 200), (100, 120))
    assert (region.side, region.angle) == (200.0, 0.0)  # 1.25 times twice 80
    np.testing.assert_allclose(region.to_pixels(CORNERS), [[0, 100], [200, 100], [0, 300], [200, 300]])


def test_a_person_who_lies_with_the_head_to_the_right() -> None:
    region = around((100, 200), (180, 200))
    assert region.angle == pytest.approx(math.pi / 2)
    # Up in the square is right in the picture, so that its upper left corner is the picture's upper right
    np.testing.assert_allclose(region.to_pixels(CORNERS), [[200, 100], [200, 300], [0, 100], [0, 300]], atol=1e-9)


@pytest.mark.parametrize("circle", [(0, -80), (80, 0), (0, 80), (-80, 0), (50, -70), (-20, 60)])
def test_the_circles_point_is_above_the_middle(circle: tuple[float, float]) -> None:
    region = around((100, 200), (100 + circle[0], 200 + circle[1]))
    ((x, y),) = region.to_pixels(np.array([[0.5, 0.5 - 1 / (2 * 1.25)]]))
    assert (x - 100, y - 200) == pytest.approx(circle)


def blob(x: float, y: float) -> Array:
    """A smooth spot in a picture of 400 x 300."""
    rows, columns = np.mgrid[:300, :400]
    spot = 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6.0**2))
    return np.repeat(spot[..., None].round().astype(np.uint8), 3, axis=2)


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.5, -1.3])
def test_what_is_cut_out_lies_where_points_say(angle: float) -> None:
    region, size = Region((190.0, 140.0), 160.0, angle), 128
    ((x, y),) = region.to_pixels(np.array([[0.7, 0.4]]))
    cut = region.cut(blob(x, y), size)[..., 0].astype(float)
    assert cut.shape == (size, size)
    rows, columns = np.mgrid[:size, :size]
    centre = np.array([(cut * columns).sum(), (cut * rows).sum()]) / cut.sum()
    np.testing.assert_allclose(centre, [0.7 * size - 0.5, 0.4 * size - 0.5], atol=0.05)  # 0 is the first pixel's middle


def test_beyond_the_picture_is_black() -> None:
    picture = np.full((300, 400, 3), 255, dtype=np.uint8)
    cut = whole(400, 300).cut(picture, 40)
    assert cut[:5].max() == 0 and cut[-5:].max() == 0 and cut[5:-5].min() == 255  # 300 of 400, in the middle


def test_the_same_person_is_near_by() -> None:
    region = Region((100.0, 100.0), 80.0, 0.0)
    assert region.same_person(Region((115.0, 100.0), 200.0, 1.0))
    assert not region.same_person(Region((121.0, 100.0), 200.0, 0.0))
