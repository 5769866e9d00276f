from dataclasses import replace

import pandas as pd
import pytest
import torch

from lib.data.split import Split
from lib.data.windows import LoaderParams, WindowParams, Windows, evenly_spaced, training_loader
from lib.pose.layouts import H36M_LAYOUT
from tests.settings import window


def split(*lengths: int) -> Split:
    total = sum(lengths)
    start = [sum(lengths[:i]) for i in range(len(lengths))]
    table = pd.DataFrame({"start": start, "length": lengths, "fps": 50.0})
    rays = torch.arange(total).float().view(-1, 1, 1).expand(total, 17, 2).contiguous()
    return Split(H36M_LAYOUT, table, rays, torch.ones(total, 17), rays, None)


@pytest.mark.parametrize("total", [1, 2, 10, 2**24 + 3, 2**26 + 1])
def test_evenly_spaced_numbers_are_exact_beyond_what_a_float_can_count(total: int) -> None:
    """A float32 counts to 2^24 in ones: the last number of a larger total was one that there is not."""
    spread = evenly_spaced(total, 4).tolist()
    assert spread == [round(i * (total - 1) / (min(total, 4) - 1 or 1)) for i in range(min(total, 4))]


def test_all_of_more_than_a_float_can_count_are_different() -> None:
    total = 2**24 + 3
    assert torch.equal(evenly_spaced(total, total)[-9:], torch.arange(total - 9, total))


def indices(frames: int, step: int) -> torch.Tensor:
    """The frame numbers, which their rays are, of all windows of sequences of 7, 2 and 12 frames."""
    windows = Windows(split(7, 2, 12), window(frames, step))
    return windows[torch.arange(len(windows))].rays[..., 0, 0].long()


SHAPES = [(1, 1), (3, 1), (4, 1), (9, 1), (3, 2), (2, 3), (5, 4)]


@pytest.mark.parametrize(("frames", "step"), SHAPES)
def test_windows_stay_in_their_sequence(frames: int, step: int) -> None:
    index = indices(frames, step)
    sequence = torch.repeat_interleave(torch.arange(3), torch.tensor([7, 2, 12]))[index]
    assert (sequence == sequence[:, :1]).all()


@pytest.mark.parametrize(("frames", "step"), SHAPES)
def test_every_frame_is_the_middle_of_a_window(frames: int, step: int) -> None:
    assert indices(frames, step)[:, frames // 2].tolist() == list(range(21))


def test_frames_are_an_interval_apart_at_any_rate() -> None:
    """Sequences of 50, 25 and 5 frames a second, of which the last is slower than the interval."""
    rates = split(10, 10, 10)
    rates.table["fps"] = [50.0, 25.0, 5.0]
    windows = Windows(rates, WindowParams(frames=3, interval_seconds=0.08))[torch.tensor([5, 15, 25])]
    expected = torch.tensor([[1.0, 5.0, 9.0], [13.0, 15.0, 17.0], [24.6, 25.0, 25.4]])
    torch.testing.assert_close(windows.rays[..., 0, 0], expected)
    assert windows.sequence.tolist() == [0, 1, 2] and (windows.confidence == 1).all()


def test_beyond_its_ends_a_sequence_stands_still() -> None:
    batch = Windows(split(2), window(5))[torch.tensor([0, 1])]
    assert batch.rays[..., 0, 0].tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1]]


def test_a_batch_is_the_frames_of_its_windows() -> None:
    frames = split(5)
    windows = Windows(frames, window(2))
    batch = windows[torch.tensor([1, 4])]
    assert batch.rays[..., 0, 0].tolist() == [[0, 1], [3, 4]]
    assert torch.equal(batch.std, frames.std[torch.tensor([[0, 1], [3, 4]])])


def test_clips_of_another_rate_are_on_lines_between_frames() -> None:
    """Training reads clips: 30 frames a second, an interval of 1.8 frames."""
    slow = split(40)
    slow.table["fps"] = 30.0
    params = WindowParams(frames=5, interval_seconds=0.06)
    windows = Windows(replace(slow, positions=torch.ones(40, 17, 3) * slow.rays[..., :1]), params.clip)
    loader = training_loader(windows, 8, LoaderParams(workers=0), torch.Generator().manual_seed(0))
    batch = next(iter(loader))
    middle = batch.rays[:, params.clip.frames // 2, 0, 0]
    expected = (middle[:, None] + 1.8 * params.clip.offsets).clamp(0, 39)
    torch.testing.assert_close(batch.rays[..., 3, 1], expected)
    assert batch.positions is not None
    torch.testing.assert_close(batch.positions[..., 3, 2], expected)
    assert batch.rays.is_contiguous() and (batch.rays % 1 > 0.1).any()


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_sequence_shorter_than_its_windows_gives_windows(frames: int) -> None:
    short = split(frames)
    short.table["fps"] = 30.0
    batch = Windows(short, WindowParams(frames=9, interval_seconds=0.06))[torch.arange(frames)]
    assert batch.rays[:, 4, 0, 0].tolist() == list(range(frames))
    assert batch.rays.min() == 0 and batch.rays.max() == frames - 1 and (batch.confidence == 1).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_shuffles_by_its_generator_and_never_ends(workers: int) -> None:
    windows = Windows(split(10), window(1))

    def first(count: int, seed: int) -> list[float]:
        loader = training_loader(windows, 4, LoaderParams(workers=workers), torch.Generator().manual_seed(seed))
        stream = iter(loader)
        return [value for _ in range(count) for value in next(stream).rays[:, 0, 0, 0].tolist()]

    drawn = first(5, seed=0)
    assert drawn == first(5, seed=0)
    assert drawn != first(5, seed=1)
    assert len(set(drawn[:8])) == 8  # a pass repeats nothing
