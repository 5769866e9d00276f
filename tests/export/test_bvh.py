"""BVH files, read back by another library and by the project's own source."""

import math
import warnings
from pathlib import Path

import numpy as np
import pybvh
import pytest
import torch

from lib.export.bvh import euler_zxy
from lib.export.catalog import write_motion
from lib.inference.motion import Motion
from lib.pose.geometry import rotation_about
from lib.pose.skeleton import H36M
from lib.sources.bvh_files import read_bvh
from lib.sources.bvh_joints import h36m_joints
from tests.export.bodies import exercising
from tests.inference.motions import walking


def read(motion: Motion, folder: Path) -> pybvh.Bvh:
    (path,) = write_motion(motion, folder, "motion", ["bvh"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which way is up in the first frame, where that is no standing person
        return pybvh.read_bvh_file(path, world_up="+y")


def joints_of(file: pybvh.Bvh) -> torch.Tensor:
    order = [file.joint_names.index(name) for name in H36M.names]
    return torch.from_numpy(file.joint_positions()[:, order]) / 100  # metres


@pytest.mark.parametrize("motion", [walking(), exercising()], ids=["walking", "exercising"])
def test_forward_kinematics_give_the_joints_back(motion: Motion, tmp_path: Path) -> None:
    file = read(motion, tmp_path)
    torch.testing.assert_close(joints_of(file), motion.joints.double(), atol=1e-4, rtol=0)
    assert file.fps == motion.fps
    assert file.frame_count == len(motion)
    assert set(file.euler_orders) == {"ZXY"}


def test_the_camera_frame_becomes_upright_and_keeps_the_trajectory(tmp_path: Path) -> None:
    world = walking()
    turn = torch.tensor([1.0, -1.0, -1.0])
    away = torch.tensor([0.3, 1.0, 5.0])
    camera = walking(frame="camera", joints=world.joints * turn + away)
    expected = (world.joints + away * turn).double()
    torch.testing.assert_close(joints_of(read(camera, tmp_path)), expected, atol=1e-4, rtol=0)


def test_frames_that_are_missing_are_filled_in_time(tmp_path: Path) -> None:
    whole = walking(51)
    kept = torch.tensor([number for number in range(51) if not 10 < number < 15])
    parts = {
        name: getattr(whole, name)[kept]
        for name in ("numbers", "times", "pixels", "confidence", "keypoints", "keypoint_error", "joints", "joint_error")
    }
    file = read(walking(51, **parts), tmp_path)
    assert file.frame_count == 51
    error = (joints_of(file) - whole.joints).norm(dim=-1)
    assert error[[*range(11), *range(15, 51)]].max() < 1e-3
    assert error.max() < 0.05


def test_times_that_are_rounded_do_not_drift(tmp_path: Path) -> None:
    times = (torch.arange(300, dtype=torch.float64) / 30).mul(1000).floor().div(1000)
    file = read(walking(300, fps=30.3, times=times), tmp_path)  # as 0.033 between most frames has it
    assert file.frame_count == 300
    assert abs(file.frame_time * 299 - float(times[-1])) < 1e-3


def test_one_frame(tmp_path: Path) -> None:
    motion = walking(1)
    torch.testing.assert_close(joints_of(read(motion, tmp_path)), motion.joints.double(), atol=1e-4, rtol=0)


def test_the_rest_pose_is_upright_and_faces_z(tmp_path: Path) -> None:
    (path,) = write_motion(walking(), tmp_path, "motion", ["bvh"])
    file = pybvh.read_bvh_file(path)
    assert (file.world_up, file.rest_up, file.rest_forward) == ("+y", "+y", "+z")


def test_the_projects_own_source_reads_it(tmp_path: Path) -> None:
    motion = exercising()
    (path,) = write_motion(motion, tmp_path, "motion", ["bvh"])
    limbs = [index for index, name in enumerate(H36M.names) if "_" in name]
    found = h36m_joints(read_bvh(path)).joints[:, limbs] / 100
    torch.testing.assert_close(found, motion.joints[:, limbs].double(), atol=1e-4, rtol=0)


def test_angles_of_the_file_do_not_jump(tmp_path: Path) -> None:
    file = read(exercising(), tmp_path)
    steps = np.rad2deg(np.abs(np.diff(file.joint_angles, axis=0))).max((0, 2))
    quiet = [file.joint_names.index(name) for name in ("pelvis", "lower_back", "left_elbow", "right_elbow", "head")]
    assert steps[quiet].max() < 20
    heading = file.joint_angles[:, file.joint_names.index("pelvis"), 2]
    assert abs(abs(heading[-1] - heading[0]) - 4 * math.pi) < 1e-3  # two rounds, not wrapped


def test_angles_are_the_rotations() -> None:
    generator = torch.Generator().manual_seed(0)
    angles = 6 * torch.rand(500, 3, generator=generator, dtype=torch.float64) - 3
    angles[::7, 1] = math.pi / 2  # where z and y turn about the same axis
    turns = [rotation_about(axis, angle) for axis, angle in zip("zxy", angles.unbind(-1), strict=True)]
    wanted = turns[0] @ turns[1] @ turns[2]
    z, x, y = euler_zxy(wanted).unbind(-1)
    found = rotation_about("z", z) @ rotation_about("x", x) @ rotation_about("y", y)
    torch.testing.assert_close(found, wanted, atol=1e-8, rtol=0)


def test_a_hinge_stays_one_beyond_a_right_angle() -> None:
    bend = torch.linspace(0, 2.6, 100, dtype=torch.float64)
    z, x, y = euler_zxy(rotation_about("x", bend)).unbind(-1)
    torch.testing.assert_close(x, bend, atol=1e-9, rtol=0)
    assert max(float(z.abs().max()), float(y.abs().max())) < 1e-9
