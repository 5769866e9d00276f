"""What training does to windows of keypoints: flips and rolls that are exact, and what a detector does."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lib.data.transforms import (
    augment,
    corrupt,
    corruption_like,
    flip_some,
    noise_in,
    seen_rays,
)
from lib.data.windows import Windows
from lib.objectives.views import view_rays
from lib.pose.crops import Rays, extent, mirror
from lib.pose.geometry import project, rotate
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior, PriorSample
from tests.settings import CLEAN, NO_OCCLUSION, NO_TRANSFORMS, OCCLUSION, PRIOR, TRANSFORMS, synthetic_split, window

AUTO = TRANSFORMS.model_copy(update={"noise_std": "auto", "outlier_probability": "auto"})


def drawn(frames: int = 3, count: int = 16) -> PriorSample:
    return PosePrior(PRIOR).sample_motion(count, frames, 0.02, torch.Generator().manual_seed(0))


def windows() -> Rays:
    """Exact, and nothing hidden."""
    return view_rays(drawn(), H36M_LAYOUT)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_what_a_flip_and_a_roll_do_to_rays_they_do_to_points() -> None:
    params = NO_TRANSFORMS.model_copy(update={"rotation_deg": 30.0, "flip_probability": 0.5})
    sample = drawn()
    points = (
        sample.keypoints
        + torch.stack(
            [torch.full_like(sample.root_depth, 0.4), torch.zeros_like(sample.root_depth), sample.root_depth], -1
        )[..., None, :]
    )
    before = Rays(project(points), torch.zeros(points.shape[:-1]), H36M_LAYOUT)
    after, change = augment(before, params, seeded())
    flipped = torch.linalg.det(change) < 0
    assert 0.2 < flipped.float().mean() < 0.8
    order = torch.tensor(H36M.mirror)
    swapped = torch.where(flipped[:, None, None, None], points[..., order, :], points)
    torch.testing.assert_close(after.rays, project(rotate(change[:, None], swapped)), atol=1e-6, rtol=1e-4)
    assert not torch.allclose(before.rays, after.rays, atol=1e-2)


def test_the_chosen_windows_are_flipped_and_the_others_stay() -> None:
    rays = windows()
    rays.std[:, 0, 3] = torch.inf
    chosen = torch.arange(16) % 3 == 0
    some, flipped = flip_some(rays, chosen), mirror(rays)
    for got, stays, turns in zip(some[:2], rays[:2], flipped[:2], strict=True):
        assert torch.equal(got[~chosen], stays[~chosen])
        assert torch.equal(got[chosen], turns[chosen])


def test_noise_has_its_standard_deviation_and_is_told() -> None:
    before, std = windows(), torch.linspace(0.001, 0.003, 17)
    after = corrupt(before, replace(CLEAN, noise_std=tuple(std.tolist())), seeded())
    noise = after.rays - before.rays
    torch.testing.assert_close(noise.std((0, 1, 3)), std, rtol=0.25, atol=0)
    torch.testing.assert_close(after.std, std.expand_as(after.std))
    known = corrupt(
        before._replace(std=torch.full_like(before.std, 0.004)), replace(CLEAN, noise_std=(0.003,) * 17), seeded()
    )
    torch.testing.assert_close(known.std, torch.full_like(known.std, 0.005))


def test_noise_lasts_over_frames() -> None:
    place = windows().rays[:, :1].expand(-1, 40, -1, -1)
    still = Rays(place, torch.zeros(place.shape[:-1]), H36M_LAYOUT)
    after = corrupt(still, replace(CLEAN, noise_std=(0.001,) * 17, correlation=0.7), seeded())
    noise = after.rays - still.rays
    assert noise.std().item() == pytest.approx(0.001, rel=0.05)
    for lag in (1, 3):
        assert (noise[:, lag:] * noise[:, :-lag]).mean().item() / 1e-6 == pytest.approx(0.7**lag, abs=0.08)


def test_noise_as_any_detectors_differs_between_windows_and_is_about_what_is_told() -> None:
    """And in units of the bodies' extent, however large they are in the picture."""
    place = windows().rays[:1, :1].expand(400, 5, -1, -1)
    sizes = torch.tensor([1.0, 3.0]).repeat(200)[:, None, None, None]
    before = Rays(sizes * place, torch.zeros(place.shape[:-1]), H36M_LAYOUT)
    after = corrupt(before, replace(CLEAN, any_noise=1.0), seeded())
    noise = (after.rays - before.rays).square().mean((1, 2, 3)).sqrt()
    told = after.std.square().mean((1, 2)).sqrt()
    unit = extent(before)[:, 0]
    ratio = (noise / told).log()
    assert ratio.mean().abs() < 0.1 and ratio.std() < 0.35
    assert (told / unit).median().item() == pytest.approx(0.028, rel=0.35)  # 0.02 in the mean of logarithms
    assert 0.4 < (told / unit).log().std() < 1.0
    small, large = (told / unit)[::2].median(), (told / unit)[1::2].median()
    assert (large / small).log().abs() < 0.3


