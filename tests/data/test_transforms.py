import math
from dataclasses import replace

import pytest
import torch

from lib.data.transforms import Corruption, augment, corrupt, corruption_like
from lib.objectives.lift import render_view
from lib.pose.crops import Crops, crop_scale
from lib.pose.geometry import rotate, rotation_about
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from tests.settings import CLEAN, NO_TRANSFORMS, PRIOR, TRANSFORMS, synthetic_split, window


def crops() -> Crops:
    sample = PosePrior(PRIOR).sample_motion(16, 3, 0.02, torch.Generator().manual_seed(0))
    return render_view(sample, "rms")


def test_a_rotation_is_what_a_rolled_camera_shows() -> None:
    before = crops()
    after = augment(
        before, NO_TRANSFORMS.model_copy(update={"rotation_deg": 30.0}), H36M, torch.Generator().manual_seed(0)
    )
    rays = torch.nn.functional.pad(before.keypoints * before.scale[..., None, None], (0, 1), value=1.0)
    world = rotate(before.rotation.mT, rays)  # the same rays, seen through either crop
    turned = rotate(after.rotation, world)
    torch.testing.assert_close(turned[..., :2], after.keypoints * after.scale[..., None, None], atol=1e-6, rtol=1e-4)
    assert not torch.allclose(before.keypoints, after.keypoints, atol=1e-2)
    assert torch.equal(rotation_about("z", torch.zeros(2))[0], torch.eye(3))


def test_noise_has_its_standard_deviation_and_leaves_a_normalised_crop() -> None:
    before = crops()
    corruption = replace(CLEAN, noise_std=(0.001,) * 17)
    after = corrupt(before, corruption, "rms", H36M, torch.Generator().manual_seed(0))
    noise = (after.keypoints * after.scale[..., None, None] - before.keypoints * before.scale[..., None, None])[
        ..., 1:, :
    ]
    assert noise.std().item() == pytest.approx(0.001 * 2**0.5, rel=0.05)  # the joint's own and the root's
    assert after.keypoints[..., H36M.root, :].abs().max() == 0
    assert not torch.equal(after.scale, before.scale)
    torch.testing.assert_close(crop_scale(after.keypoints, "rms"), torch.ones_like(after.scale))


def test_noise_lasts_over_frames() -> None:
    still = Crops(*(part[:, :1].expand(-1, 40, *part.shape[2:]) for part in crops()))
    corruption = Corruption(noise_std=(0.0, *[0.001] * 16), correlation=0.7, outliers=0.0, hidden=0.0)
    after = corrupt(still, corruption, "rms", H36M, torch.Generator().manual_seed(0))
    noise = (after.keypoints * after.scale[..., None, None] - still.keypoints * still.scale[..., None, None])[
        ..., 1:, :
    ]
    assert noise.std().item() == pytest.approx(0.001, rel=0.05)
    for lag in (1, 3):
        assert (noise[:, lag:] * noise[:, :-lag]).mean().item() / 1e-6 == pytest.approx(0.7**lag, abs=0.08)


def test_outliers_are_as_many_as_asked_and_stay_within_a_unit() -> None:
    before = crops()
    after = corrupt(before, replace(CLEAN, outliers=0.1), "rms", H36M, torch.Generator().manual_seed(0))
    moved = (after.keypoints * (after.scale / before.scale)[..., None, None] - before.keypoints).abs().amax(-1)
    roots = (moved[..., 1:] > 1e-5).all(-1)  # where the root is off, all the others are
    assert 0.05 < (moved[~roots][..., 1:] > 1e-5).float().mean() < 0.15
    assert 0.03 < roots.float().mean() < 0.2
    assert 0.8 < moved[~roots].max() <= 1 + 1e-5


def test_masks_hide_their_share_of_joints_and_never_the_root() -> None:
    hidden = corrupt(crops(), replace(CLEAN, hidden=0.5), "rms", H36M, torch.Generator().manual_seed(0))
    assert (hidden.confidence[..., H36M.root] == 1).all()
    assert 0.4 < (hidden.confidence[..., 1:] == 0).float().mean() < 0.6


def test_no_transform_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    for got, expected in zip(
        corrupt(augment(crops(), NO_TRANSFORMS, H36M, generator), CLEAN, "rms", H36M, generator), crops(), strict=True
    ):
        assert torch.equal(got, expected)


def test_auto_noise_and_outliers_are_those_of_the_2d() -> None:
    auto = TRANSFORMS.model_copy(update={"noise_std": "auto", "outlier_probability": "auto"})
    clean = synthetic_split(400, 400)
    found = corruption_like(clean, auto, window(9))
    assert max(found.noise_std) < 0.0005
    assert found.outliers < 0.001
    assert found.hidden == auto.hidden_probability
    assert found.correlation == pytest.approx(math.exp(-0.02 / 0.08))
    assert corruption_like(clean, auto, window(9, 4)).correlation == pytest.approx(math.exp(-1))

    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(clean.rays.shape, generator=generator)
    for frame in range(1, len(noise)):  # as a detector's, it lasts
        noise[frame] = found.correlation * noise[frame - 1] + math.sqrt(1 - found.correlation**2) * noise[frame]
    size = torch.linspace(0.002, 0.008, 17)  # of each joint
    wild = torch.rand(clean.confidence.shape, generator=generator) < 0.01
    rays = clean.rays + size[:, None] * noise + 0.2 * wild[..., None]
    found = corruption_like(replace(clean, rays=rays), auto, window(9))
    torch.testing.assert_close(torch.tensor(found.noise_std), size, rtol=0.15, atol=0)
    assert 0.005 < found.outliers < 0.02


def test_numbers_are_taken_as_they_are() -> None:
    params = TRANSFORMS.model_copy(update={"noise_std": 0.3, "outlier_probability": 0.1})
    found = corruption_like(synthetic_split(10), params, window(9))
    assert found.noise_std == (0.3,) * 17
    assert found.outliers == 0.1


def test_sequences_of_two_frames_have_no_noise_to_be_seen() -> None:
    auto = TRANSFORMS.model_copy(update={"noise_std": "auto", "outlier_probability": "auto"})
    found = corruption_like(synthetic_split(2), auto, window(9))
    assert (max(found.noise_std), found.outliers) == (0, 0)


def test_hidden_joints_have_no_part_in_noise_and_outliers() -> None:
    clean = synthetic_split(300)
    hidden = torch.rand(300, 17, generator=torch.Generator().manual_seed(0)) < 0.1
    hidden[:, H36M.root] = False
    rays, confidence = clean.rays.masked_fill(hidden[..., None], 0.0), (~hidden).float()
    auto = TRANSFORMS.model_copy(update={"noise_std": "auto", "outlier_probability": "auto"})
    gaps = replace(clean, rays=rays, confidence=confidence)
    plain, found = (corruption_like(split, auto, window(9)) for split in (clean, gaps))
    assert found.noise_std == pytest.approx(plain.noise_std, rel=0.5, abs=2e-4)
    assert found.outliers == plain.outliers == 0
