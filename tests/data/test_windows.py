import pandas as pd
import pytest
import torch

from lib.data.store import Split
from lib.data.windows import LoaderParams, WindowParams, Windows, training_loader
from lib.pose.skeleton import H36M


def split(*lengths: int) -> Split:
    total = sum(lengths)
    start = [sum(lengths[:i]) for i in range(len(lengths))]
    table = pd.DataFrame({"start": start, "length": lengths})
    rays = torch.arange(total).float().view(-1, 1, 1).expand(total, 17, 2).contiguous()
    return Split(H36M, table, rays, torch.ones(total, 17), rays, None)


def indices(frames: int, dilation: int, stride: int) -> torch.Tensor:
    """The frame numbers of all windows of sequences of 7, 2 and 12 frames."""
    windows = Windows(split(7, 2, 12), WindowParams(frames=frames, dilation=dilation, stride=stride))
    return windows.frame_index(torch.arange(len(windows)))


SHAPES = [(1, 1, 1), (3, 1, 1), (3, 1, 3), (4, 1, 2), (9, 1, 5), (3, 2, 1), (2, 3, 2), (5, 4, 1)]


@pytest.mark.parametrize(("frames", "dilation", "stride"), SHAPES)
def test_windows_stay_in_their_sequence(frames: int, dilation: int, stride: int) -> None:
    index = indices(frames, dilation, stride)
    sequence = torch.repeat_interleave(torch.arange(3), torch.tensor([7, 2, 12]))[index]
    assert (sequence == sequence[:, :1]).all()


@pytest.mark.parametrize(("frames", "dilation"), [(1, 1), (3, 1), (4, 3), (9, 2)])
def test_every_frame_is_the_middle_of_a_window(frames: int, dilation: int) -> None:
    assert indices(frames, dilation, stride=1)[:, frames // 2].tolist() == list(range(21))


def test_middles_are_a_stride_apart_and_frames_a_dilation() -> None:
    windows = Windows(split(10), WindowParams(frames=3, dilation=2, stride=3))
    index = windows.frame_index(torch.arange(len(windows)))
    assert index[:, 1].tolist() == [0, 3, 6, 9]
    assert index[1:3].tolist() == [[1, 3, 5], [4, 6, 8]]


def test_beyond_its_ends_a_sequence_stands_still() -> None:
    windows = Windows(split(2), WindowParams(frames=5, dilation=1, stride=1))
    assert windows.frame_index(torch.tensor([0, 1])).tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1]]


def test_a_batch_is_the_frames_of_its_windows() -> None:
    windows = Windows(split(5), WindowParams(frames=2, dilation=1, stride=1))
    batch = windows[torch.tensor([1, 4])]
    assert batch.rays[..., 0, 0].tolist() == [[0, 1], [3, 4]]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_shuffles_by_its_generator_and_never_ends(workers: int) -> None:
    windows = Windows(split(10), WindowParams(frames=1, dilation=1, stride=1))

    def first(count: int, seed: int) -> list[float]:
        loader = training_loader(windows, 4, LoaderParams(workers=workers), torch.Generator().manual_seed(seed))
        stream = iter(loader)
        return [value for _ in range(count) for value in next(stream).rays[:, 0, 0, 0].tolist()]

    drawn = first(5, seed=0)
    assert drawn == first(5, seed=0)
    assert drawn != first(5, seed=1)
    assert len(set(drawn[:8])) == 8  # a pass repeats nothing
