"""All frames of some sequences, back to back: in memory, or where there are many, in the file that they are from."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.data.confidence import CORRELATION_SECONDS, RayNoise, keypoint_noise, ray_noise, ray_std
from lib.data.mapped import Mapped, gathered, over
from lib.pose.layout import Layout
from lib.pose.skeleton import Skeleton
from lib.sequences.noise import Timing

MEASURED = 1 << 18  # frames by which the noise of a split is measured, where it has more


@dataclass(frozen=True)
class Split:
    """All frames of a split, back to back, and where each sequence lies in them.

    `times` are there if any sequence has frame times of its own. Its rate in the table, `fps`, is then that of the
    median distance between them.
    """

    layout: Layout  # of the keypoints and the positions
    table: pd.DataFrame  # a row a sequence, with lib.data.tables.COLUMNS
    keypoints: Float[Tensor, "frame joint 2"]  # pixels
    confidence: Float[Tensor, "frame joint"]  # 0 to 1; 0: hidden
    rays: Float[Tensor, "frame joint 2"]  # calibrated, distortion undone: (X, Y) / Z in the camera frame
    positions: Float[Tensor, "frame joint 3"] | None  # metres, camera frame; None unless asked for. NaN: no 3D
    times: Float[Tensor, " frame"] | None = None  # seconds since a sequence's first frame; None: constant rates
    mapped: Mapped | None = field(default=None, kw_only=True)  # the file that arrays stay in; None: in memory

    @property
    def skeleton(self) -> Skeleton:
        """The tree of the keypoints."""
        return self.layout.skeleton

    @cached_property
    def std(self) -> Float[Tensor, "frame joint"]:
        """The standard deviation of each ray's noise, as far as the 2D tells (`lib.data.confidence`)."""
        if len(self.rays) <= MEASURED:
            return self.noise.std(self.rays, self.confidence)
        return ray_std(self.rays, self.confidence, self.timing)

    @cached_property
    def noise(self) -> RayNoise:
        """What tells the standard deviation of each ray, by at most MEASURED frames."""
        some = self.sampled()
        return ray_noise(some.rays, some.confidence, some.timing)

    def keypoint_noise(self, seconds: float) -> Float[Tensor, " joint"]:
        """The standard deviation of each keypoint's rays, where their noise lasts for so long."""
        if seconds == CORRELATION_SECONDS and len(self.rays) <= MEASURED:
            return self.noise.base
        return keypoint_noise(self.rays, self.confidence, self.timing, seconds)

    def unlabelled(self) -> "Split":
        """The same without 3D; what is found out about its noise is kept by both."""
        if self.positions is None:
            return self
        changed = replace(self, positions=None)
        return changed if self.mapped is not None else changed.with_std(self.std)

    def std_of(self, frames: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch joint"]:
        """`std` of frames, by their numbers; of a split that stays in its file, it is never there as a whole."""
        if self.mapped is None:
            return self.std[frames]
        return self.noise.std(self.rays[frames], self.confidence[frames])

    def with_std(self, std: Float[Tensor, "frame joint"]) -> "Split":
        """The same with noise that was found otherwise."""
        changed = replace(self)
        vars(changed)["std"] = std
        return changed

    @property
    def detected(self) -> Bool[Tensor, " frame"]:
        """The frames that show somebody; rays of the others, and of a root that is hidden, are stand-ins."""
        return over(self.mapped, lambda confidence: (confidence > 0).any(-1), self.confidence)

    @property
    def labelled(self) -> Bool[Tensor, " frame"]:
        """The frames whose 3D is here."""
        if self.positions is None:
            return torch.zeros(len(self.keypoints), dtype=torch.bool)
        return over(self.mapped, _all_there, self.positions)

    @cached_property
    def timing(self) -> Timing:
        """How long the sequences are, and at what rate or times."""
        return Timing(self.table["length"].tolist(), self.table["fps"].to_numpy(float).tolist(), self.times)

    def take(self, frames: Tensor, table: pd.DataFrame) -> "Split":
        """Some of the frames, by their numbers or a mask, which lie back to back as a table's sequences say.

        Of each sequence the frames are successive ones from its first on, so that times stay those since the first.
        """

        def some(values: Tensor) -> Tensor:
            return gathered(self.mapped, values, frames)

        positions, times = (None if part is None else some(part) for part in (self.positions, self.times))
        parts = (some(self.keypoints), some(self.confidence), some(self.rays))
        return Split(self.layout, table, *parts, positions, times)

    def sampled(self) -> "Split":
        """The same split, or of a larger one MEASURED frames: evenly spaced sequences, from their first frame on."""
        if len(self.keypoints) <= MEASURED:
            return self
        count = max(1, MEASURED * len(self.table) // len(self.keypoints))
        table = self.table.iloc[np.linspace(0, len(self.table) - 1, count).round().astype(int)]
        table = table.assign(length=table["length"].clip(upper=MEASURED // count)).reset_index(drop=True)
        rows = zip(table["start"], table["length"], strict=True)
        frames = torch.cat([torch.arange(start, start + length) for start, length in rows])
        return self.take(frames, table.assign(start=table["length"].cumsum() - table["length"]))

    def parts(self, frames: int) -> Iterator["Split"]:
        """Whole sequences, so many frames at a time, or one sequence that is longer; each part is in memory."""
        if len(self.keypoints) <= frames:
            yield self
            return
        ends = self.table["length"].cumsum().to_numpy()
        first = 0
        while first < len(ends):
            begin = int(ends[first] - self.table["length"].iloc[first])
            last = max(first + 1, int(np.searchsorted(ends, begin + frames, side="right")))
            table = self.table.iloc[first:last].reset_index(drop=True)
            yield self.take(torch.arange(begin, int(ends[last - 1])), table.assign(start=table["start"] - begin))
            first = last


def _all_there(positions: Float[Tensor, "frame joint 3"]) -> Bool[Tensor, " frame"]:
    if positions.sum().isfinite():  # much faster, and true of all of them then
        return torch.ones(len(positions), dtype=torch.bool)
    return positions.isfinite().flatten(1).all(1)


def labelled_only(split: Split) -> Split:
    """The frames of a split whose 3D is here.

    Where only some frames of a sequence have 3D, it has times: the frames that are left are not evenly spaced.
    """
    kept = split.labelled
    if split.positions is None or kept.all():
        return split
    lengths = split.table["length"].tolist()
    counts = torch.tensor([int(part.sum()) for part in kept.split(lengths)])
    table = split.table[(counts > 0).numpy()].assign(length=counts[counts > 0].numpy())
    table = table.assign(start=table["length"].cumsum() - table["length"]).reset_index(drop=True)
    if torch.equal(counts[counts > 0], torch.tensor(lengths)[counts > 0]):
        return split.take(kept, table)
    timing = split.timing
    constant = [
        torch.arange(length, dtype=torch.float64) / fps for length, fps in zip(lengths, timing.fps, strict=True)
    ]
    times = torch.cat(constant) if split.times is None else split.times
    parts = times[kept].split(table["length"].tolist())
    rates = [_median_rate(part, fps) for part, fps in zip(parts, table["fps"], strict=True)]
    return replace(split.take(kept, table.assign(fps=rates)), times=torch.cat([part - part[0] for part in parts]))


def _median_rate(times: Float[Tensor, " frame"], fps: float) -> float:
    """Frames a second of times, as `PoseSequence.rate`; `fps` of a single frame."""
    return 1 / float(times.double().diff().quantile(0.5)) if len(times) > 1 else fps