def test_a_share_of_windows_has_noise_as_any_detectors() -> None:
    before = windows().take(torch.arange(320) % 16)
    after = corrupt(before, replace(CLEAN, any_noise=0.3, noise_std=(1e-5,) * 17), seeded())
    noisy = (after.rays - before.rays).square().mean((1, 2, 3)).sqrt() > 1e-4
    assert noisy.float().mean().item() == pytest.approx(0.3, abs=0.08)
    assert (after.std.mean((1, 2))[noisy] > 1e-4).all() and (after.std.mean((1, 2))[~noisy] < 1e-4).all()


def test_clean_windows_have_the_datas_own_noise_and_nothing_that_is_hidden_together() -> None:
    rays = windows().take(torch.arange(320) % 16)
    busy = replace(CLEAN, any_noise=1.0, noise_std=(1e-5,) * 17, occlusion=OCCLUSION)
    joints = drawn().joints[torch.arange(320) % 16]
    share = {}
    for clean in (0.0, 0.7, 1.0):
        after = corrupt(rays, replace(busy, clean=clean), seeded(), joints)
        noisy = (after.rays - rays.rays).square().mean((1, 2, 3)).sqrt() > 1e-4
        hidden = ~after.std.isfinite().all(-1).all(-1)
        assert not (hidden & ~noisy).any()  # the same windows are clean of both
        share[clean] = noisy.float().mean().item()
    assert share == pytest.approx({0.0: 1.0, 0.7: 0.3, 1.0: 0.0}, abs=0.08)


def test_outliers_are_as_many_as_asked_and_stay_within_a_unit() -> None:
    before = windows()
    after = corrupt(before, replace(CLEAN, outliers=0.1), seeded())
    moved = (after.rays - before.rays).abs().amax(-1) / extent(before)[..., None]
    assert (moved > 0).float().mean().item() == pytest.approx(0.1, abs=0.04)
    assert 0.8 < moved.max() <= 1 + 1e-5


def test_joints_are_hidden_in_their_share_the_root_too_and_never_all_of_a_frame() -> None:
    hidden = ~corrupt(windows(), replace(CLEAN, hidden=0.5), seeded()).std.isfinite()
    assert hidden.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert hidden[..., H36M.root].any()
    most = ~corrupt(windows(), replace(CLEAN, hidden=0.97), seeded()).std.isfinite()
    assert not most.all(-1).any()  # what would show nothing stays as it was
    assert most.any(-1).float().mean() < 0.8


def test_parts_are_hidden_as_in_life() -> None:
    sample, rays = drawn(), windows()
    generator = seeded()
    hidden = ~corrupt(rays, replace(CLEAN, occlusion=OCCLUSION), generator, sample.joints).std.isfinite()
    assert 0.05 < hidden.float().mean() < 0.5
    assert not hidden.all(-1).any()


def test_what_is_hidden_stays_so() -> None:
    rays = windows()
    rays.std[:, :, 5] = torch.inf
    busy = replace(CLEAN, noise_std=(0.001,) * 17, any_noise=0.5, hidden=0.2, outliers=0.2, occlusion=OCCLUSION)
    assert not corrupt(rays, busy, seeded(), drawn().joints).std[..., 5].isfinite().any()


def test_no_transform_changes_nothing() -> None:
    generator, rays = seeded(), windows()
    augmented, change = augment(rays, NO_TRANSFORMS, generator)
    assert torch.equal(change, torch.eye(3).expand(16, 3, 3))
    after = corrupt(augmented, CLEAN, generator)
    assert torch.equal(after.rays, rays.rays) and torch.equal(after.std, rays.std)


def detected(size: Tensor, correlation: float, outliers: float) -> tuple[Tensor, Tensor]:
    """Rays of a clean split, and the same as a detector would have them, whose noise lasts."""
    rays = synthetic_split(400, 400).rays
    noise = torch.randn(rays.shape, generator=seeded())
    for frame in range(1, len(noise)):
        noise[frame] = correlation * noise[frame - 1] + math.sqrt(1 - correlation**2) * noise[frame]
    wild = torch.rand(rays.shape[:2], generator=seeded()) < outliers
    return rays, rays + size[:, None] * noise + 0.2 * wild[..., None]


