"""What lies between frames: lines in time, frames as they are, nothing across breaks, and what one of two hides."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from lib.data.instants import BREAK, Clock
from lib.data.split import Split
from lib.data.windows import WindowBatch, WindowParams, Windows
from lib.pose.layouts import H36M_LAYOUT

PARAMS = WindowParams(frames=9, interval_seconds=0.06)
UNEVEN = torch.tensor([0.0, 0.013, 0.05, 0.06, 0.1, 0.11, 0.2, 0.23, 0.25, 0.31, 0.32, 0.4], dtype=torch.float64)


def split_at(*times: torch.Tensor, given: bool = True) -> Split:
    """Sequences of frames at these seconds; rays are random, positions hold the seconds since the first frame."""
    lengths = torch.tensor([len(part) for part in times])
    fps = [1 / float(part.diff().quantile(0.5)) if len(part) > 1 else 50.0 for part in times]
    table = pd.DataFrame({"start": (lengths.cumsum(0) - lengths).numpy(), "length": lengths.numpy(), "fps": fps})
    clock = torch.cat([part - part[0] for part in times])
    rays = torch.randn(len(clock), 17, 2, generator=torch.Generator().manual_seed(0))
    positions = clock.float()[:, None, None].expand(-1, 17, 3).contiguous()
    return Split(H36M_LAYOUT, table, rays, torch.ones(len(clock), 17), rays, positions, clock if given else None)


def at_rate(fps: float, frames: int) -> torch.Tensor:
    return torch.arange(frames, dtype=torch.float64) / fps


def all_of(split: Split, params: WindowParams = PARAMS) -> WindowBatch:
    windows = Windows(split, params)
    return windows[torch.arange(len(windows))]


def seconds(batch: WindowBatch) -> torch.Tensor:
    assert batch.positions is not None
    return batch.positions[..., 0, 0]


@pytest.mark.parametrize("fps", [24, 25, 29.97, 30, 50, 59.94, 60, 100, 120, 240])
@pytest.mark.parametrize("given", [True, False])
def test_every_frame_of_a_window_is_at_its_time(fps: float, given: bool) -> None:
    split = split_at(at_rate(fps, 90), at_rate(fps, 50), given=given)
    ends = torch.tensor([89 / fps] * 90 + [49 / fps] * 50)[:, None]
    assert split.positions is not None
    expected = (split.positions[:, 0, :1] + PARAMS.offsets * 0.06).clamp_min(0).minimum(ends)
    torch.testing.assert_close(seconds(all_of(split)), expected, atol=0.011 / fps, rtol=0)  # 1 %: that frame
    assert (seconds(all_of(split)) - expected).abs().mean() < 0.005 / fps


def test_uneven_times_are_kept() -> None:
    batch = all_of(split_at(UNEVEN + 1e9))
    expected = (UNEVEN.float()[:, None] + PARAMS.offsets * 0.06).clamp(0, 0.4)
    torch.testing.assert_close(seconds(batch), expected, atol=0.0012, rtol=0)  # 1 % of the longest distance


@pytest.mark.parametrize("fps", [50, 100])
def test_on_frames_nothing_changes(fps: float) -> None:
    """Times that say what the rate says, or half a percent of a frame beside it, give the same bits."""
    even = at_rate(fps, 40)
    expected = all_of(split_at(even, given=False))
    off = 0.004 * (torch.rand(40, generator=torch.Generator().manual_seed(0)) - 0.5) / fps
    for times in (even, even + off):
        batch = all_of(split_at(times))
        assert torch.equal(batch.rays, expected.rays) and torch.equal(batch.confidence, expected.confidence)
    index = (torch.arange(40)[:, None] + PARAMS.offsets * round(0.06 * fps)).clamp(0, 39)
    assert torch.equal(expected.rays, split_at(even).rays[index])


@pytest.mark.parametrize("times", [UNEVEN, at_rate(24, 12), at_rate(120, 12)])
def test_the_middle_is_the_frame_itself(times: torch.Tensor) -> None:
    split = split_at(times, times)
    assert torch.equal(all_of(split).rays[:, 4], split.rays)


def test_between_frames_the_lower_confidence_counts() -> None:
    split = split_at(at_rate(25, 20))
    confidence = torch.rand(20, 17, generator=torch.Generator().manual_seed(1))
    batch = all_of(replace(split, confidence=confidence), WindowParams(frames=3, interval_seconds=0.06))
    assert torch.equal(batch.confidence[5, 2], torch.minimum(confidence[6], confidence[7]))
    torch.testing.assert_close(batch.rays[5, 2], (split.rays[6] + split.rays[7]) / 2)
    assert torch.equal(batch.confidence[:, 1], confidence)


@pytest.mark.parametrize(("hidden", "shown"), [(7, 0.9), (6, 0.0)])
def test_a_hidden_joint_is_where_a_near_frame_shows_it(hidden: int, shown: float) -> None:
    """The last frame of window 5 is at 0.31 s: 0.01 s after frame 6, which is near, and 0.04 s before frame 7."""
    split = split_at(at_rate(20, 20))
    confidence = torch.full((20, 17), 0.7)
    confidence[[6, 7], 3] = 0.9
    confidence[hidden, 3] = 0
    batch = all_of(replace(split, confidence=confidence), WindowParams(frames=3, interval_seconds=0.06))
    torch.testing.assert_close(batch.confidence[5, 2, 3].item(), shown)
    if shown:
        assert torch.equal(batch.rays[5, 2, 3], split.rays[6, 3])
    torch.testing.assert_close(batch.rays[5, 2, 4], torch.lerp(split.rays[6, 4], split.rays[7, 4], 0.2))
    assert batch.confidence[5, 2, 4] == confidence[6, 4]


def test_where_nobody_is_seen_nobody_is_between() -> None:
    split = split_at(at_rate(20, 20))
    batch = all_of(replace(split, confidence=torch.zeros(20, 17)))
    assert (batch.confidence == 0).all() and batch.rays.isfinite().all()


def test_beyond_a_break_a_sequence_stands_still() -> None:
    times = torch.cat([at_rate(50, 20), at_rate(50, 20) + 0.38 + BREAK * 0.06 + 0.001])
    batch = seconds(all_of(split_at(times)))
    assert batch[:20].max() == batch[19, 4] and batch[20:].min() == batch[20, 4]
    shorter = torch.cat([at_rate(50, 20), at_rate(50, 20) + 0.38 + BREAK * 0.06 - 0.001])
    batch = seconds(all_of(split_at(shorter)))
    assert batch[19, 4] < batch[19, 5] < batch[19, 6] < batch[20, 4] and batch[20, 2] > batch[19, 4]


def test_frames_that_are_always_far_apart_are_no_breaks() -> None:
    batch = all_of(split_at(at_rate(2, 10)), WindowParams(frames=3, interval_seconds=0.06))
    torch.testing.assert_close(seconds(batch)[5], torch.tensor([2.44, 2.5, 2.56]))


def test_a_clock_finds_frames_of_its_motion_alone() -> None:
    split = split_at(at_rate(30, 9), UNEVEN, torch.zeros(1, dtype=torch.float64), at_rate(50, 2))
    at = Clock(split, PARAMS.offsets, 0.06).find(torch.arange(24))
    sequence = torch.repeat_interleave(torch.arange(4), torch.tensor([9, 12, 1, 2]))
    assert at.line is not None
    for index in (at.before, at.line.after):
        assert torch.equal(sequence[index], sequence[:, None].expand(-1, 9))
    assert ((at.line.part >= 0) & (at.line.part < 1)).all()
    assert ((at.line.after - at.before >= 0) & (at.line.after - at.before <= 1)).all()
