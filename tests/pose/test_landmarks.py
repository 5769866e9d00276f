"""The landmarks of a body: Human3.6M's joints first, two sides alike, and trees of any of them."""

import pytest

from lib.pose.landmarks import BODY, JOINT_OF, JOINTS, LANDMARKS, STANDING, side_of, skeleton_of
from lib.pose.skeleton import H36M


def test_human36ms_joints_come_first() -> None:
    assert LANDMARKS[:JOINTS] == H36M.names and JOINTS == 17
    assert len(set(LANDMARKS)) == len(LANDMARKS) == 41
    assert skeleton_of(H36M.names) == H36M


def test_every_landmark_has_a_mirror_image() -> None:
    for name in LANDMARKS:
        side, rest = side_of(name)
        x, y, z = STANDING[name]
        if side:
            other = STANDING[f"{'left' if side == 'right' else 'right'}_{rest}"]
            assert other == (-x, y, z) and (x > 0) == (side == "left")
        else:
            assert x == 0


def test_a_standing_body_is_one() -> None:
    def height(name: str) -> float:
        return STANDING[name][1]

    assert height("head_top") > height("left_eye") > height("nose") > height("left_mouth") > height("thorax")
    assert height("thorax") > height("spine") > height("pelvis") > height("left_knee") > height("left_ankle")
    assert height("left_ankle") > height("left_heel") and height("left_wrist") > height("left_index")
    for behind, front in (("left_ear", "left_eye"), ("left_eye", "nose"), ("left_heel", "left_big_toe")):
        assert STANDING[behind][2] < STANDING[front][2]


def test_landmarks_move_with_the_joint_that_they_are_near() -> None:
    joints = {name: H36M.names[joint] for name, joint in zip(LANDMARKS, JOINT_OF, strict=True)}
    assert all(joints[name] == name for name in H36M.names)
    assert (joints["nose"], joints["left_eye"], joints["head_top"]) == ("neck", "head", "head")
    assert (joints["left_heel"], joints["right_small_toe"]) == ("left_ankle", "right_ankle")
    assert (joints["right_thumb"], joints["left_pinky"]) == ("right_wrist", "left_wrist")


def test_the_whole_body_is_one_tree() -> None:
    assert BODY.names == LANDMARKS and BODY.names[BODY.root] == "pelvis"
    assert len(BODY.bones) == len(LANDMARKS) - 1
    assert all(distance < len(LANDMARKS) for row in BODY.graph_distance for distance in row)  # all are joined
    parents = {child: BODY.names[parent] for child, parent in ((BODY.names[c], p) for c, p in BODY.bones)}
    assert (parents["left_big_toe"], parents["left_ear"]) == ("left_ankle", "left_eye_outer")
    assert (parents["right_thumb"], parents["nose"], parents["head_top"]) == ("right_wrist", "neck", "head")


@pytest.mark.parametrize(
    ("names", "parents"),
    [
        (("pelvis", "left_knee", "right_knee", "head"), (-1, 0, 0, 0)),  # what has nothing to hang on is at the pelvis
        (("left_shoulder", "right_shoulder", "left_wrist", "right_wrist"), (-1, 0, 0, 0)),  # or at the first
        (("nose", "left_ear", "right_ear", "head_top"), (-1, 0, 0, 0)),
        (("left_heel", "left_ankle", "left_big_toe", "left_small_toe"), (1, -1, 1, 2)),  # in any order
    ],
)
def test_the_tree_of_a_few(names: tuple[str, ...], parents: tuple[int, ...]) -> None:
    assert skeleton_of(names).parents == parents
