"""What the prior draws: people before cameras, and what a layout marks on them."""

import math

import pytest
import torch
from torch import Tensor

from lib.pose.geometry import project
from lib.pose.landmarks import LANDMARKS
from lib.pose.layout import Layout, Mixture, make_layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.prior.bodies import SEGMENTS
from lib.prior.motions import MotionWeights
from lib.prior.postures import PostureWeights
from lib.prior.sampler import NEAREST, PosePrior, PriorParams, PriorSample
from lib.runtime.errors import UserError
from lib.runtime.params import section
from tests.settings import PRIOR, SMALL

every_layout = pytest.mark.parametrize("layout", [*LAYOUTS.values(), SMALL], ids=[*LAYOUTS, "small"])
FORWARD = torch.tensor([0.0, 0.0, 1.0])


def draw(count: int, layout: Layout = H36M_LAYOUT, **changes: object) -> PriorSample:
    prior = PosePrior(PRIOR.model_copy(update=changes))
    return prior.sample(count, torch.Generator().manual_seed(3), layout)


def named(sample: PriorSample, layout: Layout) -> dict[str, Tensor]:
    return dict(zip(layout.landmarks, sample.keypoints.unbind(-2), strict=True))


@every_layout
def test_the_same_seed_draws_the_same_poses_and_the_camera_sees_them_all(layout: Layout) -> None:
    prior = PosePrior(PRIOR)
    for one, other in (
        [prior.sample(512, torch.Generator().manual_seed(3), layout) for _ in range(2)],
        [prior.sample_motion(64, 5, 0.06, torch.Generator().manual_seed(3), layout) for _ in range(2)],
    ):
        assert torch.equal(one.points, other.points)
        assert one.points.shape[-2] == 17 + len(layout)
        in_camera = one.points + one.root_depth[..., None, None] * FORWARD
        assert (in_camera[..., 2] > 0.9 * NEAREST).all()
        assert project(in_camera).isfinite().all()
        assert one.joints[..., H36M.root, :].abs().max() == 0


def test_the_keypoints_of_human36ms_layout_are_the_joints() -> None:
    for sample in (draw(64), PosePrior(PRIOR).sample_motion(8, 3, 0.06, torch.Generator().manual_seed(0))):
        assert torch.equal(sample.keypoints, sample.joints) and sample.joints.shape[-2] == 17


def test_most_people_are_upright_in_the_camera() -> None:
    thorax_above = draw(2000).joints[:, H36M.index("thorax"), 1] < 0  # y points down
    assert 0.85 < thorax_above.float().mean() < 0.99  # a tenth tumbles


def test_people_are_the_same_in_whatever_layout_they_are_marked() -> None:
    plain = draw(64)
    for layout in LAYOUTS.values():
        marked = draw(64, layout, roll_std_deg=2.0)
        height = [sample.joints[:, H36M.index("head")].norm(dim=-1) for sample in (plain, marked)]
        torch.testing.assert_close(*height, atol=1e-4, rtol=0)


def exact(layout: Layout) -> Layout:
    """What it marks, without a spread."""
    return Layout(layout.name, layout.keypoints, layout.landmarks, layout.mixtures, (0.0,) * len(layout))


@every_layout
def test_spreads_are_standard_deviations_along_each_axis(layout: Layout) -> None:
    count = 4000
    off = draw(count, layout).keypoints - draw(count, exact(layout)).keypoints
    rms = off.square().mean((0, 2)).sqrt()
    spreads = torch.tensor(layout.spreads)
    if layout.exact:
        assert off.abs().max() == 0
        return
    # In the body's middle nothing is systematic sideways.
    torch.testing.assert_close(rms, spreads, rtol=0.15, atol=0)


def test_what_is_systematic_is_so_on_both_sides() -> None:
    """Offsets in a body that stands before a level camera: their mirror images go together, and not all of them do."""
    upright = {"elevation_deg": (0.0, 0.0), "roll_std_deg": 0.0, "tumbling_probability": 0.0}
    layout = make_layout("hips", {"left": "left_hip", "right": "right_hip"}, {}, 0.03)
    off = draw(4000, layout, **upright).keypoints - draw(4000, exact(layout), **upright).keypoints
    up = off[..., 1]
    correlation = (up[:, 0] * up[:, 1]).mean() / up.square().mean()
    assert 0.4 < correlation < 0.85


def test_a_mixture_is_a_mean_of_landmarks() -> None:
    sides: dict[str, str | Mixture] = {"a": "left_hip", "b": "right_hip", "c": {"left_hip": 0.5, "right_hip": 0.5}}
    layout = exact(make_layout("hips", sides, {}, 0.01))
    keypoints = draw(64, layout).keypoints
    torch.testing.assert_close(keypoints[:, 2], keypoints[:, :2].mean(1))


def test_keypoints_are_where_their_landmarks_are_on_people_who_face_the_camera() -> None:
    upright = {"elevation_deg": (0.0, 0.0), "roll_std_deg": 0.0, "tumbling_probability": 0.0}
    layout = LAYOUTS["halpe_26"]
    sample = draw(2000, layout, **upright)
    at = named(sample, layout)
    facing = (at["left_hip"] - at["right_hip"])[:, 0] > 0.15  # their left is on our right
    assert facing.sum() > 200
    near = {name: place[facing] for name, place in at.items()}

    def share(one: str, other: str, axis: int) -> float:
        return float((near[one][:, axis] < near[other][:, axis]).float().mean())

    assert share("nose", "left_ear", 2) > 0.75 and share("nose", "right_ear", 2) > 0.75  # nearer to the camera
    assert share("left_eye", "thorax", 1) > 0.85 and share("head_top", "nose", 1) > 0.75  # higher in the picture
    assert share("right_eye", "left_eye", 0) > 0.75 and share("right_ear", "left_ear", 0) > 0.75
    assert share("left_big_toe", "left_heel", 2) > 0.75 and share("left_ankle", "left_heel", 1) > 0.75


