"""Perspective crops: exact under perspective, and what a mirrored scene or hidden keypoints make of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lib.objectives.views import view_rays
from lib.pose.crops import (
    ASIDE,
    ATTACHED,
    DOUBTFUL,
    Crops,
    Normalization,
    Rays,
    extent,
    mirror,
    mirror_crops,
    perspective_crops,
    turn_to,
    unproject_crop,
)
from lib.pose.geometry import homogeneous, project, rotate, rotation_about
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from tests.pose.poses import is_rotation, poses
from tests.settings import PRIOR

seeds = st.integers(0, 2**32 - 1)
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
NORMALIZATIONS = ("rms", "max")
EDGE = 1e3  # where hidden keypoints are, which reach nothing


def seen_rays(rays: Tensor, layout: Layout = H36M_LAYOUT) -> Rays:
    """Windows whose keypoints are all seen."""
    return Rays(rays, torch.zeros_like(rays[..., 0]), layout)


def crop_of(rays: Tensor, normalization: Normalization = "rms") -> Crops:
    """The crops of people whose joints are all seen."""
    return perspective_crops(seen_rays(rays), normalization)


def drawn(layout: Layout = H36M_LAYOUT, frames: int = 3, count: int = 16) -> Rays:
    """Windows of the prior's motion."""
    generator = torch.Generator().manual_seed(0)
    return view_rays(PosePrior(PRIOR).sample_motion(count, frames, 0.06, generator, layout), layout)


def hide(rays: Rays, keypoints: Tensor | list[int], frames: slice = slice(None), moved: float = 0.0) -> Rays:
    """The same windows with some keypoints hidden in some frames, and `moved` there."""
    place, std = rays.rays.clone(), rays.std.clone()
    place[:, frames, keypoints] += moved
    std[:, frames, keypoints] = torch.inf
    return Rays(place, std, rays.layout)


def turned_off(one: Crops, other: Crops) -> Tensor:
    """How far the middles of crops are from each other, in units of the first."""
    cos = (one.rotation[..., 2, :] * other.rotation[..., 2, :]).sum(-1)
    return cos.double().clamp(-1, 1).acos().to(cos) / one.scale


@given(seeds, st.sampled_from(NORMALIZATIONS))
def test_true_depths_give_the_pose_back_with_the_root_off_the_axis(seed: int, normalization: Normalization) -> None:
    pose = poses(seed, 2, 3)
    crop = crop_of(project(pose), normalization)
    turned = rotate(crop.rotation, pose)  # into the crop frame
    root = turned[..., [H36M.root], :]
    assert (crop.keypoints[..., H36M.root, :].norm(dim=-1) > 1e-3).all()
    depth = (turned[..., 2] / root[..., 2] - 1) / crop.scale[..., None]
    relative = unproject_crop(crop.keypoints, crop.scale, depth)
    torch.testing.assert_close(relative, (turned - root) / root.norm(dim=-1, keepdim=True))


@given(seeds, st.sampled_from(NORMALIZATIONS))
def test_the_crop_is_centred_scaled_and_a_turned_camera(seed: int, normalization: Normalization) -> None:
    rays = project(poses(seed, 2, 3))
    crop = crop_of(rays, normalization)
    assert is_rotation(crop.rotation)
    # The middle is that of the trunk: other joints have a small weight.
    trunk = torch.tensor(
        [name.split("_")[-1] in ("pelvis", "hip", "spine", "thorax", "shoulder") for name in H36M.names]
    )
    weight = torch.where(trunk, 1.0, ASIDE).to(rays)[:, None]
    middle = (weight * rays).sum(-2) / weight.sum()
    axis = rotate(crop.rotation, homogeneous(middle)[..., None, :])[..., 0, :]
    torch.testing.assert_close(axis[..., :2], torch.zeros_like(middle))
    lengths = crop.keypoints.norm(dim=-1)
    size = lengths.square().mean(-1).sqrt() if normalization == "rms" else lengths.amax(-1)
    torch.testing.assert_close(size, torch.ones_like(size))
    # Turned back, the crop's rays are the camera's.
    turned = homogeneous(crop.keypoints * crop.scale[..., None, None])
    torch.testing.assert_close(project(rotate(crop.rotation.mT, turned)), rays)


