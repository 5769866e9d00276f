"""Windows over a split's contiguous arrays, a fixed time from frame to frame, and the loader that gathers batches."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lib.data.instants import Clock, between, seen_between
from lib.data.mapped import WINDOWS
from lib.data.split import Split
from lib.runtime.errors import UserError
from lib.runtime.params import Section
from lib.runtime.timing import timed

LEAST_MIDDLES = 4


class WindowParams(Section):
    """`data.window`: how many frames a model sees at once, and how they lie in a sequence."""

    frames: Annotated[int, Field(ge=1, le=512)]
    interval_seconds: Annotated[float, Field(gt=0, le=10)]  # from one frame of a window to the next

    @property
    def offsets(self) -> Int[Tensor, " frame"]:
        """From the middle frame to each frame of a window, in frames of the window."""
        return torch.arange(self.frames) - self.frames // 2

    @property
    def middles(self) -> int:
        """How many windows a clip holds: about half of its frames are the middle of one."""
        return max(LEAST_MIDDLES, self.frames - 1)

    @property
    def clip(self) -> "WindowParams":
        """Clips in which several successive windows fit, as far apart as the frames of a window."""
        return self.model_copy(update={"frames": self.frames - 1 + self.middles})


class LoaderParams(Section):
    """`data.loader`: worker processes that gather batches ahead; 0 gathers in the training process."""

    workers: Annotated[int, Field(ge=0, le=64)]


class WindowBatch(NamedTuple):
    """Windows of calibrated 2D; 3D only where a split was read with its labels."""

    rays: Float[Tensor, "batch frame joint 2"]
    confidence: Float[Tensor, "batch frame joint"]
    std: Float[Tensor, "batch frame joint"]  # standard deviation of the rays' noise, as far as the 2D tells
    sequence: Int[Tensor, " batch"]  # of the split, that they are from: one person each
    positions: Float[Tensor, "batch frame joint 3"] | None = None  # metres, camera frame

    def to(self, device: torch.device) -> "WindowBatch":
        """The same windows on a device."""
        return self._each(lambda part: part.to(device, non_blocking=True))

    def take(self, windows: Int[Tensor, " some"]) -> "WindowBatch":
        """Some of the windows."""
        return self._each(lambda part: part[windows])

    @classmethod
    def joined(cls, batches: Sequence["WindowBatch"]) -> "WindowBatch":
        """All windows of batches as one."""
        rays, confidence, std, sequence = (
            torch.cat(list(parts)) for parts in zip(*(b[:4] for b in batches), strict=True)
        )
        positions = [batch.positions for batch in batches if batch.positions is not None]
        return cls(rays, confidence, std, sequence, torch.cat(positions) if positions else None)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "WindowBatch":
        positions = None if self.positions is None else change(self.positions)
        return WindowBatch(
            change(self.rays), change(self.confidence), change(self.std), change(self.sequence), positions
        )


class Windows(Dataset[WindowBatch]):
    """Windows of a split; indexed by a tensor of window numbers, it returns them as one batch.

    Every frame of a sequence is the middle of a window, whose other frames are whole intervals away in time, whatever
    the rate or the frame times of the sequence: where there is no frame, they are on straight lines between the one
    before and the one after (`lib.data.instants`). A sequence stands still beyond its ends and beyond breaks, where
    frames are missing for longer than three intervals. With `detected_only`, only the windows whose middle frame shows
    somebody. `live` windows know nothing of what comes after their middle frame, and stand still from there on.

    Raises:
        UserError: there is no such window.
    """

    def __init__(self, split: Split, params: WindowParams, detected_only: bool = False, live: bool = False) -> None:
        self.first, self.count, self._shown = 0, len(split.keypoints), None
        if detected_only:
            shown = split.detected
            if not shown.any():
                raise UserError(f"none of {len(shown)} windows shows anybody in its middle: look at the 2D keypoints")
            if not shown.all():
                self._shown = shown.nonzero()[:, 0]
                self.count = len(self._shown)
        offsets = params.offsets.clamp_max(0) if live else params.offsets
        self.clock = Clock(split, offsets, params.interval_seconds)
        self.rays, self.confidence, self.positions = split.rays, split.confidence, split.positions
        self.std_of, self.mapped = split.std_of, split.mapped

    def __len__(self) -> int:
        return self.count

    def middle(self, windows: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """The numbers of the middle frames of windows."""
        windows = windows + self.first
        return windows if self._shown is None else self._shown[windows]

    def evenly_spaced(self, count: int) -> Int[Tensor, " window"]:
        """The numbers of at most `count` windows, evenly spaced over the split."""
        return evenly_spaced(len(self), count)

    def shard(self, number: int, count: int) -> "Windows":
        """One of `count` parts of the windows, as large as the others and of successive frames.

        Raises:
            UserError: there are fewer windows.
        """
        if len(self) < count:
            raise UserError(f"{len(self)} windows are too few for training.shards = {count}")
        shard, begin, end = copy.copy(self), len(self) * number // count, len(self) * (number + 1) // count
        shard.first, shard.count = self.first + begin, end - begin
        return shard

    def __getitem__(self, windows: Int[Tensor, " batch"]) -> WindowBatch:
        if self.mapped is not None and len(windows) > WINDOWS:
            return WindowBatch.joined([self[some] for some in windows.split(WINDOWS)])
        middle = self.middle(windows)
        at = self.clock.find(middle)
        rays, confidence = seen_between(self.rays, self.confidence, at, self.clock.interval)
        std = self.std_of(at.before)
        std = std if at.line is None else torch.maximum(std, self.std_of(at.line.after))
        positions = None if self.positions is None else between(self.positions, at)
        if self.mapped is not None:
            self.mapped.release()
        return WindowBatch(rays, confidence, std, self.clock.sequence(middle), positions)


def evenly_spaced(total: int, count: int) -> Int[Tensor, " some"]:
    """At most `count` of the numbers below `total`, evenly spaced, the first and the last among them."""
    return torch.linspace(0, total - 1, min(total, count), dtype=torch.float64).round().long()


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
            for begin in range(0, self.windows - self.windows % self.batch_size, self.batch_size):
                yield order[begin : begin + self.batch_size]


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


class ClipStream(Iterator[WindowBatch]):
    """Batches of clips on a device, counted, so that another stream of the same ones can begin where this one is."""

    def __init__(self, clips: Iterable[WindowBatch], device: torch.device) -> None:
        self.read, self._clips, self._device = 0, iter(clips), device

    @timed("loader")
    def __next__(self) -> WindowBatch:
        self.read += 1
        return next(self._clips).to(self._device)

    def skip(self, count: int) -> None:
        """Pass over so many batches."""
        for _ in range(count):
            next(self._clips)
        self.read += count
