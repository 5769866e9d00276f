"""A calibration written here: what it says, and where a point is seen by it."""

from pathlib import Path

import pytest
import torch

from lib.runtime.errors import UserError
from lib.sources.qualisys import read_cameras

# A camera 3 m along x from the origin that looks at it, z up: its own x is the world's y, its y is up, and its z, which
# points backwards, is the world's x.
TEXT = """<?xml version='1.0'?>
<calibration><results std-dev="0."/><cameras>
<camera serial="cam01" viewrotation="0">
<fov_video bottom="1919" left="0" right="1087" top="0"/>
<transform r11="0" r12="1" r13="0" r21="0" r22="0" r23="1" r31="1" r32="0" r33="0" x="3000" y="0" z="1000"/>
<intrinsic centerPointU="34816" centerPointV="61440" focalLengthU="64000" focalLengthV="128000" focallength="9.3"
  radialDistortion1="-0.05" radialDistortion2="0.14" radialDistortion3="0" skew="0"
  tangentalDistortion1="0.001" tangentalDistortion2="0.002"/>
</camera></cameras></calibration>
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.qca.txt"
    path.write_text(text)
    return path


def test_reads_what_the_file_says(tmp_path: Path) -> None:
    (camera,) = read_cameras(written(tmp_path, TEXT))
    assert (camera.name, camera.size) == ("cam01", (1088, 1920))
    assert (camera.focal, camera.center) == ((1000.0, 2000.0), (544.0, 960.0))
    assert (camera.radial, camera.tangential) == ((-0.05, 0.14, 0.0), (0.002, 0.001))
    assert camera.position == (3.0, 0.0, 1.0)


def test_a_point_in_front_is_seen_where_it_is(tmp_path: Path) -> None:
    (camera,) = read_cameras(written(tmp_path, TEXT))
    world = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.3, 1.0], [0.0, 0.0, 1.6]], dtype=torch.float64)
    expected = torch.tensor([[0.0, 0.0, 3.0], [0.3, 0.0, 3.0], [0.0, -0.6, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(camera.to_camera(world), expected)
    u, v = camera.project(camera.to_camera(world)).unbind(-1)
    assert (float(u[0]), float(v[0])) == pytest.approx((544, 960))
    assert u[1] > 640 and v[2] < 600  # to the right of it, and above


@pytest.mark.parametrize("text", ["", "no xml", TEXT.replace("transform", "other"), TEXT.replace('"3000"', '"far"')])
def test_what_is_no_calibration_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"a\.qca\.txt is no calibration of Qualisys"):
        read_cameras(written(tmp_path, text))


def test_a_file_that_is_missing_or_has_no_camera_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"b\.qca\.txt is missing: run `python -m stages\.wild --prepare`"):
        read_cameras(tmp_path / "b.qca.txt")
    with pytest.raises(UserError, match=r"a\.qca\.txt has no camera"):
        read_cameras(written(tmp_path, "<calibration><cameras/></calibration>"))