def test_auto_noise_and_outliers_are_those_of_the_2d() -> None:
    clean = synthetic_split(400, 400)
    found = corruption_like(clean, AUTO, NO_OCCLUSION, window(9))
    assert max(found.noise_std) < 0.0005
    assert found.outliers < 0.001
    assert found.layout == H36M_LAYOUT
    assert (found.hidden, found.any_noise) == (AUTO.hidden_probability, AUTO.any_noise_probability)
    assert found.clean == AUTO.clean_probability
    assert found.correlation == pytest.approx(math.exp(-0.02 / 0.08))
    assert corruption_like(clean, AUTO, NO_OCCLUSION, window(9, 4)).correlation == pytest.approx(math.exp(-1))

    size = torch.linspace(0.002, 0.008, 17)  # of each joint
    _, rays = detected(size, found.correlation, 0.01)
    found = corruption_like(replace(clean, rays=rays), AUTO, OCCLUSION, window(9))
    torch.testing.assert_close(torch.tensor(found.noise_std), size, rtol=0.15, atol=0)
    assert 0.005 < found.outliers < 0.02
    assert found.occlusion == OCCLUSION


def test_numbers_are_taken_as_they_are() -> None:
    params = TRANSFORMS.model_copy(update={"noise_std": 0.3, "outlier_probability": 0.1})
    found = corruption_like(synthetic_split(10), params, NO_OCCLUSION, window(9))
    assert found.noise_std == pytest.approx((0.3,) * 17)
    assert found.outliers == 0.1


def test_another_layouts_keypoints_have_the_noise_of_their_landmarks() -> None:
    own = LAYOUTS["coco"]
    std = [float(number) for number in range(17)]
    body_25 = dict(zip(LAYOUTS["body_25"].keypoints, noise_in(LAYOUTS["body_25"], own, std), strict=True))
    assert (body_25["nose"], body_25["left_ankle"], body_25["right_elbow"]) == (0, 15, 8)
    assert body_25["left_heel"] == body_25["mid_hip"] == 8  # the mean
    assert replace(CLEAN, layout=own, noise_std=tuple(std)).noise_of(own) == tuple(std)


def test_windows_of_another_layout_have_its_noise() -> None:
    body_25 = LAYOUTS["body_25"]
    rays = torch.zeros(4, 3, 25, 2)
    after = corrupt(Rays(rays, rays[..., 0], body_25), replace(CLEAN, noise_std=(0.001,) * 17), seeded())
    torch.testing.assert_close(after.std, torch.full_like(after.std, 0.001))


def test_sequences_of_two_frames_have_no_noise_to_be_seen() -> None:
    found = corruption_like(synthetic_split(2), AUTO, NO_OCCLUSION, window(9))
    assert (max(found.noise_std), found.outliers) == (0, 0)


@pytest.mark.parametrize("root", [True, False])
def test_hidden_joints_have_no_part_in_noise_and_outliers(root: bool) -> None:
    clean = synthetic_split(300)
    hidden = torch.rand(300, 17, generator=seeded()) < 0.1
    hidden[:, H36M.root] &= root
    rays, confidence = clean.rays.masked_fill(hidden[..., None], 0.0), (~hidden).float()
    gaps = replace(clean, rays=rays, confidence=confidence)
    plain, found = (corruption_like(split, AUTO, NO_OCCLUSION, window(9)) for split in (clean, gaps))
    assert found.noise_std == pytest.approx(plain.noise_std, rel=0.5, abs=2e-4)
    assert found.outliers == plain.outliers == 0


@pytest.mark.parametrize("layout", [H36M_LAYOUT, LAYOUTS["halpe_26"]], ids=["h36m", "halpe_26"])
def test_windows_of_a_split_know_what_is_hidden_and_how_well_the_rest_is_known(layout: Layout) -> None:
    split = synthetic_split(20, layout=layout)
    confidence = split.confidence.clone()
    confidence[5:9, 3] = 0
    split = replace(split, confidence=confidence)
    rays = seen_rays(Windows(split, window(3))[torch.arange(20)], layout)
    assert rays.layout == layout and rays.rays.shape == (20, 3, len(layout), 2)
    assert torch.equal(rays.std[:, 1].isfinite(), confidence > 0)
    seen = confidence > 0
    assert torch.equal(rays.std[:, 1][seen], split.std[seen])
