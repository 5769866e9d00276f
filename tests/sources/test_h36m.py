"""Human3.6M's files: what is read, what is dropped and why, and what is refused."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.sources import h36m
from lib.sources.base import SplitParams, action_name
from lib.sources.h36m_cameras import CAMERAS, SUBJECTS, cameras
from tests.data.files import FRAMES, h36m_takes, reference_projection, source_params, write_h36m

SHARED = Path(__file__).parents[3] / "shared" / "data" / "mocap_h36m_layout"


def test_reads_every_take_in_every_camera(h36m_raw: Path) -> None:
    data = h36m.read(h36m_raw, source_params())
    assert data.subjects == ("S1", "S8", "S9")
    assert (data.dropped, data.cut_frames) == ([], 0)
    assert Counter((s.subject, s.action, s.camera.name) for s in data.sequences) == {
        (subject, action, camera): 1
        for subject in ("S1", "S8", "S9")
        for action in ("Walking", "Eating 2")
        for camera in CAMERAS
    }
    for sequence in data.sequences:
        assert sequence.fps == 50
        assert sequence.keypoints.shape == (FRAMES, 17, 2)
        assert sequence.keypoints.dtype == sequence.confidence.dtype == torch.float32
        assert (sequence.confidence == 1).all()


def test_positions_are_metres_in_the_camera_frame(h36m_raw: Path) -> None:
    for sequence in h36m.read(h36m_raw, source_params()).sequences:
        assert sequence.positions is not None
        torch.testing.assert_close(sequence.camera.project(sequence.positions), sequence.keypoints, atol=2e-3, rtol=0)
        assert ((sequence.positions[..., 2] > 3) & (sequence.positions[..., 2] < 7)).all()
        head, ankle = (sequence.positions[:, H36M.index(name)] for name in ("head", "left_ankle"))
        assert (head[:, 1] < ankle[:, 1]).all()  # y is down


def test_the_17_joints_are_picked_by_their_place_among_32(h36m_raw: Path, tmp_path: Path) -> None:
    positions, keypoints = h36m_takes()
    # The same data with 17 joints reads as the same; what the other 15 joints hold (99 m) appears nowhere.
    picked = h36m.read(h36m_raw, source_params())
    reduced = {
        s: {a: np.stack([p[:, i] for i in (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)], 1)}
        for s, takes in positions.items()
        for a, p in list(takes.items())[:1]
    }
    write_h36m(tmp_path / "reduced", reduced, {s: {"Walking": k["Walking"]} for s, k in keypoints.items()})
    given = h36m.read(tmp_path / "reduced", source_params())
    expected = [s for s in picked.sequences if s.action == "Walking"]
    for one, other in zip(given.sequences, expected, strict=True):
        assert one.positions is not None and other.positions is not None
        torch.testing.assert_close(one.positions, other.positions)
        assert one.positions.abs().max() < 10


def test_only_subjects_of_the_split_are_read(h36m_raw: Path) -> None:
    split = SplitParams(train=("S1",), validation=(), test=())
    assert {s.subject for s in h36m.read(h36m_raw, source_params(split=split)).sequences} == {"S1"}


def test_2d_after_the_end_of_the_mocap_is_cut(tmp_path: Path) -> None:
    positions, keypoints = h36m_takes()
    exact = keypoints["S1"]["Walking"][1]
    keypoints["S1"]["Walking"][1] = np.concatenate([exact, exact[:2] * np.nan])
    write_h36m(tmp_path, positions, keypoints)
    data = h36m.read(tmp_path, source_params())
    sequence = next(s for s in data.sequences if (s.subject, s.action, s.camera.name) == ("S1", "Walking", CAMERAS[1]))
    torch.testing.assert_close(sequence.keypoints, torch.from_numpy(exact))
    assert (data.cut_frames, data.dropped) == (2, [])


def test_faulty_sequences_are_dropped_with_their_reason(tmp_path: Path) -> None:
    positions, keypoints = h36m_takes()
    keypoints["S1"]["Walking"][0] = keypoints["S1"]["Walking"][0][:-1]
    keypoints["S1"]["Walking"][1][3, 4, 0] = np.nan
    positions["S8"]["Walking"][2, 0, 1] = np.inf
    del positions["S9"]["Walking"], keypoints["S9"]["Eating 2"]
    write_h36m(tmp_path, positions, keypoints)
    data = h36m.read(tmp_path, source_params())
    assert Counter((d.subject, d.action, d.reason) for d in data.dropped) == {
        ("S1", "Walking", "shorter_than_mocap"): 1,
        ("S8", "Walking", "not_finite"): 4,
        ("S9", "Walking", "no_3d"): 4,
        ("S9", "Eating 2", "no_2d"): 4,
    }
    assert all(d.frames == FRAMES for d in data.dropped)
    assert len(data.sequences) + len(data.dropped) == 3 * 2 * 4
    assert data.subjects == ("S1", "S8", "S9")


def test_a_value_in_a_joint_that_is_not_kept_is_no_fault(tmp_path: Path) -> None:
    positions, keypoints = h36m_takes()
    positions["S1"]["Walking"][:, 31] = np.nan
    write_h36m(tmp_path, positions, keypoints)
    assert h36m.read(tmp_path, source_params()).dropped == []


def test_a_third_column_is_the_confidence(tmp_path: Path) -> None:
    positions, keypoints = h36m_takes()
    confidence = np.linspace(-0.5, 1.5, FRAMES * 17, dtype=np.float32).reshape(FRAMES, 17, 1)
    keypoints["S1"]["Walking"] = [np.concatenate([view, confidence], -1) for view in keypoints["S1"]["Walking"]]
    write_h36m(tmp_path, positions, keypoints)
    sequence = h36m.read(tmp_path, source_params()).sequences[0]
    assert sequence.keypoints.shape == (FRAMES, 17, 2)
    np.testing.assert_array_equal(sequence.confidence, confidence[..., 0].clip(0, 1))


def test_subjects_without_3d_are_no_subjects(tmp_path: Path) -> None:
    positions, keypoints = h36m_takes()
    keypoints["S2"] = keypoints["S1"]
    write_h36m(tmp_path, positions, keypoints, name="cpn")
    assert "S2" not in h36m.read(tmp_path, source_params(keypoints="cpn")).subjects


def test_missing_files_are_one_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        h36m.read(tmp_path / "h36m", source_params(keypoints="cpn_ft_h36m_dbb"))
    message = str(caught.value)
    for part in (
        str(tmp_path / "h36m"),
        "lacks data_3d_h36m.npz and data_2d_h36m_cpn_ft_h36m_dbb.npz",
        "DATASETS.md of facebookresearch/VideoPose3D",
        "licence",
        "present: none",
    ):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["data_3d_h36m.npz", "data_2d_h36m_gt.npz"])
def test_a_folder_where_a_file_belongs_says_so(name: str, h36m_raw: Path) -> None:
    (h36m_raw / name).unlink()
    (h36m_raw / name).mkdir()
    with pytest.raises(UserError, match=rf"h36m/{name} is a folder, where a file belongs: .* put there the file of"):
        h36m.read(h36m_raw, source_params())


def test_unknown_keypoints_name_those_that_are_there(h36m_raw: Path) -> None:
    with pytest.raises(UserError, match=r"lacks data_2d_h36m_cpn\.npz: .* present: data_2d_h36m_gt\.npz$"):
        h36m.read(h36m_raw, source_params(keypoints="cpn"))


def test_another_layout_of_17_joints_is_refused(tmp_path: Path) -> None:
    positions, keypoints = h36m_takes()
    coco = {"layout_name": "coco", "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]}
    write_h36m(tmp_path, positions, keypoints, metadata=coco)
    with pytest.raises(UserError, match=r"data_2d_h36m_gt\.npz is not in Human3\.6M's layout of 17 joints .*'coco'"):
        h36m.read(tmp_path, source_params())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"S1": [1, 2]}, r"is not in VideoPose3D's layout: it must hold \{subject: \{action: ...\}\}"),
        (
            {"S1": {"Walking": [np.zeros((30, 17, 2))]}},
            r"S1 Walking: 2D must be a list of 4 cameras, but is a list of 1",
        ),
        ({"S1": {"Walking": [np.zeros((30, 16, 2))] * 4}}, r"S1 Walking: 2D of a camera must be .*\(30, 16, 2\)"),
        (
            {"S1": {"Walking": ["text"] * 4}},
            r"S1 Walking: 2D of a camera must be \(frames, 17, 2 or 3\), but is a str of 4",
        ),
        ({"S1": {"Walking": 3}}, r"S1 Walking: 2D must be a list of 4 cameras, but is int"),
    ],
)
def test_2d_in_another_shape_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    positions, keypoints = h36m_takes()
    write_h36m(tmp_path, positions, keypoints | change)
    with pytest.raises(UserError, match=message):
        h36m.read(tmp_path, source_params())


def test_3d_in_another_shape_is_refused(tmp_path: Path) -> None:
    positions, keypoints = h36m_takes()
    positions["S1"]["Walking"] = positions["S1"]["Walking"][:, :20]
    write_h36m(tmp_path, positions, keypoints)
    with pytest.raises(UserError, match=r"data_3d_h36m\.npz: S1 Walking: 3D must be .* float32 of shape \(30, 20, 3\)"):
        h36m.read(tmp_path, source_params())


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("Eating 2", "Eating"),
        ("Eating", "Eating"),
        ("Walk1", "Walk1"),
        ("Long Walk1 1", "Long Walk1"),
        ("SittingDown", "SittingDown"),
        ("Dance B", "Dance B"),
        ("Walking 10", "Walking"),
        ("Walking 1 chunk0", "Walking"),
    ],
)
def test_action_name_strips_the_take(action: str, name: str) -> None:
    assert action_name(action) == name


def test_the_four_cameras_stand_around_the_room_and_look_at_it() -> None:
    assert SUBJECTS == ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
    for subject in SUBJECTS:
        assert tuple(camera.name for camera in cameras(subject)) == CAMERAS
        for camera in cameras(subject):
            height = camera.position[2]
            assert 1.4 < height < 1.7  # metres
            middle = camera.to_camera(torch.tensor([[0.1, 0.3, 0.9]]))
            pixel = camera.project(middle)[0]
            assert 3 < middle[0, 2] < 6.5
            assert ((pixel > 250) & (pixel < 750)).all()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs motion in Human3.6M's layout")
def test_real_files_reproject_within_a_thousandth_of_a_pixel() -> None:
    split = SplitParams(train=(), validation=("S8",), test=())
    data = h36m.read(SHARED, source_params(split=split))
    assert len(data.sequences) == 4 * 13 and not data.dropped
    for sequence in data.sequences:
        assert sequence.positions is not None
        projected = sequence.camera.project(sequence.positions.double()).float()
        torch.testing.assert_close(projected, sequence.keypoints, atol=1e-3, rtol=0)


def test_the_reference_projection_sees_a_point_on_the_axis_at_the_centre() -> None:
    camera = cameras("S1")[0]
    ahead = camera.to_camera(torch.zeros(1, 3, dtype=torch.float64))
    assert ahead[0, 2] > 0
    # A point 2 m along the camera's axis, in the world: position + R (0, 0, 2).
    w, x, y, z = camera.orientation
    axis = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), w * w - x * x - y * y + z * z])
    pixel = reference_projection(np.array(camera.position) + 2 * axis, camera)
    np.testing.assert_allclose(pixel, camera.center, atol=1e-6)
