"""What is hidden as life hides it: each kind alone hides only what it should, and enough always stays."""

import pytest
import torch
from torch import Tensor

from lib.data.occlusion import LEAST_SEEN, OcclusionParams, occluded
from lib.objectives.views import view_rays
from lib.pose.crops import Rays
from lib.pose.landmarks import side_of
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior, PriorSample
from tests.settings import NO_OCCLUSION, PRIOR, SMALL

COUNT, FRAMES = 600, 5
ARM, LEG = ("elbow", "wrist", "thumb", "index", "pinky"), ("knee", "ankle", "heel", "big_toe", "small_toe")
FACE = ("nose", "eye", "eye_inner", "eye_outer", "mouth")
some_layouts = pytest.mark.parametrize("name", ["h36m", "coco", "mediapipe_33"])


def people(layout: Layout = H36M_LAYOUT, count: int = COUNT) -> tuple[PriorSample, Rays]:
    sample = PosePrior(PRIOR).sample_motion(count, FRAMES, 0.06, torch.Generator().manual_seed(0), layout)
    return sample, view_rays(sample, layout)


def only(**shares: float) -> OcclusionParams:
    """These kinds, for as long as a window lasts."""
    return NO_OCCLUSION.model_copy(update={"whole_window": 1.0, **shares})


def hidden_by(params: OcclusionParams, layout: Layout = H36M_LAYOUT, seed: int = 0) -> Tensor:
    sample, rays = people(layout)
    return occluded(rays, sample.joints, params, torch.Generator().manual_seed(seed))


def keypoints_of(layout: Layout, names: tuple[str, ...], *sides: str) -> set[int]:
    split = [side_of(name) for name in layout.landmarks]
    return {
        number
        for number, (side, rest) in enumerate(split)
        if rest in names and side in (sides or ("left", "right", ""))
    }


