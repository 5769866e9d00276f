"""What a split shows some seconds before and after its frames: between two frames, a straight line in time."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.data.split import Split

ON_A_FRAME = 0.01  # of the distance of two frames: an instant so near to one of them is that frame
BREAK = 3.0  # intervals of a window: frames further apart are not of one motion, unless all of a sequence are
NEAR = 0.5  # intervals: what one of two frames hides is where the other shows it, if that is so near


class Line(NamedTuple):
    """The second frame of instants between two frames, and where they lie; on a frame, it is the first one again."""

    after: Int[Tensor, "batch frame"]
    part: Float[Tensor, "batch frame"]  # of the way to it
    apart: Float[Tensor, "batch frame"]  # seconds to it from the first frame


class Instants(NamedTuple):
    """Instants between two frames each, by their numbers in a split; all of them are frames where there is no line."""

    before: Int[Tensor, "batch frame"]
    line: Line | None


class Clock:
    """When the frames of a split were taken, to find the instants whole intervals before and after a frame.

    A motion is a sequence, or a part of one between two breaks: the time between two frames is a break if it is longer
    than BREAK intervals and than BREAK times the usual distance of the sequence's frames. Beyond the ends of its
    motion there is nothing of a frame but those ends.
    """

    def __init__(self, split: Split, offsets: Int[Tensor, " frame"], interval: float) -> None:
        """For instants `offsets` intervals (in seconds) away from frames."""
        timing = split.timing
        length = torch.tensor(timing.lengths, dtype=torch.long)
        ends = length.cumsum(0)
        self._start = ends - length
        self.offsets, self.interval = offsets, interval
        self._steps = _whole_steps(timing.fps, offsets, interval) if split.times is None else None
        self._firsts, self._lasts = self._start, ends - 1  # of motions: sequences, without times
        if self._steps is None:
            usual = 1 / torch.tensor(timing.fps, dtype=torch.double)
            self._seconds = _one_row(length, usual, split.times)
            if split.times is not None:
                self._firsts = _motions(self._seconds, self._start, BREAK * usual.clamp_min(interval))
                self._lasts = torch.cat([self._firsts[1:], self._firsts.new_tensor([len(self._seconds)])]) - 1

    def sequence(self, frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """The numbers of the sequences that frames are of."""
        return torch.searchsorted(self._start, frames, right=True) - 1

    def find(self, frames: Int[Tensor, " batch"]) -> Instants:
        """The instants around frames; one within 1 % of the way from a frame to the next is that frame."""
        motion = torch.searchsorted(self._firsts, frames, right=True) - 1
        first, last = self._firsts[motion, None], self._lasts[motion, None]
        if self._steps is not None:
            return Instants((frames[:, None] + self.offsets * self._steps[motion, None]).clamp(first, last), None)
        clock = self._seconds
        instant = (clock[frames, None] + self.offsets * self.interval).clamp(clock[first], clock[last])
        after = torch.searchsorted(clock, instant)
        before = torch.maximum(after - 1, first)
        apart = clock[after] - clock[before]
        part = (instant - clock[before]) / torch.where(apart > 0, apart, 1)
        at_before, at_after = part <= ON_A_FRAME, part >= 1 - ON_A_FRAME
        before, after = torch.where(at_after, after, before), torch.where(at_before, before, after)
        return Instants(before, Line(after, part.masked_fill(at_before | at_after, 0), apart))


def _whole_steps(
    fps: Sequence[float], offsets: Int[Tensor, " frame"], interval: float
) -> Int[Tensor, " sequence"] | None:
    """How many frames of each sequence there are in an interval; None unless all offsets lie on frames."""
    steps, furthest = {rate: round(interval * rate) for rate in {*fps}}, int(offsets.abs().max())
    if any(abs(interval * rate - step) * furthest > ON_A_FRAME for rate, step in steps.items()):
        return None
    return torch.tensor([steps[rate] for rate in fps], dtype=torch.long)


def _one_row(
    length: Int[Tensor, " sequence"], usual: Float[Tensor, " sequence"], times: Float[Tensor, " frame"] | None
) -> Float[Tensor, " frame"]:
    """The times of all frames as one row that ascends, a second between sequences; `usual` is from frame to frame."""
    lengths = [count for count in length.tolist() if count]
    if times is None:
        distances = usual[length > 0]
        parts = [torch.arange(count) * apart for count, apart in zip(lengths, distances, strict=True)]
    else:
        parts = list(times.split(lengths))
    ends = torch.stack([part[-1] for part in parts]) + 1
    return torch.cat([part + begin for part, begin in zip(parts, ends.cumsum(0) - ends, strict=True)])


def _motions(
    seconds: Float[Tensor, " frame"], start: Int[Tensor, " sequence"], longest: Float[Tensor, " sequence"]
) -> Int[Tensor, " motion"]:
    """The first frames of motions."""
    begins = torch.zeros_like(seconds, dtype=torch.bool)
    sequence = torch.searchsorted(start, torch.arange(1, len(seconds)), right=True) - 1
    begins[1:] = seconds.diff() > longest[sequence]
    begins[start[start < len(seconds)]] = True
    return begins.nonzero()[:, 0]


def between(values: Float[Tensor, "total joint coord"], at: Instants) -> Float[Tensor, "batch frame joint coord"]:
    """The values of frames at instants."""
    first = values[at.before]
    if at.line is None:
        return first
    line: Tensor = torch.lerp(first, values[at.line.after], at.line.part.to(values)[..., None, None])
    return line


def seen_between(
    rays: Float[Tensor, "total joint 2"], confidence: Float[Tensor, "total joint"], at: Instants, interval: float
) -> tuple[Float[Tensor, "batch frame joint 2"], Float[Tensor, "batch frame joint"]]:
    """Rays at instants, and their confidence: the lower one of two frames.

    A joint that one of two frames hides is where the other shows it if that one is near, and else hidden.
    """
    first, sure_first = rays[at.before], confidence[at.before]
    if at.line is None:
        return first, sure_first
    last, sure_last = rays[at.line.after], confidence[at.line.after]
    part, apart = at.line.part.to(rays)[..., None], at.line.apart.to(rays)[..., None]
    sure = torch.minimum(sure_first, sure_last)
    if ((sure == 0) & (torch.maximum(sure_first, sure_last) > 0)).any():
        only_first, only_last = (sure_first > 0) & (sure_last == 0), (sure_first == 0) & (sure_last > 0)
        first, last = torch.where(only_last[..., None], last, first), torch.where(only_first[..., None], first, last)
        sure = torch.where(only_first & (part * apart < NEAR * interval), sure_first, sure)
        sure = torch.where(only_last & ((1 - part) * apart < NEAR * interval), sure_last, sure)
    return torch.lerp(first, last, part[..., None]), sure
