"""The YAML of cameras: what it says, every mistake in one line, and back."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.pose.camera_files import fits, read_cameras, write_cameras
from lib.pose.cameras import Camera
from lib.runtime.errors import UserError
from lib.sources.h36m_cameras import SUBJECTS, cameras

PLAIN = "size: [1920, 1080]\nfocal: 1500\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "cameras.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_one_camera_is_that_of_every_sequence(tmp_path: Path) -> None:
    given_cameras = read_cameras(written(tmp_path, PLAIN))
    camera = given_cameras.of("S1", "Walking 1", "left", (1920, 1080))
    assert camera == Camera("left", (1920, 1080), (1500.0, 1500.0), (960.0, 540.0))


def test_all_that_a_camera_can_be_told(tmp_path: Path) -> None:
    text = (
        "size: [640, 480]\nfocal: [500, 510.5]\ncenter: [321, 239]\nopencv: [-0.1, 0.02, 0.001, -0.002, 0.003]\n"
        "orientation: [0.5, -0.5, -0.5, 0.5]\nposition: [2, 0, 1]\n"
    )
    camera = read_cameras(written(tmp_path, text)).of("a", "b", "c")
    assert camera.focal == (500.0, 510.5) and camera.center == (321.0, 239.0)
    assert camera.radial == (-0.1, 0.02, 0.003) and camera.tangential == (0.001, -0.002) and camera.opencv
    assert camera.orientation == (0.5, -0.5, -0.5, 0.5) and camera.position == (2.0, 0.0, 1.0)


def test_the_field_of_view_is_horizontal(tmp_path: Path) -> None:
    camera = read_cameras(written(tmp_path, "size: [1080, 1920]\nfov_deg: 90\n")).of("a", "b", "c")
    assert camera.focal == pytest.approx((540.0, 540.0)) and camera.fov_deg == pytest.approx(90)
    seen = camera.project(torch.tensor([math.tan(math.radians(45)), 0.0, 1.0]))
    torch.testing.assert_close(seen, torch.tensor([1080.0, 960.0]))


def test_the_first_name_that_fits_counts(tmp_path: Path) -> None:
    entries = {"S1/Walking*/*": 1000, "left": 1100, "S2/*/right": 1200, "*": 1300}
    text = "cameras:\n" + "".join(f'  "{n}": {{size: [1000, 1000], focal: {f}}}\n' for n, f in entries.items())
    known = read_cameras(written(tmp_path, text))
    asked = [
        ("S1", "Walking 1", "left"),
        ("S1", "Eating", "left"),
        ("S2", "Eating", "right"),
        ("S1", "Eating", "right"),
    ]
    assert [known.of(*sequence).focal[0] for sequence in asked] == [1000, 1100, 1200, 1300]


@pytest.mark.parametrize(
    ("pattern", "expected"), [("left", True), ("le*", True), ("S1/*/left", True), ("S1", False), ("S2/*", False)]
)
def test_names_are_those_of_cameras_or_of_sequences(pattern: str, expected: bool) -> None:
    assert fits(pattern, "S1", "Walking", "left") is expected


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "null must be a mapping with size, focal, "),
        ("[1]", "[1] must be a mapping with size, focal, "),
        ("size: [1920, 1080]", "give either focal, in pixels, or fov_deg, the horizontal field of view"),
        (PLAIN + "fov_deg: 60", "give either focal, in pixels, or fov_deg, the horizontal field of view"),
        ("focal: 1500", "size is missing"),
        ("size: 1920\nfocal: 1500", "size = 1920: must be a list of 2, each a whole number"),
        (PLAIN.replace("1080", "1080.5"), "size[1] = 1080.5: must be a whole number"),
        (PLAIN.replace("1500", "-1"), "focal = -1: must be "),
        (PLAIN.replace("1500", "wide"), "focal = 'wide': must be "),
        (PLAIN.replace("1500", ".nan"), "focal = nan: must be "),
        (PLAIN.replace("1500", "4.2"), "focal 4.2 is too short for 1920 pixels: give it in pixels"),
        ("size: [1920, 1080]\nfov_deg: 180", "fov_deg = 180: must be "),
        (PLAIN + "centre: [1, 1]", "centre is not a known key; known: size, focal, fov_deg, center"),
        (PLAIN + "center: [0.5, 0.5]", "center must lie in the picture: give it in pixels"),
        (PLAIN + "center: [960- 540]", "center = ['960- 540']: must be "),
        (PLAIN + "radial: [0, 0]", "radial = [0, 0]: must be a list of 3, each a number"),
        (PLAIN + "opencv: [0, 0, 0, 0]", "opencv = [0, 0, 0, 0]: must be "),
        (PLAIN + "opencv: [0, 0, 0, 0, 0]\nradial: [0, 0, 0]", "give distortion either as opencv or as radial and"),
        (PLAIN + "radial: [-9, 0, 0]", "distortion folds the picture before its edges"),
        (PLAIN + "orientation: [0, 0, 0, 0]", "orientation must be a quaternion that is not zero"),
        ("size: [1920, 1080", "line 1: not valid YAML"),
        ("cameras: {}", "cameras must map the name of each camera to its description"),
        ("cameras: {left: {focal: 900}}", "cameras.left.size is missing"),
        ("cameras: {left: 3}", "cameras.left = 3 must be a mapping with size, focal"),
        ("cameras: {left: {size: [9, 9], focal: 9}}\nfocal: 3", "focal beside cameras belongs to none of them"),
        ("cameras: {1: {size: [9, 9], focal: 9}}", "must be text: write it in quotes"),
    ],
)
def test_every_mistake_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        read_cameras(path)
    line = str(caught.value)
    assert line.startswith(str(path)) and message in line and "\n" not in line and "params.yaml" not in line


def test_what_the_data_does_not_fit_is_said(tmp_path: Path) -> None:
    known = read_cameras(written(tmp_path, "cameras: {left: {size: [640, 480], focal: 500}}"))
    with pytest.raises(UserError, match="no camera fits S1/Walking/right; it has left"):
        known.of("S1", "Walking", "right")
    with pytest.raises(UserError, match="described for pictures of 640 x 480, but those of the data are 480 x 640"):
        known.of("S1", "Walking", "left", (480, 640))
    with pytest.raises(UserError, match=r"cameras\.yaml is missing"):
        read_cameras(tmp_path / "folder" / "cameras.yaml")


@given(st.sampled_from(SUBJECTS), st.booleans())
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, subject: str, opencv: bool) -> None:
    path = tmp_path_factory.mktemp("cameras") / "cameras.yaml"
    before = {f"{subject}/*/{camera.name}": Camera(**{**vars(camera), "opencv": opencv}) for camera in cameras(subject)}
    write_cameras(path, before, dict.fromkeys(before, "two\nlines"))
    known = read_cameras(path)
    assert {name: known.of(subject, "Eating", camera.name) for name, camera in before.items()} == before


@pytest.mark.parametrize("name", ["1e3", "on", 'with "quotes"', "Überkamera", "a: b", "# no comment"])
def test_any_name_can_be_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    write_cameras(path, {name: Camera(name, (640, 480), (500.0, 500.0), (320.0, 240.0), (1e-5, 0.0, 0.0))})
    assert read_cameras(path).of("S1", "Walking", name).radial == (1e-5, 0.0, 0.0)
