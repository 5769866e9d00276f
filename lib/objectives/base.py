"""What the training loop asks of an objective, and what objectives share.

Objectives are handed clips of rays (`lib.data.windows.WindowBatch`), with positions only where they claim labels, and
yield steps: functions of a model that return named terms.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from matplotlib.figure import Figure
from torch import Tensor

from lib.data.transforms import CropBatch, normalize
from lib.data.windows import WindowBatch, WindowParams
from lib.geometry import bone_lengths
from lib.models.lifters import LifterModel, lift_crops
from lib.plotting.lifted import lifted_rows

REFRESH = 40  # steps that work with the same clips
Terms = dict[str, Tensor]
Step = Callable[[Any], Terms]  # the unweighted terms of one step of a model


@runtime_checkable
class Objective(Protocol):
    """What the training loop asks of an objective."""

    @property
    def windows(self) -> int:
        """How many windows a step has."""
        ...

    def steps(
        self, teacher: Any, clips: Iterator[WindowBatch], epoch: int, generator: torch.Generator
    ) -> Iterator[Step]:
        """Training steps without end on batches of clips of real 2D, for an epoch (from 1 on)."""
        ...

    def adapt(self, teacher: Any, clips: Iterator[WindowBatch], epoch: int) -> None:
        """What there is to do before an epoch of training."""
        ...

    def afresh(self) -> "Objective":
        """The same objective without what it remembers of the sequences that it saw."""
        ...

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """What is minimised."""
        ...

    def picture(self, model: Any, clips: WindowBatch) -> Figure:
        """What a model makes of the windows in the middle of a few clips."""
        ...


def random_windows(
    shown: Bool[Tensor, "clip length"], window: WindowParams, count: int, run: int, generator: torch.Generator
) -> tuple[Int[Tensor, "window run"], Int[Tensor, "window run frame"]]:
    """Random windows of clips, `run` successive ones each: their clips, and their frames in them.

    Their middle frames show somebody: where drawn ones do not, the nearest of their clip that do take their place. A
    clip that has none gives what was drawn.
    """
    clips, length = shown.shape
    device, half = shown.device, window.frames // 2
    clip = torch.randint(clips, (count, 1), generator=generator, device=device)
    last = length - (window.frames - 1 - half) - run
    first = torch.randint(half, last + 1, (count, 1), generator=generator, device=device)
    starts = torch.arange(half, last + 1, device=device)
    fit = shown.unfold(1, run, 1).all(-1)[:, half : last + 1]
    far = (first - starts).abs() + length * ~fit[clip[:, 0]]
    first = starts[far.argmin(1, keepdim=True)]
    middle = first + torch.arange(run, device=device)
    index = middle[..., None] + window.offsets.to(device)
    return clip.expand(-1, run), index


@torch.inference_mode()
def lifted_picture(
    model: LifterModel, clips: WindowBatch, normalization: str, window: WindowParams, body_size: float
) -> Figure:
    """The windows in the middle of clips, and the poses that they are lifted to, of one body size (metres)."""
    crops = normalize(clips, normalization)
    frames = crops.scale.shape[1] // 2 + window.offsets
    seen = CropBatch(*(part[:, frames] for part in crops))
    pose, _ = lift_crops(model, seen)
    size = body_size / bone_lengths(pose).sum(-1)
    now = seen.middle()
    keypoints = torch.where(now.confidence[..., None] > 0, now.keypoints, torch.nan)  # no picture of what was not seen
    return lifted_rows(keypoints, (pose * size[:, None, None]).float())
