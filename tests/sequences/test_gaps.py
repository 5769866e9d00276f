"""What training, lifting and smoothing make of frames that show nobody."""

from dataclasses import replace

import pytest
import torch

from lib.data.split import Split
from lib.data.transforms import seen_rays
from lib.data.windows import Windows
from lib.inference.lifter import Lifter
from lib.objectives.base import random_windows
from lib.objectives.lift import Lift
from lib.pose.crops import perspective_crops
from lib.pose.layouts import H36M_LAYOUT
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.sequences.bone_lengths import BoneLengthMemory, symmetric, typical_lengths
from lib.sequences.depths import refine_depths
from lib.sequences.gaps import fill_frames
from lib.sequences.noise import Timing, denoise
from tests.objectives.test_lift import objective
from tests.sequences.test_bone_lengths import STILL, people, with_wrong_depths
from tests.settings import head_of, synthetic_split, tiny_checkpoint, tiny_model, window

NOBODY = slice(20, 28)
WHOLE, HALVES = Timing([200], [50.0]), Timing([100, 100], [50.0, 50.0])


def with_nobody(split: Split, rays: float = 0.0) -> Split:
    """A split with frames that show nobody, whose stand-ins are off by something."""
    confidence, moved = split.confidence.clone(), split.rays.clone()
    confidence[NOBODY] = 0
    moved[NOBODY] += rays * torch.randn(moved[NOBODY].shape, generator=torch.Generator().manual_seed(0))
    return replace(split, confidence=confidence, rays=moved)


def lifter(frames: int) -> Lifter:
    lift = Lifter(tiny_checkpoint(frames), torch.device("cpu"))
    torch.nn.init.normal_(head_of(lift.model).weight, std=0.05)
    return lift


def test_crops_of_nobody_have_the_scale_of_their_stand_ins() -> None:
    split = synthetic_split(40)
    windows = [Windows(s, window(1))[torch.arange(40)] for s in (split, with_nobody(split))]
    whole, hidden = (perspective_crops(seen_rays(some, H36M_LAYOUT)) for some in windows)
    for name in ("keypoints", "scale", "rotation"):
        torch.testing.assert_close(getattr(whole, name), getattr(hidden, name))
    assert (hidden.confidence == 0).all(-1).sum() == 8


def test_windows_have_somebody_in_their_middle_if_asked() -> None:
    split = with_nobody(synthetic_split(40))
    assert len(Windows(split, window(3))) == 40
    windows = Windows(split, window(3), detected_only=True)
    assert windows.middle(torch.arange(len(windows))).tolist() == [*range(20), *range(28, 40)]
    with pytest.raises(UserError, match="none of 40 windows shows anybody in its middle"):
        Windows(replace(split, confidence=torch.zeros(40, 17)), window(3), detected_only=True)


@pytest.mark.parametrize("run", [1, 3])
def test_random_windows_have_somebody_in_their_middle(run: int) -> None:
    shown = torch.ones(4, 16, dtype=torch.bool)
    whole = random_windows(shown, window(5), 500, run, torch.Generator().manual_seed(0))
    shown[0, 4:9], shown[1, 3], shown[2, ::5] = False, False, False
    clip, index = random_windows(shown, window(5), 500, run, torch.Generator().manual_seed(0))
    assert shown[clip, index[..., 2]].all()
    same = shown[whole[0], whole[1][..., 2]].all(1)
    assert same.float().mean() > 0.5 and torch.equal(index[same], whole[1][same])  # nothing else is drawn
    assert torch.equal(clip, whole[0]) and (index >= 0).all() and (index < 16).all()


@pytest.mark.parametrize("frames", [1, 5])
def test_what_stands_for_nobody_teaches_nothing(frames: int) -> None:
    """Bodies, the prior and the terms of a single frame do not depend on poses of frames that show nobody."""
    results = []
    for rays in (0.0, 0.2):
        split = with_nobody(synthetic_split(60), rays)
        clips = Windows(split, window(frames).clip, detected_only=True)[torch.tensor([14, 19, 20, 50])]
        assert not (clips.confidence > 0).all()
        model = tiny_model(frames)
        torch.nn.init.normal_(head_of(model).weight, std=0.05)
        lift: Lift = objective(frames=frames)
        lift.prior.params = lift.prior.params.model_copy(update={"bone_length_update": 0.5})
        lift.before_epoch(model, iter([clips]), epoch=3)
        pseudo = lift.make_pseudo_labels(model, clips)
        generator = torch.Generator().manual_seed(0)
        terms = lift.terms(model, pseudo, next(lift.draws(8, generator)), generator)
        assert all(value.isfinite() for value in terms.values()) and pseudo.level.isfinite().all()
        results.append((lift.prior.lengths, lift.bone_lengths, terms if frames == 1 else {}))
    (lengths, bodies, terms), (others, other_bodies, other_terms) = results
    if frames == 1:  # windows of several frames see how large the stand-ins are
        torch.testing.assert_close(lengths, others, rtol=1e-5, atol=0)
        assert isinstance(bodies, BoneLengthMemory) and isinstance(other_bodies, BoneLengthMemory)
        torch.testing.assert_close(bodies._sum, other_bodies._sum, rtol=1e-5, atol=0)
    for name, value in terms.items():
        torch.testing.assert_close(value, other_terms[name], rtol=1e-4, atol=1e-6, msg=name)


