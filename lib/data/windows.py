"""Windows of frames as index ranges over a split's contiguous arrays, and the loader that gathers them in batches."""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lib.data.store import Split
from lib.params import Section


class WindowParams(Section):
    """`data.window`: how many frames a model sees at once, and how they lie in a sequence."""

    frames: Annotated[int, Field(ge=1)]
    dilation: Annotated[int, Field(ge=1)]  # from one frame of a window to the next: 5 sees every fifth frame
    stride: Annotated[int, Field(ge=1)]  # between the beginnings of two training windows


class LoaderParams(Section):
    """`data.loader`: worker processes that gather batches ahead; 0 gathers in the training process."""

    workers: Annotated[int, Field(ge=0)]


class WindowBatch(NamedTuple):
    """Windows of calibrated 2D; there is no 3D in it."""

    rays: Float[Tensor, "batch frame joint 2"]
    confidence: Float[Tensor, "batch frame joint"]


class Windows(Dataset[WindowBatch]):
    """Windows of a split; indexed by a tensor of window numbers, it returns them as one batch.

    Training windows begin `stride` frames apart, and a sequence's last one ends with it. `covering` windows instead
    hold every frame of every sequence, once where its length allows. A sequence shorter than a window repeats its last
    frame.
    """

    def __init__(self, split: Split, params: WindowParams, covering: bool = False) -> None:
        start = torch.from_numpy(split.table["start"].to_numpy())
        length = torch.from_numpy(split.table["length"].to_numpy())
        self.offsets = torch.arange(params.frames) * params.dilation
        if covering:  # blocks of `dilation` interleaved windows
            span = params.frames * params.dilation
            counts = (length + span - 1) // span * params.dilation
        else:
            span = int(self.offsets[-1]) + 1
            counts = ((length - span).clamp_min(0) + params.stride - 1) // params.stride + 1
        spare = (length - span).clamp_min(0)
        sequence = torch.repeat_interleave(torch.arange(len(counts)), counts)
        number = torch.arange(len(sequence)) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        if covering:
            block, phase = number // params.dilation * span, number % params.dilation
            begin = torch.minimum(block, spare[sequence]) + phase
        else:
            begin = torch.minimum(number * params.stride, spare[sequence])
        self.first = start[sequence] + begin
        self.last = (start + length - 1)[sequence]
        self.rays, self.confidence = split.rays, split.confidence

    def __len__(self) -> int:
        return len(self.first)

    def frame_index(self, windows: Int[Tensor, " batch"]) -> Int[Tensor, "batch frame"]:
        """The frame numbers of windows."""
        return torch.minimum(self.first[windows, None] + self.offsets, self.last[windows, None])

    def __getitem__(self, windows: Int[Tensor, " batch"]) -> WindowBatch:
        index = self.frame_index(windows)
        return WindowBatch(self.rays[index], self.confidence[index])


class ShuffledBatches(Sampler[Tensor]):
    """Tensors of window numbers, without end: a new permutation after each pass, the last short batch left out."""

    def __init__(self, windows: int, batch_size: int, generator: torch.Generator) -> None:
        self.windows, self.batch_size, self.generator = windows, batch_size, generator

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            if self.windows < self.batch_size:  # too few for one batch: draw with replacement
                yield torch.randint(self.windows, (self.batch_size,), generator=self.generator)
                continue
            order = torch.randperm(self.windows, generator=self.generator)
            yield from order[: self.windows - self.windows % self.batch_size].split(self.batch_size)


def training_loader(
    windows: Windows, batch_size: int, params: LoaderParams, generator: torch.Generator
) -> DataLoader[WindowBatch]:
    """An endless loader of shuffled batches; each is one gather from contiguous memory."""
    return DataLoader(
        windows,
        sampler=ShuffledBatches(len(windows), batch_size, generator),
        batch_size=None,  # the dataset returns whole batches
        num_workers=params.workers,
        persistent_workers=params.workers > 0,
    )
