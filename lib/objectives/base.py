"""What the training loop asks of an objective, and what objectives share.

Objectives are handed clips of rays (`lib.data.windows.WindowBatch`), with positions only where they claim labels, and
yield steps: functions of a model that return named terms.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from lib.anatomy import PosePrior
from lib.data.transforms import CropBatch, TransformParams
from lib.data.windows import WindowBatch, WindowParams
from lib.models.lifters import LifterModel

REFRESH = 40  # steps that work with the same clips
Terms = dict[str, Tensor]
Step = Callable[[LifterModel], Terms]  # the unweighted terms of one step of a model


@runtime_checkable
class Objective(Protocol):
    """What the training loop asks of an objective."""

    prior: PosePrior
    window: WindowParams
    transforms: TransformParams

    def steps(
        self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int, generator: torch.Generator
    ) -> Iterator[Step]:
        """Training steps without end on batches of clips of real 2D, for an epoch (from 1 on)."""
        ...

    def adapt(self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int) -> None:
        """What there is to do before an epoch of training."""
        ...

    def afresh(self) -> "Objective":
        """The same objective without what it remembers of the sequences that it saw."""
        ...

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """What is minimised."""
        ...


def random_windows(
    crops: CropBatch, window: WindowParams, count: int, run: int, generator: torch.Generator
) -> tuple[Int[Tensor, "window run"], Int[Tensor, "window run frame"]]:
    """Random windows of clips, `run` successive ones each: their clips, and their frames in them."""
    clips, length = crops.scale.shape
    device, half = crops.scale.device, window.frames // 2
    clip = torch.randint(clips, (count, 1), generator=generator, device=device)
    last = length - (window.frames - 1 - half) - run
    first = torch.randint(half, last + 1, (count, 1), generator=generator, device=device)
    middle = first + torch.arange(run, device=device)
    index = middle[..., None] + window.offsets.to(device)
    return clip.expand(-1, run), index
