"""The parts of the preparation: sides, scaled videos, two people; and the real files where they are."""

import dataclasses

import pytest
import torch

from lib.detection.blazepose import DETECTOR, LANDMARKS, NAMES, BlazePose
from lib.detection.video import Video
from lib.pose.triangulation import Views
from lib.sources import wild, wild_sessions
from lib.sources.qualisys import read_cameras
from lib.sources.wild import Detected
from lib.sources.wild_sessions import CAMERAS, SESSIONS, Scaling, Session, video_name
from tests import contract
from tests.pose.test_triangulation import CAMERAS as RING
from tests.pose.test_triangulation import points


def test_every_landmark_but_the_nose_has_a_side() -> None:
    groups, mirror = wild.sides()
    assert sorted(joint for group in groups for joint in group) == list(range(1, 33))
    assert [mirror[joint] for joint in mirror] == list(range(33)) and mirror[0] == 0
    assert NAMES[mirror[NAMES.index("mouth_left")]] == "mouth_right"
    for group in groups:
        assert {mirror[joint] for joint in group} == set(group)
        assert all(mirror[joint] != joint for joint in group)
    assert {len(group) for group in groups} == {10, 12}


def test_a_camera_in_the_pixels_of_a_scaled_video() -> None:
    camera = dataclasses.replace(RING[0], radial=(-0.05, 0.1, 0.0), tangential=(0.001, 0.002))
    scaled = Scaling((2.0, 4.0), (10.0, -20.0)).applied_to(camera, (500, 250))
    rays = (points(10) - torch.tensor([0.0, 0.0, 1.0]))[:, :2] * 0.3
    calibrated, seen = camera.to_pixels(rays), scaled.to_pixels(rays)
    torch.testing.assert_close(seen * torch.tensor([2.0, 4.0]) + torch.tensor([10.0, -20.0]), calibrated)
    assert scaled.size == (500, 250)


def test_the_fitted_videos_have_the_whole_picture_in_the_middle() -> None:
    (scale, _), (right, down) = SESSIONS["balance"].scalings[0]
    # Edges: the left one at -0.5 stays, the middle of the height too, and the top comes below the black bar
    assert scale * -0.5 + right == pytest.approx(-0.5) and scale * 1079.5 + right == pytest.approx(1087.5)
    assert scale * 959.5 + down == pytest.approx(959.5) and scale * 6.56 + down == pytest.approx(-0.5, abs=0.01)


def test_every_session_has_a_scaling_a_camera_and_a_video_in_the_wheel() -> None:
    wanted = set(wild_sessions.VIDEOS.members.values())
    for name, session in SESSIONS.items():
        assert len(session.scalings) == len(CAMERAS) == len(wild_sessions.CONTROL_POINTS[0])
        assert {video_name(name, camera) for camera in CAMERAS} <= wanted


def test_two_people_get_their_own_keypoints_in_every_view() -> None:
    world = torch.stack([points(33, 0) * 0.3 + torch.tensor([0.8, 0.0, 0.7]), points(33, 1) * 0.3 - 0.3])
    pixels = torch.stack([camera.project(camera.to_camera(world)) for camera in RING])  # view person joint 2
    found = pixels[:, :, None].expand(-1, -1, 6, -1, -1).clone()
    found[2] = found[2].flip(0)
    detected = Detected(((1000, 1000),) * 4, 60.0, found.float(), torch.ones(4, 2, 6, 33))
    left, right = (tuple(world[person, :, :2].median(0).values.tolist()) for person in (0, 1))
    for places in ({"a": left, "b": right}, {"b": right, "a": left}):
        session = Session(places, "", ())
        for name, seen in wild.people(session, RING, detected).items():
            person = ("a", "b").index(name)
            torch.testing.assert_close(seen.pixels, pixels[:, person, None].expand(-1, 6, -1, -1).float())


FOLDER = contract.ROOT / "data" / "raw" / "wild"


def test_the_room_agrees_with_the_marked_points_only_after_adjustment() -> None:
    calibration = FOLDER / "videos" / wild_sessions.CALIBRATION
    if not calibration.is_file():
        pytest.skip("data/raw/wild is not there: python -m stages.wild --prepare")
    calibrated = read_cameras(calibration)
    assert 10 < wild.mean_control_error(Views.of(calibrated), calibrated) < 12


def test_a_person_in_a_real_picture_is_found_where_he_is() -> None:
    pytest.importorskip("ai_edge_litert")
    video, networks = FOLDER / "videos" / video_name("balance", "cam01"), FOLDER.parent / "blazepose"
    if not (video.is_file() and networks.is_dir()):
        pytest.skip("data/raw/wild is not there: python -m stages.wild --prepare")
    pose = BlazePose.load(networks / DETECTOR, networks / LANDMARKS["full"])
    frame = next(iter(Video.open(video)))
    ((person,),) = pose.track([frame])
    assert person is not None and person.presence > 0.9
    places = dict(zip(NAMES, person.keypoints.tolist(), strict=True))
    expected = {"nose": (497, 449), "left_hip": (457, 741), "right_ankle": (331, 1012)}  # looked at
    for name, place in expected.items():
        assert places[name] == pytest.approx(place, abs=15), name
