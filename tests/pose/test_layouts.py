"""Layouts: in the published orders, with sides that mirror each other; those of users, and what is wrong with them."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from lib.pose.landmarks import JOINTS, LANDMARKS, side_of
from lib.pose.layout import Layout, Mixture, make_layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS, known_layouts, layout_named, read_layout
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from tests.settings import SMALL

every_layout = pytest.mark.parametrize("layout", [*LAYOUTS.values(), SMALL], ids=[*LAYOUTS, "small"])

# Written out from the publications, one keypoint after the other. COCO: cocodataset.org, categories of the person
# keypoints. BODY_25: OpenPose, doc/02_output.md. Halpe-26: Fang et al., Halpe-FullBody's README, of which the head is
# the top of the head. MediaPipe: BlazePose's 33 landmarks, of which the foot index is the toe.
PUBLISHED = {
    "coco": """nose, left_eye, right_eye, left_ear, right_ear, left_shoulder, right_shoulder, left_elbow, right_elbow,
        left_wrist, right_wrist, left_hip, right_hip, left_knee, right_knee, left_ankle, right_ankle""",
    "body_25": """Nose, Neck, RShoulder, RElbow, RWrist, LShoulder, LElbow, LWrist, MidHip, RHip, RKnee, RAnkle, LHip,
        LKnee, LAnkle, REye, LEye, REar, LEar, LBigToe, LSmallToe, LHeel, RBigToe, RSmallToe, RHeel""",
    "halpe_26": """Nose, LEye, REye, LEar, REar, LShoulder, RShoulder, LElbow, RElbow, LWrist, RWrist, LHip, RHip,
        LKnee, RKnee, LAnkle, RAnkle, Head, Neck, Hip, LBigToe, RBigToe, LSmallToe, RSmallToe, LHeel, RHeel""",
    "mediapipe_33": """nose, left_eye_inner, left_eye, left_eye_outer, right_eye_inner, right_eye, right_eye_outer,
        left_ear, right_ear, left_mouth, right_mouth, left_shoulder, right_shoulder, left_elbow, right_elbow,
        left_wrist, right_wrist, left_pinky, right_pinky, left_index, right_index, left_thumb, right_thumb, left_hip,
        right_hip, left_knee, right_knee, left_ankle, right_ankle, left_heel, right_heel,
        left_foot_index, right_foot_index""",
    "mpi_inf_3dhp": """head_top, neck, right_shoulder, right_elbow, right_wrist, left_shoulder, left_elbow, left_wrist,
        right_hip, right_knee, right_ankle, left_hip, left_knee, left_ankle, pelvis, spine, head""",
    "humaneva_15": """pelvis, thorax, left_shoulder, left_elbow, left_wrist, right_shoulder, right_elbow, right_wrist,
        left_hip, left_knee, left_ankle, right_hip, right_knee, right_ankle, head""",
}
# VideoPose3D's tables of the trees of Human3.6M and HumanEva.
TREES = {
    "h36m": (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
    "humaneva_15": (-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1),
}


def plainly(name: str) -> str:
    """'RBigToe' -> 'right_big_toe'."""
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
    side, _, rest = words.partition("_")
    return {"r": "right_", "l": "left_"}[side] + rest if side in ("r", "l") else words


def mirrored(name: str) -> str:
    return name.replace("left", "?").replace("right", "left").replace("?", "right")


@pytest.mark.parametrize("name", PUBLISHED)
def test_keypoints_come_in_the_published_order(name: str) -> None:
    published = [plainly(keypoint.strip()) for keypoint in PUBLISHED[name].split(",")]
    assert list(LAYOUTS[name].keypoints) == published


def test_a_place_of_a_layout_marks_what_its_name_says() -> None:
    """All but those below mark the landmark of their name, or near it."""
    elsewhere = {"left_foot_index": "left_big_toe", "right_foot_index": "right_big_toe", "mid_hip": "pelvis"}
    elsewhere |= {"hip": "pelvis", "neck": "thorax"}  # midway between the hips, or the shoulders
    for name in PUBLISHED:
        layout = LAYOUTS[name]
        for keypoint, landmark in zip(layout.keypoints, layout.landmarks, strict=True):
            expected = "head_top" if (name, keypoint) == ("halpe_26", "head") else elsewhere.get(keypoint, keypoint)
            assert landmark == expected, (name, keypoint)


def test_the_trees_are_the_published_ones() -> None:
    for name, parents in TREES.items():
        assert LAYOUTS[name].skeleton.parents == parents


def test_human36ms_layout_is_its_joints_and_no_other_is() -> None:
    assert H36M_LAYOUT.skeleton == H36M and H36M_LAYOUT.landmarks == H36M.names
    assert [name for name, layout in LAYOUTS.items() if layout.exact] == ["h36m"]
    assert torch.equal(H36M_LAYOUT.mixing, torch.eye(17, len(LANDMARKS)))
    other = ["nose" if name == "neck" else name for name in H36M.names]  # which COCO's is near
    assert list(LAYOUTS["h36m_from_coco"].landmarks) == other and LAYOUTS["h36m_from_coco"].keypoints == H36M.names


@every_layout
def test_the_mirror_swaps_sides_and_twice_is_nothing(layout: Layout) -> None:
    for order, names in (
        (layout.skeleton.mirror, layout.landmarks),
        (layout.point_mirror, (*H36M.names, *layout.landmarks)),
    ):
        assert [order[other] for other in order] == list(range(len(names)))
        assert [names[other] for other in order] == [mirrored(name) for name in names]
    assert layout.point_mirror[:JOINTS] == H36M.mirror


@every_layout
def test_what_a_keypoint_marks_has_its_mirror_image_in_what_the_mirrored_one_marks(layout: Layout) -> None:
    body = [LANDMARKS.index(mirrored(name)) for name in LANDMARKS]
    assert torch.equal(layout.mixing[list(layout.skeleton.mirror)], layout.mixing[:, body])
    spreads = torch.tensor(layout.spreads)
    assert torch.equal(spreads[list(layout.skeleton.mirror)], spreads)


@every_layout
def test_mixtures_add_up_and_no_landmark_is_read_twice(layout: Layout) -> None:
    torch.testing.assert_close(layout.mixing.sum(1), torch.ones(len(layout)))
    assert len(set(layout.slots)) == len(layout) == len(layout.keypoints) == len(layout.spreads)
    assert [LANDMARKS[slot] for slot in layout.slots] == list(layout.landmarks)
    for landmark, mixture in zip(layout.landmarks, layout.mixtures, strict=True):
        assert len(mixture) > 1 or mixture == ((landmark, 1.0),)
    assert layout.exact or 0 < min(layout.spreads) <= max(layout.spreads) < 0.05


@every_layout
def test_the_keypoints_of_joints_by_hand(layout: Layout) -> None:
    values = torch.arange(1.0, len(layout) + 1)[:, None].expand(2, -1, 3)
    joints = layout.of_joints(values)
    assert joints.shape == (2, 17, 3)
    for joint, name in enumerate(H36M.names):
        expected = layout.landmarks.index(name) + 1 if name in layout.landmarks else 0
        assert (joints[:, joint] == expected).all()


def test_a_layout_without_joints_has_none() -> None:
    face = make_layout(
        "face", {name: name for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")}, {}, 0.01
    )
    assert not face.of_joints(torch.ones(5, 3)).any()
    assert face.skeleton.root == 0


@every_layout
def test_a_layout_survives_its_plain_values(layout: Layout) -> None:
    assert Layout.load(layout.dump()) == layout
    assert hash(Layout.load(layout.dump())) == hash(layout)


def test_a_mixture_is_read_as_the_nearest_landmark_that_no_other_keypoint_marks() -> None:
    middle: Mixture = {"left_hip": 0.5, "right_hip": 0.5}
    assert make_layout("one", {"middle": middle}, {}, 0.01).landmarks == ("pelvis",)
    two = make_layout("two", {"middle": middle, "pelvis": "pelvis"}, {}, 0.01)
    assert two.landmarks == ("spine", "pelvis")  # the pelvis is taken, wherever it stands
    three = make_layout("three", {"middle": middle, "between": {"pelvis": 0.9, "spine": 0.1}}, {}, 0.01)
    assert three.landmarks == ("pelvis", "spine")  # first come, first served
    sides = {f"{side}_shin": {f"{side}_knee": 0.5, f"{side}_ankle": 0.5} for side in ("left", "right")}
    shins = make_layout("shins", {**sides, "left_knee": "left_knee", "right_knee": "right_knee"}, {}, 0.01)
    assert shins.landmarks == ("left_ankle", "right_ankle", "left_knee", "right_knee")


def test_spreads_are_by_landmark_and_the_rest() -> None:
    layout = make_layout("mine", {"a": "left_hip", "b": "right_hip", "c": "nose"}, {"hip": 0.03}, 0.01)
    assert layout.spreads == (0.03, 0.03, 0.01)


MINE = """
keypoints:
  top: head_top
  chin: {left_mouth: 0.3, right_mouth: 0.3, thorax: 0.4}
  hip_l: left_hip
  hip_r: right_hip
  toe_r: right_big_toe
  toe_l: left_big_toe