@given(seeds)
def test_a_level_camera_sees_the_vertical_upright(seed: int) -> None:
    crop = crop_of(project(poses(seed, 4, 1)))
    vertical = rotate(crop.rotation, torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(vertical[..., 0], torch.zeros_like(vertical[..., 0]))


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_the_camera_turns_to_a_ray(x: float, y: float) -> None:
    ray = torch.tensor([x, y, 1.0], dtype=torch.float64)
    turned = turn_to(ray[0], ray[1]) @ ray
    torch.testing.assert_close(turned, torch.tensor([0.0, 0.0, float(ray.norm())], dtype=torch.float64))


@every_layout
def test_the_crop_of_a_mirrored_view_is_the_mirrored_crop(layout: Layout) -> None:
    rays = hide(drawn(layout), [1, 2], slice(1, 2))
    crop = perspective_crops(mirror(rays))
    for got, expected in zip(crop[:4], mirror_crops(perspective_crops(rays))[:4], strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


@every_layout
def test_flipping_twice_is_the_identity(layout: Layout) -> None:
    rays = hide(drawn(layout), [1])
    crops = perspective_crops(rays)
    assert not torch.equal(mirror(rays).rays, rays.rays)
    assert torch.equal(mirror(mirror(rays)).rays, rays.rays) and torch.equal(mirror(mirror(rays)).std, rays.std)
    for got, expected in zip(mirror_crops(mirror_crops(crops))[:4], crops[:4], strict=True):
        assert torch.equal(got, expected)


def test_a_flip_is_what_a_mirrored_scene_shows() -> None:
    sample = PosePrior(PRIOR).sample(16, torch.Generator().manual_seed(0))
    points = sample.joints + torch.stack([torch.full((16,), 0.7), torch.zeros(16), sample.root_depth], -1)[:, None]
    mirrored = points[:, torch.tensor(H36M.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(mirror(seen_rays(project(points)[:, None])).rays, project(mirrored)[:, None])


def test_a_pan_hardly_changes_the_crop() -> None:
    """The middle is a mean of rays, which a pan does not keep; by a hundredth of a unit of people at 3 to 7 m."""
    rays = drawn().rays
    pan = rotation_about("y", torch.tensor(0.4))
    one, other = crop_of(rays), crop_of(project(homogeneous(rays) @ pan.mT))
    torch.testing.assert_close(one.keypoints, other.keypoints, atol=0.05, rtol=0)
    torch.testing.assert_close(one.scale, other.scale, atol=0, rtol=0.02)


@every_layout
def test_no_keypoint_is_needed(layout: Layout) -> None:
    """Whichever is hidden, the middle of the crop stays near, and so does its scale."""
    rays = drawn(layout, count=100)
    whole = perspective_crops(rays)
    for keypoint in range(len(layout)):
        crop = perspective_crops(hide(rays, [keypoint]))
        assert turned_off(whole, crop).quantile(0.99) < 0.35
        assert (crop.scale / whole.scale).log().abs().quantile(0.99) < 0.3


def test_a_hidden_root_moves_the_middle_by_little() -> None:
    rays = drawn(count=100)
    assert turned_off(perspective_crops(rays), perspective_crops(hide(rays, [H36M.root]))).max() < 0.2


@every_layout
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("frames", [slice(None), slice(1, 2), slice(0, 2)])
def test_what_is_hidden_reaches_nothing(layout: Layout, normalization: Normalization, frames: slice) -> None:
    rays, hidden = drawn(layout), [0, 3, len(layout) - 1]
    one, other = (perspective_crops(hide(rays, hidden, frames, moved), normalization) for moved in (0.0, EDGE))
    seen = hide(rays, hidden, frames).std.isfinite()
    assert torch.equal(one.keypoints[seen], other.keypoints[seen])
    assert torch.equal(one.confidence, other.confidence) and ((one.confidence > 0) == seen).all()
    assert torch.equal(one.scale, other.scale) and torch.equal(one.rotation, other.rotation)


def test_hidden_keypoints_have_no_part_in_the_scale() -> None:
    one, other = drawn(), hide(drawn(), [3, 6])
    assert not torch.equal(perspective_crops(one).scale, perspective_crops(other).scale)


@every_layout
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_keypoint_that_comes_and_goes_moves_no_other_frame(layout: Layout, normalization: Normalization) -> None:
    rays, others = drawn(layout, frames=5), torch.tensor([0, 1, 3, 4])
    whole = perspective_crops(rays, normalization)
    for keypoint in range(len(layout)):
        crop = perspective_crops(hide(rays, [keypoint], slice(2, 3)), normalization)
        for got, expected in zip(crop[:4], whole[:4], strict=True):
            assert torch.equal(got[:, others], expected[:, others])
        # Where it is not seen it is where it is in the other frames, so that the frame's middle and unit stay near.
        assert turned_off(whole, crop)[:, 2].median() < 0.02
        assert (crop.scale / whole.scale)[:, 2].log().abs().median() < 0.02


def test_one_keypoint_of_a_frame_puts_the_others_where_they_are_beside_it() -> None:
    """A person who only moves across the picture: the crop of a frame that shows a single keypoint follows it."""
    place = drawn(frames=1).rays
    still = seen_rays(place + torch.tensor([0.0, 0.1, 0.2, 0.3])[:, None, None] * torch.tensor([1.0, 0.0]))
    whole = perspective_crops(still)
    others = [joint for joint in range(17) if joint != H36M.index("left_wrist")]
    crop = perspective_crops(hide(still, others, slice(3, 4), moved=EDGE))
    torch.testing.assert_close(crop.rotation, whole.rotation, atol=1e-5, rtol=0)
    torch.testing.assert_close(crop.scale, whole.scale, atol=0, rtol=1e-4)


@every_layout
def test_where_nothing_is_seen_everything_counts(layout: Layout) -> None:
    rays = drawn(layout)
    everything, whole = list(range(len(layout))), perspective_crops(rays)
    for frames in (slice(None), slice(1, 2)):
        crop = perspective_crops(hide(rays, everything, frames))
        assert not crop.confidence[:, frames].any()
        for got, expected in zip(crop[:4], whole[:4], strict=True):
            assert torch.equal(got, expected) or got is crop.confidence


def test_a_frame_that_shows_nobody_stays_where_it_is() -> None:
    """Whatever is hidden in the frames beside it."""
    rays = hide(drawn(), [3, 4], slice(0, 1))
    nobody = perspective_crops(hide(rays, list(range(17)), slice(1, 2)))
    torch.testing.assert_close(nobody.rotation, perspective_crops(rays).rotation, atol=1e-3, rtol=0)
    torch.testing.assert_close(nobody.scale, perspective_crops(rays).scale, atol=0, rtol=0.02)


def test_confidence_by_hand() -> None:
    rays = drawn()
    unit = perspective_crops(rays).scale[..., None]
    doubtful = rays._replace(std=(DOUBTFUL * unit).expand_as(rays.std))
    torch.testing.assert_close(perspective_crops(doubtful).confidence, torch.full_like(rays.std, 0.5))
    assert torch.equal(perspective_crops(rays).confidence, torch.ones_like(rays.std))
    thrice = doubtful._replace(std=3 * doubtful.std)
    torch.testing.assert_close(perspective_crops(thrice).confidence, torch.full_like(rays.std, 0.25))


def test_faces_feet_and_hands_have_a_small_part_in_the_unit() -> None:
    layout = LAYOUTS["coco"]
    crop = perspective_crops(drawn(layout))
    face = torch.tensor(
        [name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear") for name in layout.landmarks]
    )
    weight = torch.where(face, ATTACHED, 1.0)
    size = (weight * crop.keypoints.square().sum(-1)).sum(-1) / weight.sum()
    torch.testing.assert_close(size, torch.ones_like(size))


def test_the_extent_of_what_is_seen_by_hand() -> None:
    layout = LAYOUTS["humaneva_15"]
    rays = torch.full((1, 1, len(layout), 2), EDGE)
    rays[0, 0, :4] = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])
    std = torch.full((1, 1, len(layout)), torch.inf)
    std[..., :4] = 0.01
    assert extent(Rays(rays, std, layout)).item() == pytest.approx(5**0.5)
    assert extent(Rays(rays, torch.full_like(std, torch.inf), layout)).item() == pytest.approx(1e-6)


def test_the_middle_frames_are_those_of_windows() -> None:
    crops = perspective_crops(drawn(frames=4))
    for got, expected in zip(crops.middle(), crops[:4], strict=True):
        assert torch.equal(got, expected[:, 2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes_stay(dtype: torch.dtype) -> None:
    rays = hide(seen_rays(project(poses(0, 2, 3).to(dtype))), [4], slice(0, 1))
    crop = perspective_crops(rays)
    pose = unproject_crop(crop.keypoints, crop.scale, crop.scale[..., None].expand(2, 3, 17))
    assert {result.dtype for result in (*crop[:4], pose)} == {dtype}
