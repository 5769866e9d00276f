"""Motion capture: what is read of files, which joints they have, and what virtual cameras see."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pybvh
import pytest
import torch

from lib.pose.geometry import bone_lengths, quaternion_to_matrix
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.sources import bvh
from lib.sources.base import AutoSplit, PoseSequence, SourceData, SplitParams, VirtualCameraParams
from lib.sources.bvh_files import END, BvhError, joint_motion, read_bvh
from lib.sources.bvh_joints import find_joints, h36m_joints
from tests.data.files import VIRTUAL_CAMERAS, source_params
from tests.data.mocap_files import BODY, FLAVOURS, write_bvh

SHARED = Path(__file__).parents[3] / "shared" / "data" / "bvh"
REAL = sorted(SHARED.glob("*.bvh"))


def read(raw: Path, **changes: Any) -> SourceData:
    people = tuple(sorted(path.name for path in raw.iterdir() if path.is_dir())) or ("walk",)
    split = SplitParams(train=people, validation=(), test=())
    return bvh.read(raw, source_params("bvh", **{"split": split, **changes}))


def world(sequence: PoseSequence) -> torch.Tensor:
    """Positions in the room."""
    assert sequence.positions is not None
    turn = quaternion_to_matrix(torch.tensor(sequence.camera.orientation))
    return sequence.positions @ turn.mT + torch.tensor(sequence.camera.position)


def of(joints: torch.Tensor, name: str) -> torch.Tensor:
    return joints[..., H36M.index(name), :]


def assert_upright(joints: torch.Tensor) -> None:
    """Feet down, head up, knees bent forward and not back, left on the left: z up, right-handed."""
    assert (of(joints, "head")[..., 2] - of(joints, "thorax")[..., 2]).mean() > 0.1
    for side in ("left", "right"):
        heights = [of(joints, f"{side}_{name}")[..., 2].mean() for name in ("shoulder", "hip", "knee", "ankle")]
        assert heights == sorted(heights, reverse=True)
    left, up = of(joints, "left_hip") - of(joints, "right_hip"), torch.tensor([0.0, 0.0, 1.0])
    forward = torch.linalg.cross(left, up.expand_as(left))
    face = of(joints, "neck") - of(joints, "thorax")
    assert (face * forward).sum(-1).mean() > 0
    bend = sum(
        ((of(joints, f"{s}_knee") - (of(joints, f"{s}_hip") + of(joints, f"{s}_ankle")) / 2) * forward).sum(-1)
        for s in ("left", "right")
    )
    assert isinstance(bend, torch.Tensor) and bend.mean() > 0
    moved = of(joints, "pelvis")[-1] - of(joints, "pelvis")[0]
    assert (moved * forward.mean(0)).sum() > 0  # people walk ahead


@pytest.mark.skipif(not REAL, reason="real motion is on machines of the project alone")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_kinematics_are_those_of_another_reader(path: Path) -> None:
    own, other = read_bvh(path), pybvh.read_bvh_file(path)
    assert own.fps == other.fps == 120 and len(own.values) == other.frame_count
    assert [name for name in own.names if not name.endswith(END)] == other.joint_names
    np.testing.assert_allclose(joint_motion(own)[0], other.node_positions(), atol=1e-9)


@pytest.mark.skipif(not REAL, reason="real motion is on machines of the project alone")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_people_stand_on_their_feet(path: Path, tmp_path: Path) -> None:
    (tmp_path / "somebody").mkdir()
    (tmp_path / "somebody" / path.name).write_bytes(path.read_bytes())
    sequences = read(tmp_path).sequences
    assert len(sequences) == 4
    for sequence in sequences:
        joints = world(sequence)
        assert_upright(joints)
        assert sequence.fps == 40
        lengths = bone_lengths(joints, H36M)
        assert 2.8 < lengths.sum(-1).mean() < 4.0
        assert (lengths.std(0) / lengths.mean(0)).max() < 0.06
        assert 1.2 < (joints[..., 2].amax(1) - joints[..., 2].amin(1)).median() < 1.8
        assert joints[..., 2].amin() > 0
        speed = joints.diff(dim=0).norm(dim=-1).mean(-1) * 40
        assert speed.max() < 6.5  # no jump out of a rest pose
        picture = sequence.keypoints
        assert ((picture > 0) & (picture < 1000)).all()
        up_in_picture = of(picture, "left_ankle")[..., 1] - of(picture, "head")[..., 1]
        assert up_in_picture.mean() > 0


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_joints_are_found_by_the_names_of_any_software(flavour: str, tmp_path: Path) -> None:
    names = FLAVOURS[flavour]
    found = find_joints(list(names.values()))
    expected = {name for name in BODY if name.startswith(("left", "right")) and "collar" not in name} | {"head"}
    assert set(found) == expected
    assert {name: list(names.values())[place] for name, place in found.items()} == {n: names[n] for n in expected}
    write_bvh(tmp_path / "ann" / "walk.bvh", flavour)
    assert_upright(world(read(tmp_path).sequences[0]))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Hips", "LHipJoint", "LeftUpLeg", "LeftLeg", "LowerBack"], {"left_hip": 2, "left_knee": 3}),
        (["Character1_LeftUpLeg", "Character1_LeftLeg"], {"left_hip": 0, "left_knee": 1}),
        (["hip", "lButtock", "lThigh", "lShin", "leftEye"], {"left_hip": 2, "left_knee": 3}),
        (["LeftShoulder", "LeftArm", "LeftForeArm"], {"left_shoulder": 1, "left_elbow": 2}),
        (["LeftCollar", "LeftShoulder", "LeftElbow"], {"left_shoulder": 1, "left_elbow": 2}),
        (["LeftHandIndex1", "LeftHand", "LThumb", "HeadTop_End", "Head"], {"left_wrist": 1, "head": 4}),
        (["Armature|leg_l", "Leg", "hand"], {"left_knee": 0}),
    ],
)
def test_names_that_are_alike_are_told_apart(names: list[str], expected: dict[str, int]) -> None:
    assert find_joints(names) == expected


def test_joints_by_hand(tmp_path: Path) -> None:
    write_bvh(tmp_path / "one.bvh", frames=1)
    joints = h36m_joints(read_bvh(tmp_path / "one.bvh")).joints[0] / 100  # metres; x left, y up, z forward
    hips = torch.tensor([0.0, 0.96 - 0.05, 0.0], dtype=torch.float64)
    expected = {
        "pelvis": hips,
        "left_hip": hips + torch.tensor([0.11, 0, 0]),
        "left_knee": hips + torch.tensor([0.11, -0.43, 0]),
        "thorax": hips + torch.tensor([0, 0.05 + 0.1 + 0.13 + 0.2, 0]),
        "spine": hips + torch.tensor([0, 0.24, 0]),
        "right_shoulder": hips + torch.tensor([-0.16, 0.48, 0]),
    }
    for name, place in expected.items():
        torch.testing.assert_close(of(joints, name), place.double(), atol=1e-6, rtol=0)
    scale = (0.48 + 0.43 + 0.42) / bvh._SIZE_OF_STATURE
    head = of(joints, "head") - of(joints, "thorax")
    assert 0.2 * scale < head[1] < 0.22 * scale and head[2] > 0 and head[0].abs() < 1e-6


@pytest.mark.parametrize("unit", [1.0, 0.01, 0.001, 0.0254, 0.0254 / 0.45, 0.004])
def test_the_unit_is_that_of_a_body(unit: float, tmp_path: Path) -> None:
    """Where it is none that anybody uses, the body is of usual size."""
    write_bvh(tmp_path / "ann" / "walk.bvh", unit=unit)
    joints = world(read(tmp_path).sequences[0])
    thigh = (of(joints, "left_hip") - of(joints, "left_knee")).norm(dim=-1)
    expected = 0.43 if unit != 0.004 else 0.43 / 1.33 * bvh._SIZE_OF_STATURE
    torch.testing.assert_close(thigh, torch.full_like(thigh, expected), atol=1e-4, rtol=0)


def test_up_is_where_bodies_stand(tmp_path: Path) -> None:
    write_bvh(tmp_path / "y" / "walk.bvh")
    write_bvh(tmp_path / "z" / "walk.bvh", z_up=True)
    y, z = (world(s) for s in read(tmp_path, virtual_cameras=cameras(count=1)).sequences)
    assert_upright(z)
    torch.testing.assert_close(z, y, atol=1e-4, rtol=0)


@pytest.mark.parametrize("positions", ["places", "add"])
def test_joints_may_have_positions(positions: str, tmp_path: Path) -> None:
    """Which replace an offset, or add to it."""
    write_bvh(tmp_path / "plain.bvh")
    write_bvh(tmp_path / "all.bvh", positions=positions)
    plain, other = (h36m_joints(read_bvh(tmp_path / f"{name}.bvh")).joints for name in ("plain", "all"))
    torch.testing.assert_close(other, plain, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("fps", "kept", "frames"), [(120, 40, 20), (60, 30, 30), (50, 50, 60), (30, 30, 60)])
def test_takes_have_at_most_50_frames_a_second(fps: float, kept: float, frames: int, tmp_path: Path) -> None:
    write_bvh(tmp_path / "ann" / "walk.bvh", fps=fps)
    sequence = read(tmp_path).sequences[0]
    assert sequence.fps == pytest.approx(kept) and len(sequence.keypoints) == frames
    joints = of(world(sequence), "pelvis")
    assert float((joints[-1] - joints[0]).norm() * kept / (frames - 1)) == pytest.approx(1.2, abs=1e-3)


def test_a_jump_out_of_a_rest_pose_is_left_out(tmp_path: Path) -> None:
    write_bvh(tmp_path / "ann" / "walk.bvh")
    before = world(read(tmp_path).sequences[0])
    text = (tmp_path / "ann" / "walk.bvh").read_text()
    head, rows = text.split("Frame Time: 0.0200000\n")
    first = rows.splitlines()[0].split()
    rest = " ".join(["300", "96", "-200", *("0" for _ in first[3:])])
    (tmp_path / "ann" / "walk.bvh").write_text(
        f"{head.replace('Frames: 60', 'Frames: 61')}Frame Time: 0.0200000\n{rest}\n{rows}"
    )
    torch.testing.assert_close(world(read(tmp_path).sequences[0]), before, atol=1e-3, rtol=0)


def cameras(**changes: Any) -> VirtualCameraParams:
    return VirtualCameraParams(**{**VIRTUAL_CAMERAS, **changes})


def test_cameras_stand_where_the_params_say(tmp_path: Path) -> None:
    write_bvh(tmp_path / "ann" / "walk.bvh", frames=10)
    data = read(tmp_path, virtual_cameras=cameras(count=6, elevation_deg=(20.0, 30.0), distance_m=(6.0, 7.0)))
    azimuths = []
    for sequence in data.sequences:
        x, y, z = sequence.camera.position
        path = of(world(sequence), "pelvis")
        middle = (path.amin(0) + path.amax(0)) / 2
        high, far = z - float(middle[2]), math.hypot(x, y)
        assert 20 <= math.degrees(math.atan2(high, far)) <= 30
        assert 6 <= math.hypot(high, far) <= 7.2
        azimuths.append(math.degrees(math.atan2(y, x)) % 360)
        assert sequence.camera.fov_deg == pytest.approx(47)
        assert sequence.positions is not None
        torch.testing.assert_close(sequence.camera.project(sequence.positions), sequence.keypoints, atol=2e-2, rtol=0)
        assert (sequence.confidence == 1).all()
    assert np.diff(azimuths) % 360 == pytest.approx([60] * 5, abs=1e-3)
    assert [s.camera.name for s in data.sequences] == [f"view{n}" for n in range(1, 7)]


def test_who_walks_far_stays_in_the_picture(tmp_path: Path) -> None:
    write_bvh(tmp_path / "ann" / "walk.bvh", frames=500)
    for sequence in read(tmp_path).sequences:
        assert ((sequence.keypoints > 0) & (sequence.keypoints < 1000)).all()
        assert sequence.positions is not None and (sequence.positions[..., 2] > 3).all()


def test_runs_are_alike_and_seeds_are_not(tmp_path: Path) -> None:
    write_bvh(tmp_path / "ann" / "walk.bvh", frames=20)
    first, again, other = (
        read(tmp_path, keypoints="noisy", virtual_cameras=cameras(seed=seed)).sequences for seed in (0, 0, 1)
    )
    for one, same, another in zip(first, again, other, strict=True):
        assert torch.equal(one.keypoints, same.keypoints) and one.camera == same.camera != another.camera
        assert one.positions is not None
        noise = (one.keypoints - one.camera.project(one.positions)).abs()
        assert 1 < noise.median() < 6
        assert one.confidence.unique().numel() > 10
    noises = [s.keypoints - s.camera.project(s.positions) for s in first if s.positions is not None]
    assert not torch.allclose(noises[0], noises[1], atol=0.1)


@pytest.mark.parametrize(
    ("path", "subject", "action"),
    [
        ("ann/walk.bvh", "ann", "walk"),
        ("ann/day 2/walk,fast.bvh", "ann", "day 2 walk fast"),
        ("12_01.bvh", "12", "01"),
        ("walk1_subject5.bvh", "subject5", "walk1"),
        ("Walking.bvh", "Walking", "Walking"),
    ],
)
def test_files_say_who_does_what(path: str, subject: str, action: str) -> None:
    assert bvh.named(Path(path)) == (subject, action)


def test_only_subjects_of_the_split_are_read(tmp_path: Path) -> None:
    for name in ("ann", "ben"):
        write_bvh(tmp_path / name / "walk.BVH", frames=10)
    data = read(tmp_path, split=SplitParams(train=("ann",), validation=(), test=()))
    assert {s.subject for s in data.sequences} == {"ann"} and data.subjects == ("ann", "ben")


GOOD = (
    "HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n"
)


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no HIERARCHY and MOTION"),
        ("MOTION", "no HIERARCHY and MOTION"),
        (b"\xff\xfe\x00binary", "no text that can be read"),
        (GOOD, "no HIERARCHY and MOTION"),
        (f"{GOOD}MOTION\n", "no number of frames and no frame time"),
        (f"{GOOD}MOTION\nFrames: x\nFrame Time: 0.1\n", "no number of frames"),
        (f"{GOOD}MOTION\nFrames: 0\nFrame Time: 0.1\n", "0 frames of 0.1 seconds"),
        (f"{GOOD}MOTION\nFrames: 1\nFrame Time: 0\n1 2 3\n", "1 frames of 0 seconds"),
        (f"{GOOD}MOTION\nFrames: 1\nFrame Time: nan\n1 2 3\n", "1 frames of nan seconds"),
        (f"{GOOD}MOTION\nFrames: 2\nFrame Time: 0.1\n1 2 3\n", "2 frames of 3 channels are announced, but there are 3"),
        (f"{GOOD}MOTION\nFrames: 2\nFrame Time: 0.1\n1 2 3\n1 2\n", "but there are 5 numbers"),
        (f"{GOOD}MOTION\nFrames: 1\nFrame Time: 0.1\n1 2 nan\n", "numbers that are not finite"),
        (f"{GOOD}MOTION\nFrames: 1\nFrame Time: 0.1\n1 2 three\n", "but there are 0 numbers"),
        (
            f"{GOOD}MOTION\nFrames: 1\nFrame Time: 0.1\n1 2 3".replace("Xrotation", "Wrotation"),
            "the channel 'wrotation'",
        ),
        (GOOD.replace("OFFSET 0 1 0", "OFFSET 0 1") + "MOTION\n", "the hierarchy is not complete"),
        (GOOD.replace("OFFSET 0 1 0", "OFFSET 0 inf 0") + "MOTION\n", "the hierarchy is not complete"),
        (GOOD.replace("}\n}\n", "}\n") + "MOTION\n", "the hierarchy is not complete"),
        (GOOD.replace("End Site", "JONT") + "MOTION\n", "'JONT' in the hierarchy"),
        (GOOD + "ROOT Other\nMOTION\n", "not one root, at the top"),
    ],
)
def test_what_is_wrong_with_a_file(content: str | bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.bvh"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BvhError, match=message):
        read_bvh(path)


def test_numbers_may_be_in_lines_of_any_length(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(f"{GOOD}MOTION\nFrames:\t2\nFrame Time:\t.0083333\n1 2 3 4\n5 6\n")
    read_back = read_bvh(tmp_path / "a.bvh")
    assert read_back.values.tolist() == [[1, 2, 3], [4, 5, 6]] and read_back.fps == 120


def test_a_bad_file_is_named_and_left_out(tmp_path: Path) -> None:
    write_bvh(tmp_path / "ann" / "walk.bvh")
    (tmp_path / "ann" / "cut.bvh").write_text((tmp_path / "ann" / "walk.bvh").read_text()[:-300])
    (tmp_path / "ann" / "robot.bvh").write_text(f"{GOOD}MOTION\nFrames: 1\nFrame Time: 0.1\n1 2 3\n")
    data = read(tmp_path)
    assert len(data.sequences) == 4
    cut, robot = data.dropped
    assert (cut.action, cut.reason) == ("cut", "unreadable") and "cut.bvh: 60 frames of" in cut.why
    assert (robot.action, robot.reason) == ("robot", "unknown_skeleton")
    assert "robot.bvh: no joint is named like left_hip, right_hip" in robot.why


@pytest.mark.parametrize("flavour", ["motionbuilder", "smpl"])
def test_mirrored_motion_is_named_and_left_out(flavour: str, tmp_path: Path) -> None:
    """Joints that are called as those of the other side are, in made-up files and in real ones."""
    write_bvh(tmp_path / "ann" / "walk.bvh", flavour)
    write_bvh(tmp_path / "ann" / "mirrored.bvh", flavour)
    own = (tmp_path / "ann" / "mirrored.bvh").read_text()
    for path, text in [("mirrored", own), *((path.stem, path.read_text()) for path in REAL)]:
        exchanged = re.sub(
            r"(?<=JOINT )(Left|Right|L_|R_|l(?=[A-Z])|r(?=[A-Z]))",
            lambda side: {"Left": "Right", "Right": "Left", "L_": "R_", "R_": "L_", "l": "r", "r": "l"}[side[1]],
            text,
        )
        assert exchanged != text
        (tmp_path / "ann" / f"{path}.bvh").write_text(exchanged)
    data = read(tmp_path)
    assert {s.action for s in data.sequences} == {"walk"}
    assert {d.action for d in data.dropped} == {"mirrored", *(path.stem for path in REAL)}
    assert all(d.reason == "unknown_skeleton" and "its knees bend backwards" in d.why for d in data.dropped)


def test_straight_legs_tell_nothing_of_sides(tmp_path: Path) -> None:
    write_bvh(tmp_path / "ann" / "walk.bvh", frames=20)
    lines = (tmp_path / "ann" / "walk.bvh").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    still = [" ".join([*line.split()[:3], *["0"] * (len(line.split()) - 3)]) for line in lines[start:]]
    text = "\n".join([*lines[:start], *still])
    (tmp_path / "ann" / "walk.bvh").write_text(text.replace("Left", "?").replace("Right", "Left").replace("?", "Right"))
    assert len(read(tmp_path).sequences) == 4


def test_when_all_are_bad_it_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no BVH file: put motion capture there, a folder a person$"):
        bvh.read(tmp_path, source_params("bvh"))
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "x.bvh").write_text("x")
    with pytest.raises(UserError, match=r"^none of 1 BVH files below .* the first: .*x\.bvh: no HIERARCHY") as found:
        read(tmp_path)
    assert "\n" not in str(found.value)
    with pytest.raises(UserError, match="data.keypoints = 'cpn': bvh has gt and noisy"):
        bvh.read(tmp_path, source_params("bvh", keypoints="cpn"))


@pytest.mark.parametrize("offset", ["0 0 0", "1e300 1 1"])
def test_a_body_without_a_size_is_named_and_left_out(offset: str, tmp_path: Path) -> None:
    write_bvh(tmp_path / "ann" / "walk.bvh")
    text = (tmp_path / "ann" / "walk.bvh").read_text()
    (tmp_path / "ann" / "odd.bvh").write_text(re.sub(r"OFFSET .*", f"OFFSET {offset}", text))
    data = read(tmp_path)
    assert len(data.sequences) == 4
    assert [(d.action, d.reason) for d in data.dropped] == [("odd", "unreadable")]
    assert "odd.bvh: a body whose trunk and leg are" in data.dropped[0].why


def test_auto_divides_everybody(tmp_path: Path) -> None:
    for subject in ("ann", "ben", "cleo"):
        write_bvh(tmp_path / subject / "walk.bvh")
    data = read(tmp_path, split=AutoSplit())
    assert {s.subject for s in data.sequences} == {"ann", "ben", "cleo"} and len(data.sequences) == 12
