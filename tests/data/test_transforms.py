from dataclasses import replace

import pytest
import torch

from lib.anatomy import PosePrior
from lib.data.transforms import CropBatch, augment, corrupt, corruption_like, mirror, normalize
from lib.data.windows import WindowBatch
from lib.geometry import project, rotate, rotation_about
from lib.objectives import see
from lib.skeleton import H36M
from tests.settings import CLEAN, NO_TRANSFORMS, PRIOR, TRANSFORMS, synthetic_split


def crops() -> CropBatch:
    sample = PosePrior(PRIOR).sample_motion(16, 3, 50.0, torch.Generator().manual_seed(0))
    return see(sample, "rms")


def test_flipping_twice_is_the_identity() -> None:
    once = mirror(crops())
    assert not torch.equal(once.keypoints, crops().keypoints)
    for got, expected in zip(mirror(once), crops(), strict=True):
        torch.testing.assert_close(got, expected)


def test_a_flip_is_what_a_mirrored_scene_shows() -> None:
    sample = PosePrior(PRIOR).sample(16, torch.Generator().manual_seed(0))
    points = sample.pose + torch.stack([torch.full((16,), 0.7), torch.zeros(16), sample.root_depth], -1)[:, None]
    mirrored = points[:, torch.tensor(H36M.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    ones = torch.ones(16, 1, 17)
    expected = normalize(WindowBatch(project(mirrored)[:, None], ones), "rms")
    got = mirror(normalize(WindowBatch(project(points)[:, None], ones), "rms"))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_rotation_is_what_a_rolled_camera_shows() -> None:
    before = crops()
    after = augment(before, NO_TRANSFORMS.model_copy(update={"rotation_deg": 30.0}), torch.Generator().manual_seed(0))
    rays = torch.nn.functional.pad(before.keypoints * before.scale[..., None, None], (0, 1), value=1.0)
    world = rotate(before.rotation.mT, rays)  # the same rays, seen through either crop
    turned = rotate(after.rotation, world)
    torch.testing.assert_close(turned[..., :2], after.keypoints * after.scale[..., None, None], atol=1e-6, rtol=1e-4)
    assert not torch.allclose(before.keypoints, after.keypoints, atol=1e-2)
    assert torch.equal(rotation_about("z", torch.zeros(2))[0], torch.eye(3))


def test_scaling_changes_the_scale_alone_and_stays_in_its_range() -> None:
    before = crops()
    after = augment(before, NO_TRANSFORMS.model_copy(update={"scaling": 0.2}), torch.Generator().manual_seed(0))
    ratio = after.scale / before.scale
    assert ratio.min() >= 0.8 - 1e-6
    assert ratio.max() <= 1.2 + 1e-6
    assert ratio.std() > 0.05
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))  # once a window
    assert torch.equal(after.keypoints, before.keypoints)


def test_noise_has_its_standard_deviation_and_keeps_the_root_at_the_origin() -> None:
    before = crops()
    after = corrupt(before, replace(CLEAN, noise=0.1), torch.Generator().manual_seed(0))
    noise = after.keypoints - before.keypoints
    assert noise[..., H36M.root, :].abs().max() == 0
    assert 0.13 < noise[..., 1:, :].std() < 0.15  # the joint's own and the root's


def test_outliers_are_as_many_as_asked_and_stay_within_a_unit() -> None:
    before = crops()
    after = corrupt(before, replace(CLEAN, outliers=0.2), torch.Generator().manual_seed(0))
    moved = (after.keypoints - before.keypoints).abs()
    assert 0.15 < (moved[..., 1:, :].amax(-1) > 0).float().mean() < 0.25
    assert moved[..., H36M.root, :].max() == 0
    assert 0.8 < moved.max() <= 1


def test_masks_hide_their_share_of_joints_and_never_the_root() -> None:
    hidden = corrupt(crops(), replace(CLEAN, mask=0.5), torch.Generator().manual_seed(0))
    assert (hidden.confidence[..., H36M.root] == 1).all()
    assert 0.4 < (hidden.confidence[..., 1:] == 0).float().mean() < 0.6


def test_no_transform_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    for got, expected in zip(
        corrupt(augment(crops(), NO_TRANSFORMS, generator), CLEAN, generator), crops(), strict=True
    ):
        assert torch.equal(got, expected)


def test_auto_noise_and_outliers_are_those_of_the_2d() -> None:
    auto = TRANSFORMS.model_copy(update={"noise": "auto", "outliers": "auto"})
    clean = synthetic_split(300, 300)
    found = corruption_like(clean, auto)
    assert found.noise < 0.003
    assert found.outliers == 0
    assert found.mask == auto.mask
    generator = torch.Generator().manual_seed(0)
    unit = normalize(WindowBatch(clean.rays[:, None], clean.confidence[:, None]), "rms").scale.median()
    noisy = clean.rays + 0.02 * unit * torch.randn(clean.rays.shape, generator=generator)
    wild = torch.rand(clean.confidence.shape, generator=generator) < 0.01
    wild[:, H36M.root] = False
    noisy = noisy + 2 * unit * wild[..., None]
    found = corruption_like(replace(clean, rays=noisy), auto)
    assert 0.02 < found.noise < 0.08  # white noise, which the estimate takes for half of a detector's
    assert 0.005 < found.outliers < 0.02


def test_numbers_are_taken_as_they_are() -> None:
    params = TRANSFORMS.model_copy(update={"noise": 0.3, "outliers": 0.1})
    assert corruption_like(synthetic_split(10), params).noise == pytest.approx(0.3)
    assert corruption_like(synthetic_split(10), params).outliers == pytest.approx(0.1)
    assert corruption_like(synthetic_split(2), TRANSFORMS.model_copy(update={"noise": "auto"})).noise == 0