def patterns(hidden: Tensor) -> set[frozenset[int]]:
    """The sets of keypoints that are hidden in the middle frames."""
    return {frozenset(row.nonzero()[:, 0].tolist()) for row in hidden[:, FRAMES // 2]}


def test_nothing_is_hidden_unless_asked_for() -> None:
    assert not hidden_by(NO_OCCLUSION).any()
    assert not hidden_by(only()).any()


@some_layouts
def test_a_part_of_the_body_is_a_limb_a_head_or_more(name: str) -> None:
    """A second one half as often: the sets of one are the limbs, head and trunk, and none is a wild mixture."""
    layout = LAYOUTS[name]
    hidden = hidden_by(only(part=0.2), layout)
    assert torch.equal(hidden.any(1), hidden.all(1))  # as long as the window lasts
    shares = hidden[:, 0].any(-1).float().mean()
    assert 0.15 < shares < 0.35  # 1 - 0.8 * 0.9 = 0.28, less what leaves too little
    found = patterns(hidden)
    for side in ("left", "right"):
        for limb in (ARM, LEG, ("shoulder", *ARM), ("hip", *LEG)):
            assert keypoints_of(layout, limb, side) in found
    assert keypoints_of(layout, LEG) in found and keypoints_of(layout, ARM) in found
    assert any(
        len(pattern) > 2
        and not any(side_of(layout.landmarks[key])[1] in (*ARM, *LEG, "hip", "shoulder") for key in pattern)
        for pattern in found
    )  # a head


def test_the_root_is_hidden_as_any_other_joint() -> None:
    hidden = hidden_by(only(part=0.5))
    assert 0.02 < hidden[:, 0, H36M.root].float().mean() < 0.3
    assert {H36M.index("pelvis"), H36M.index("left_hip"), H36M.index("right_hip")} < set.union(
        *map(set, patterns(hidden))
    )


def test_single_joints_are_a_quarter_of_all() -> None:
    hidden = hidden_by(only(joints=1.0))
    assert torch.equal(hidden.any(1), hidden.all(1))
    assert hidden.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert (hidden[:, 0].float().mean(0) - 0.25).abs().max() < 0.1  # each as any other
    few = hidden_by(only(joints=0.3))
    assert few[:, 0].any(-1).float().mean().item() == pytest.approx(0.3, abs=0.06)


def test_an_edge_hides_all_that_lies_beyond_it() -> None:
    """A line parallel to one of the picture's edges parts what is seen from what is not, in all frames alike."""
    _, rays = people()
    hidden = hidden_by(only(edge=1.0))
    beyond = torch.zeros(COUNT, 4, dtype=torch.bool)
    for number, direction in enumerate(([0.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [0.0, -1.0])):
        place = (rays.rays * torch.tensor(direction)).sum(-1)
        nearest = torch.where(hidden, place, torch.inf).amin((1, 2))
        farthest = torch.where(hidden, -torch.inf, place).amax((1, 2))
        beyond[:, number] = nearest > farthest
    some = hidden.any(2).any(1)
    assert some.float().mean() > 0.9
    assert beyond[some].any(1).all()
    shares = beyond[some].float().mean(0)
    assert shares[0] > 0.5 and (shares[1:] > 0.05).all()  # most often the lower edge
    assert 0.1 < hidden[some].float().mean() < 0.6


@some_layouts
def test_who_looks_away_hides_the_face_and_nothing_else(name: str) -> None:
    layout = LAYOUTS[name]
    sample, rays = people(layout)
    hidden = occluded(rays, sample.joints, only(away=1.0), torch.Generator().manual_seed(0))
    face = sorted(keypoints_of(layout, FACE))
    others = [key for key in range(len(layout)) if key not in face]
    assert not hidden[..., others].any()
    if not face:
        return
    # Forward is from the ears to the nose: away from the camera, or towards it.
    joints = sample.joints.mean(1)
    left = joints[:, H36M.index("left_shoulder")] - joints[:, H36M.index("right_shoulder")]
    up = joints[:, H36M.index("head")] - joints[:, H36M.index("thorax")]
    away = torch.linalg.cross(left, up)[:, 2] > 0
    assert torch.equal(hidden[:, 0, face].all(-1), away) and torch.equal(hidden[:, 0, face].any(-1), away)
    assert 0.3 < away.float().mean() < 0.7
    half = occluded(rays, sample.joints, only(away=0.5), torch.Generator().manual_seed(0))[:, 0, face[0]]
    assert not half[~away].any()
    assert half[away].float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_a_nose_is_behind_the_head_of_somebody_whose_face_is_hidden() -> None:
    """By the drawn bodies themselves: the nose of those who look away is farther from the camera than the ears."""
    layout = LAYOUTS["coco"]
    sample, rays = people(layout)
    hidden = occluded(rays, sample.joints, only(away=1.0), torch.Generator().manual_seed(0))[:, 0, 0]
    depth = sample.keypoints[..., 2].mean(1)
    nose, ears = depth[:, 0], depth[:, 3:5].mean(1)
    assert (hidden == (nose > ears)).float().mean() > 0.85


def test_the_far_side_is_an_arm_and_a_leg() -> None:
    sample, rays = people()
    hidden = occluded(rays, sample.joints, only(far_side=1.0), torch.Generator().manual_seed(0))[:, 0]
    depth = sample.joints[..., 2].mean(1)
    left_is_far = depth[:, H36M.index("left_shoulder")] > depth[:, H36M.index("right_shoulder")]
    for side, far in (("left", left_is_far), ("right", ~left_is_far)):
        own = sorted(keypoints_of(H36M_LAYOUT, (*ARM, *LEG), side))
        others = [joint for joint in range(17) if joint not in own]
        assert hidden[far][:, own].all() and not hidden[far][:, others].any()


def test_without_poses_nobody_looks_away_and_no_side_is_far() -> None:
    _, rays = people()
    assert not occluded(rays, None, only(away=1.0, far_side=1.0), torch.Generator().manual_seed(0)).any()


def test_what_is_hidden_for_a_part_of_a_window_is_one_stretch() -> None:
    hidden = hidden_by(only(part=1.0, whole_window=0.0))
    frames = hidden.any(-1)
    some = frames.any(1)
    assert some.float().mean() > 0.9
    starts = (frames[:, 1:] & ~frames[:, :-1]).sum(1) + frames[:, 0]
    assert (starts[some] == 1).all()
    lengths = frames[some].sum(1)
    assert set(lengths.tolist()) == set(range(1, FRAMES + 1))
    kept = hidden_by(only(part=1.0, whole_window=0.6)).any(-1)
    assert kept.all(1)[kept.any(1)].float().mean().item() == pytest.approx(0.6 + 0.4 / FRAMES**2, abs=0.12)


@pytest.mark.parametrize("layout", [*LAYOUTS.values(), SMALL], ids=[*LAYOUTS, "small"])
def test_enough_keypoints_stay(layout: Layout) -> None:
    everything = OcclusionParams(**{**dict.fromkeys(OcclusionParams.model_fields, 1.0), "whole_window": 0.7})
    sample, rays = people(layout, count=200)
    rays.std[:, :, 1] = torch.inf  # as the detector left it
    hidden = occluded(rays, sample.joints, everything, torch.Generator().manual_seed(0))
    left = (rays.std.isfinite() & ~hidden).any(1).sum(-1)
    assert left.min() >= min(LEAST_SEEN, len(layout) - 1)
    assert hidden.any() or layout is SMALL


def test_windows_of_bodies_that_show_too_little_stay_as_they_are() -> None:
    sample, rays = people(count=50)
    rays.std[:, :, LEAST_SEEN:] = torch.inf
    everything = OcclusionParams(**dict.fromkeys(OcclusionParams.model_fields, 1.0))
    assert not occluded(rays, sample.joints, everything, torch.Generator().manual_seed(0)).any()


def test_the_same_generator_hides_the_same() -> None:
    params = only(part=0.5, joints=0.3, edge=0.3)
    assert torch.equal(hidden_by(params), hidden_by(params))
    assert not torch.equal(hidden_by(params), hidden_by(params, seed=1))
