import pandas as pd
import pytest
import torch

from lib.data.store import Split
from lib.data.windows import LoaderParams, WindowParams, Windows, training_loader


def split(*lengths: int) -> Split:
    total = sum(lengths)
    table = pd.DataFrame({"start": [sum(lengths[:i]) for i in range(len(lengths))], "length": lengths})
    rays = torch.arange(total).float().view(-1, 1, 1).expand(total, 17, 2).contiguous()
    return Split(table, rays, torch.ones(total, 17), rays, None)


@pytest.mark.parametrize(("frames", "stride"), [(1, 1), (3, 1), (3, 3), (4, 2), (9, 5)])
def test_windows_stay_in_their_sequence_and_cover_every_frame(frames: int, stride: int) -> None:
    data = split(7, 2, 12)
    windows = Windows(data, WindowParams(frames=frames, stride=stride))
    index = windows.frame_index(torch.arange(len(windows)))
    sequence = torch.repeat_interleave(torch.arange(3), torch.tensor([7, 2, 12]))[index]
    assert (sequence == sequence[:, :1]).all()
    if stride <= frames:
        assert set(index.flatten().tolist()) == set(range(21))


def test_a_short_sequence_repeats_its_last_frame() -> None:
    windows = Windows(split(2), WindowParams(frames=4, stride=1))
    assert windows.frame_index(torch.tensor([0])).tolist() == [[0, 1, 1, 1]]


def test_a_batch_is_the_frames_of_its_windows() -> None:
    windows = Windows(split(5), WindowParams(frames=2, stride=1))
    batch = windows[torch.tensor([0, 3])]
    assert batch.rays[..., 0, 0].tolist() == [[0, 1], [3, 4]]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_shuffles_by_its_generator_and_never_ends(workers: int) -> None:
    windows = Windows(split(10), WindowParams(frames=1, stride=1))

    def first(count: int, seed: int) -> list[float]:
        loader = training_loader(windows, 4, LoaderParams(workers=workers), torch.Generator().manual_seed(seed))
        stream = iter(loader)
        return [value for _ in range(count) for value in next(stream).rays[:, 0, 0, 0].tolist()]

    drawn = first(5, seed=0)
    assert drawn == first(5, seed=0)
    assert drawn != first(5, seed=1)
    assert len(set(drawn[:8])) == 8  # a pass repeats nothing