"""


def test_a_users_layout_with_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    layout = read_layout(path)
    assert layout == layout_named(str(path))
    assert layout.name == "mine" and layout.keypoints == ("top", "chin", "hip_l", "hip_r", "toe_r", "toe_l")
    assert layout.landmarks == ("head_top", "neck", "left_hip", "right_hip", "right_big_toe", "left_big_toe")
    row = layout.mixing[1]
    assert row[LANDMARKS.index("thorax")].item() == pytest.approx(0.4) and row.count_nonzero() == 3
    assert all(0 < spread < 0.05 for spread in layout.spreads)
    assert known_layouts(layout) == (*LAYOUTS.values(), layout)
    assert known_layouts(H36M_LAYOUT) == tuple(LAYOUTS.values())


def test_layouts_are_found_by_name() -> None:
    assert layout_named("body_25") is LAYOUTS["body_25"]
    with pytest.raises(
        UserError, match=r"^body25 is missing: name one of h36m, coco, .*humaneva_15, .*, or a YAML file that"
    ):
        layout_named("body25")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must have `keypoints`, which maps the name of each keypoint to the landmark it marks"),
        ("[nose]", "must have `keypoints`"),
        ("keypoints: {}", "must have `keypoints`"),
        ("keypoints: [nose]", "must have `keypoints`"),
        ("points: {nose: nose}", "must have `keypoints`"),
        ("keypoints: {a: [nose]}", "a must be a landmark, or a mapping of landmarks to weights"),
        ("keypoints: {a: 3}", "a must be a landmark, or a mapping of landmarks to weights"),
        ("keypoints: {a: {nose: much}}", "a must be a landmark, or a mapping of landmarks to weights"),
        ("keypoints: {0: nose}", "the key '0' in keypoints must be text"),
        (
            "keypoints: {a: snout}",
            "layout mine: a marks 'snout'; the landmarks are pelvis, right_hip, .*, right_pinky$",
        ),
        ("keypoints: {a: {nose: 0.5, snout: 0.5}}", "layout mine: a marks 'snout'"),
        ("keypoints: {a: {nose: 0.5, head: 0.6}}", "layout mine: the weights of a add up to 1.1, not to 1"),
        ("keypoints: {a: {nose: .nan, head: 1}}", "mine.yaml: the weights of a must be from 0 to 1"),
        ("keypoints: {a: {}}", "layout mine: the weights of a add up to 0, not to 1"),
        ("keypoints: {a: nose, b: nose}", "layout mine: b and a both mark nose"),
        (
            "keypoints: {a: left_knee, b: nose}",
            "layout mine: a needs a mirror image: a keypoint that marks the same of the",
        ),
        (
            "keypoints: {a: {left_wrist: 0.5, left_index: 0.5}, b: right_wrist, c: left_wrist}",
            "layout mine: a needs a mirror image",
        ),
        ("keypoints: {a: {left_eye: 0.6, right_eye: 0.4}}", "layout mine: a needs a mirror image"),
    ],
)
def test_what_is_wrong_with_a_users_layout_is_one_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as found:
        read_layout(path)
    assert "\n" not in str(found.value) and "mine" in str(found.value)


def test_a_body_has_no_more_landmarks() -> None:
    middles: dict[str, str | Mapping[str, float]] = {
        f"middle_{number}": {"left_hip": number / 20, "right_hip": number / 20, "head": 1 - number / 10}
        for number in range(1, 9)
    }
    assert sum(not side_of(name)[0] for name in LANDMARKS) == 7
    with pytest.raises(UserError, match="^layout many: middle_8 is one keypoint more than a body has landmarks$"):
        make_layout("many", middles, {}, 0.01)


def test_gradients_pass_what_a_layout_marks_whenever_that_was_first_asked_for() -> None:
    """Such as in the validation before any training."""
    layout = Layout.load(LAYOUTS["coco"].dump())
    with torch.inference_mode():
        assert len(layout.mixing) == len(layout)
    landmarks = torch.ones(len(LANDMARKS), 3, requires_grad=True)
    (layout.mixing @ landmarks).sum().backward()
    assert landmarks.grad is not None and float(landmarks.grad.sum()) == pytest.approx(3 * len(layout))