def test_landmarks_off_the_joints_differ_from_person_to_person() -> None:
    layout = exact(LAYOUTS["mediapipe_33"])
    at = named(draw(2000, layout), layout)
    width = (at["left_ear"] - at["right_ear"]).norm(dim=-1)
    assert width.mean().item() == pytest.approx(0.15, abs=0.01) and 0.005 < width.std() < 0.03


@pytest.mark.parametrize("elevation", [-40.0, 0.0, 30.0, 90.0])
def test_up_is_what_gravity_says(elevation: float) -> None:
    sample = draw(32, elevation_deg=(elevation, 0.0), roll_std_deg=0.0)
    angle = math.radians(elevation)
    # Of a level camera -y; one that looks down from above sees it come towards itself.
    expected = torch.tensor([0.0, -math.cos(angle), -math.sin(angle)])
    torch.testing.assert_close(sample.up, expected.expand(32, 3), atol=1e-6, rtol=0)


def test_up_has_length_1_in_every_frame_and_is_where_heads_are() -> None:
    sample = PosePrior(PRIOR).sample_motion(256, 4, 0.06, torch.Generator().manual_seed(0))
    torch.testing.assert_close(sample.up.norm(dim=-1), torch.ones(256, 4))
    assert torch.equal(sample.up, sample.up[:, :1].expand_as(sample.up))
    thorax = (sample.joints[..., H36M.index("thorax"), :] * sample.up).sum(-1)
    assert (thorax > 0).float().mean() > 0.85


def test_a_share_of_cameras_is_anywhere_from_below_to_above() -> None:
    def elevations(share: float) -> Tensor:
        return -draw(4000, any_elevation_probability=share).up[:, 2].asin().rad2deg()

    assert elevations(0.0).abs().max() < 60
    everywhere = elevations(1.0)
    assert everywhere.mean().abs() < 3 and everywhere.std().item() == pytest.approx(180 / math.sqrt(12), rel=0.05)
    far = (elevations(0.4) - 10).abs() > 40
    assert far.float().mean().item() == pytest.approx(0.4 * 100 / 180, abs=0.03)


def test_rolls_have_their_standard_deviation() -> None:
    up = draw(4000, roll_std_deg=20.0, elevation_deg=(0.0, 0.0)).up
    assert torch.atan2(up[:, 0], -up[:, 1]).rad2deg().std().item() == pytest.approx(20, rel=0.06)


def test_a_random_view_turns_points_about_the_vertical() -> None:
    """Points that a level camera sees keep their heights before a level camera on another side of them."""
    prior = PosePrior(PRIOR.model_copy(update={"elevation_deg": (0.0, 0.0), "roll_std_deg": 0.0}))
    level = draw(16, elevation_deg=(0.0, 0.0), roll_std_deg=0.0).points[:, None]
    seen = prior.random_view(level, torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen.points[..., 1], level[..., 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.points.norm(dim=-1), level.norm(dim=-1), atol=1e-5, rtol=0)
    assert (seen.points - level).abs().max() > 0.3
    torch.testing.assert_close(seen.up, torch.tensor([0.0, -1.0, 0.0]).expand(16, 1, 3), atol=1e-6, rtol=0)


def test_keypoints_move_with_their_body() -> None:
    """Over a window, what a layout marks stays where it is on its part of the body, spread and all."""
    layout = LAYOUTS["halpe_26"]
    sample = PosePrior(PRIOR).sample_motion(32, 9, 0.06, torch.Generator().manual_seed(0), layout)
    at = named(sample, layout)
    for one, other in (("left_big_toe", "left_heel"), ("nose", "right_ear"), ("left_hip", "right_hip")):
        apart = (at[one] - at[other]).norm(dim=-1)
        torch.testing.assert_close(apart, apart[:, :1].expand_as(apart), atol=1e-4, rtol=0)
    assert len(LANDMARKS) > len(layout)


def test_lengths_are_learned_from_the_proportions_of_poses() -> None:
    people, prior = (PosePrior(PRIOR.model_copy(update={"bone_length_update": 1.0})) for _ in range(2))
    people.lengths[list(SEGMENTS).index("thigh")] *= 1.2
    size = prior.body_size
    prior.learn_lengths(7 * people.sample(4000, torch.Generator().manual_seed(0)).joints)
    torch.testing.assert_close(
        prior.lengths / prior.bones.sum(), people.lengths / people.bones.sum(), atol=0, rtol=0.02
    )
    assert abs(prior.body_size - size) < 1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"postures": dict.fromkeys(PostureWeights.model_fields, 0)}, "at least one must have a weight"),
        ({"motions": dict.fromkeys(MotionWeights.model_fields, 0)}, "at least one must have a weight"),
        ({"distance_m": [7, 3]}, "the first distance must not be above the second"),
        ({"other_layouts_probability": 1.5}, "prior.other_layouts_probability = 1.5: must be a number from 0 to 1"),
        ({"any_elevation_probability": -1}, "prior.any_elevation_probability = -1: must be a number from 0 to 1"),
    ],
)
def test_a_prior_that_makes_no_sense_is_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        section(PriorParams, "prior", {"prior": {**PRIOR.model_dump(), **change}})