def test_lengths_are_those_of_the_frames_that_show_somebody() -> None:
    pose, truth = people(2, 30)
    shown = torch.ones(2, 30, dtype=torch.bool)
    shown[:, 5:25] = False
    wrong = torch.where(shown[..., None, None], pose, torch.randn(pose.shape))
    torch.testing.assert_close(symmetric(typical_lengths(wrong, H36M, shown)[0], H36M), truth)
    # Of a body that nobody saw there is a guess.
    found = BoneLengthMemory(H36M).update(torch.arange(2), wrong, torch.zeros_like(shown))
    assert found.isfinite().all()


def test_one_frame_without_a_body_spoils_no_other() -> None:
    pose, truth = people(4, 100)
    lengths = truth[:, None].expand(-1, 100, -1).flatten(0, 1)
    wrong = with_wrong_depths(pose, 0.005).flatten(0, 1)
    expected = refine_depths(wrong, lengths, STILL + 0.0005, H36M)
    for nobody in (0.0, 1e-7, torch.nan):
        with_one = torch.cat([wrong, torch.full((1, 17, 3), nobody)])
        result = refine_depths(with_one, torch.cat([lengths, lengths[:1]]), STILL + 0.0005, H36M)
        torch.testing.assert_close(result[:-1], expected)
        torch.testing.assert_close(result[-1], with_one[-1], equal_nan=True)
    shown = torch.ones(len(wrong), dtype=torch.bool)
    shown[7] = False
    far = wrong.clone()
    far[7] = torch.randn(17, 3)
    result = refine_depths(far, lengths, STILL + 0.0005, H36M, shown)
    assert torch.equal(result[7], far[7])
    torch.testing.assert_close(result[8:], expected[8:], atol=1e-4, rtol=0)


@pytest.mark.parametrize("rays", [0.0, 0.3])
def test_poses_of_nobody_lie_between_their_neighbours(rays: float) -> None:
    lift, split = lifter(1), synthetic_split(60, 15)
    whole = lift.lift(split, 100).joints
    poses = lift.lift(with_nobody(split, rays), 100, denoise=False).joints
    weight = torch.arange(1, 9)[:, None, None] / 9
    torch.testing.assert_close(
        poses[NOBODY], torch.lerp(poses[19].expand(8, -1, -1), poses[28].expand(8, -1, -1), weight)
    )
    again = lift.lift(with_nobody(split), 100, denoise=False).joints
    torch.testing.assert_close(poses, again)  # whatever stands in their place
    assert not torch.equal(poses, whole)


def test_lines_in_time_stay_in_their_sequence() -> None:
    values = torch.arange(10.0).view(10, 1, 1).expand(10, 17, 3)
    known = torch.tensor([1, 0, 1, 0, 0, 1, 1, 0, 0, 0]) > 0
    filled = fill_frames(torch.where(known[:, None, None], values, 99.0), known, Timing([4, 3, 3], [50.0] * 3))
    assert filled[:, 0, 0].tolist() == [0, 1, 2, 2, 5, 5, 6, 99, 99, 99]  # the last shows nobody at all
    assert fill_frames(values, torch.ones(10, dtype=torch.bool), Timing([10], [50.0])) is values


def test_lines_in_time_go_by_the_times_of_frames() -> None:
    times = torch.tensor([0.0, 0.01, 0.04, 0.1, 0.0, 0.3, 0.4], dtype=torch.float64)
    values = torch.tensor([0.0, 99, 99, 1, 0, 99, 1]).view(7, 1, 1).expand(7, 17, 3)
    known = torch.tensor([1, 0, 0, 1, 1, 0, 1]) > 0
    filled = fill_frames(values, known, Timing([4, 3], [50.0, 50.0], times))
    torch.testing.assert_close(filled[:, 0, 0], torch.tensor([0, 0.1, 0.4, 1, 0, 0.75, 1]))


def test_noise_is_measured_where_somebody_is_seen() -> None:
    values = torch.randn(200, 17, 3, generator=torch.Generator().manual_seed(0))
    known = torch.ones(200, dtype=torch.bool)
    expected = denoise(values, WHOLE, 0.0, known)
    torch.testing.assert_close(denoise(values, WHOLE, 0.0), expected)
    known[100:] = False
    wild = torch.where(known[:, None, None], values, 50 * values)
    alone = denoise(values[:100], Timing([100], [50.0]), 0.0)
    torch.testing.assert_close(denoise(wild, HALVES, 0.0, known)[:100], alone)
    assert not torch.allclose(denoise(wild, HALVES, 0.0)[:100], alone, atol=0.1)
