"""From a network's numbers to poses: corrections, mirrored views, and the camera that looks at the root."""

import pytest
import torch
from torch import Tensor

from lib.data.split import Split
from lib.models.lifters import FEW, Lifted, corrected, lift_poses
from lib.objectives.views import view_rays
from lib.pose.crops import Crops, Frames, Rays, mirror, perspective_crops
from lib.pose.geometry import rotate
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from tests.objectives.knowing import Knowing
from tests.pose.poses import is_rotation
from tests.settings import KNOWN, NETWORKS, PRIOR, head_of, synthetic_split, tiny_model

every_layout = pytest.mark.parametrize("layout", KNOWN, ids=[layout.name for layout in KNOWN])
SIGN = torch.tensor([-1.0, 1.0, 1.0])


def windows(layout: Layout, frames: int = 3, hidden: tuple[int, ...] = ()) -> Rays:
    sample = PosePrior(PRIOR).sample_motion(6, frames, 0.06, torch.Generator().manual_seed(0), layout)
    rays = view_rays(sample, layout)
    rays.std[..., list(hidden)] = torch.inf
    return rays


def crops_of(split: Split) -> Crops:
    return perspective_crops(
        Rays(split.rays[:, None], torch.zeros(len(split.rays), 1, len(split.layout)), split.layout)
    )


@every_layout
@pytest.mark.parametrize("name", NETWORKS)
def test_a_mirrored_window_is_lifted_to_the_mirrored_points(name: str, layout: Layout) -> None:
    """If both views are averaged; one alone has no such symmetry."""
    model, rays = tiny_model(3, name), windows(layout, hidden=(1,))
    torch.nn.init.normal_(head_of(model).weight, std=0.1)
    for flip in (False, True):
        one, other = (lift_poses(model, perspective_crops(some), flip) for some in (rays, mirror(rays)))
        order = list(layout.point_mirror)
        assert torch.allclose(other.points[:, order] * SIGN, one.points, atol=1e-5) == flip
        assert torch.allclose(other.error[:, order], one.error, atol=1e-5) == flip
        assert torch.allclose(other.up * SIGN, one.up, atol=1e-5) == flip


@every_layout
@pytest.mark.parametrize("flip", [False, True])
def test_true_depths_give_true_keypoints_as_the_camera_sees_them_that_looks_at_the_root(
    layout: Layout, flip: bool
) -> None:
    split = synthetic_split(12, layout=layout)
    assert split.positions is not None
    root = split.positions[:, list(layout.skeleton.centre)].mean(1, keepdim=True)
    poses = lift_poses(Knowing(split), crops_of(split), flip)
    assert is_rotation(poses.rotation)
    looking = rotate(poses.rotation, root)[:, 0]
    torch.testing.assert_close(
        looking, looking.norm(dim=-1, keepdim=True) * torch.tensor([0.0, 0.0, 1.0]), atol=1e-4, rtol=0
    )
    truth = (split.positions - root) / root.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(rotate(poses.rotation.mT, poses.points[:, JOINTS:]), truth, atol=1e-4, rtol=0)
    # Its level is the camera's.
    up = rotate(poses.rotation.mT, poses.up[:, None])[:, 0]
    torch.testing.assert_close(up, torch.tensor([0.0, -1.0, 0.0]).expand(12, 3), atol=1e-4, rtol=0)


def test_the_roots_of_poses_are_their_middle() -> None:
    model = tiny_model(1)
    torch.nn.init.normal_(head_of(model).weight, std=0.1)
    for layout in (H36M_LAYOUT, LAYOUTS["coco"]):
        points = lift_poses(model, perspective_crops(windows(layout, frames=1))).points
        assert points[:, H36M.root].abs().max() < 1e-6 < points.abs().max()


def test_what_was_seen_is_corrected_and_what_was_not_is_placed() -> None:
    layout = LAYOUTS["humaneva_15"]
    keypoints = torch.randn(2, len(layout), 2, generator=torch.Generator().manual_seed(0))
    confidence = torch.ones(2, len(layout))
    confidence[:, 4] = 0  # the left wrist
    correction = torch.randn(2, JOINTS + len(layout), 2, generator=torch.Generator().manual_seed(1))
    nothing = torch.zeros(2, JOINTS + len(layout))
    lifted = Lifted(nothing, correction, nothing, torch.zeros(2, 3))
    found = corrected(Frames(keypoints, confidence, torch.ones(2), torch.eye(3).expand(2, 3, 3)), lifted, layout)
    off = found - correction

    def at(joint: str) -> Tensor:
        return off[:, H36M.index(joint)]

    for joint, name in enumerate(H36M.names):
        seen = name in layout.landmarks and name != "left_wrist"
        expected = keypoints[:, layout.landmarks.index(name)] if seen else torch.zeros(2, 2)
        torch.testing.assert_close(off[:, joint], expected, atol=1e-6, rtol=0)
    assert at("spine").abs().max() < 1e-6  # which the layout does not mark
    others = [keypoint for keypoint in range(len(layout)) if keypoint != 4]
    torch.testing.assert_close(off[:, JOINTS:][:, others], keypoints[:, others], atol=1e-6, rtol=0)
    assert off[:, JOINTS + 4].abs().max() < 1e-6


def test_a_hidden_keypoint_is_placed_by_the_correction_alone() -> None:
    model = tiny_model(3)
    rays = windows(H36M_LAYOUT, hidden=(H36M.index("left_wrist"), H36M.root))
    moved = rays._replace(rays=torch.where(rays.std[..., None].isfinite(), rays.rays, rays.rays + 3))
    one, other = (lift_poses(model, perspective_crops(some)) for some in (rays, moved))
    for got, expected in zip(one, other, strict=True):
        assert torch.equal(got, expected)


def test_stated_errors_teach_nothing_but_themselves() -> None:
    model, crops = tiny_model(1), perspective_crops(windows(H36M_LAYOUT, frames=1))
    lifted = model(crops.keypoints, crops.confidence, crops.scale, crops.layout)
    lifted.error.sum().backward()
    with_gradient = {name for name, part in model.named_parameters() if part.grad is not None and part.grad.any()}
    assert with_gradient and all(name.startswith("error_head.") for name in with_gradient)


def test_few_windows_are_lifted_as_many_are() -> None:
    """The two views of a few go through the network together."""
    model, crops = tiny_model(3, "transformer"), perspective_crops(windows(H36M_LAYOUT))
    torch.nn.init.normal_(head_of(model).weight, std=0.1)
    keypoints, confidence, scale, rotation = (part.repeat(FEW, *[1] * (part.ndim - 1)) for part in crops[:4])
    many = Crops(keypoints, confidence, scale, rotation, crops.layout)
    for few, alike in zip(lift_poses(model, crops), lift_poses(model, many), strict=True):
        torch.testing.assert_close(few, alike[: len(few)])
