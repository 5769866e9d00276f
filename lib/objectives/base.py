"""What the training loop asks of an objective, and what objectives share.

Objectives are handed clips of rays (`lib.data.windows.WindowBatch`), with positions only where they claim labels, and
yield steps: functions of a model that return named terms. They hand out data and draw nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.data.masked_windows import Reconstruction
from lib.data.masking import MaskingParams
from lib.data.split import Split
from lib.data.transforms import InputPipeline
from lib.data.windows import WindowBatch, WindowParams
from lib.models.lifters import LifterModel, lift_poses
from lib.objectives.losses import LossParams
from lib.pose.geometry import bone_lengths
from lib.pose.landmarks import JOINTS
from lib.pose.skeleton import H36M, Skeleton
from lib.prior.sampler import PosePrior

REFRESH = 40  # steps that work with the same clips
Terms = dict[str, Tensor]
Step = Callable[[Any], Terms]  # the unweighted terms of one step of a model


class LiftedExamples(NamedTuple):
    """Single frames and the poses that a model lifts them to, on the CPU."""

    skeleton: Skeleton  # of the keypoints; that of the poses is Human3.6M's
    keypoints: Float[Tensor, "shown keypoint 2"]  # in units of the crop; not a number where hidden
    poses: Float[Tensor, "shown joint 3"]  # root-centred, metres, as a camera sees them that looks at the root


Examples = LiftedExamples | Reconstruction


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

    def before_epoch(self, teacher: Any, clips: Iterator[WindowBatch], epoch: int) -> None:
        """What there is to do before an epoch of training."""
        ...

    def for_validation(self) -> "Objective":
        """What held-out clips are measured with: the same every time, whatever training has seen."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it has learned, as plain values and tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Know what another one has learned by the time of its state."""
        ...

    def learned_together(self) -> list[Tensor]:
        """What it learns before epochs that all shards of a run have in common: they are given the mean of it."""
        ...

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """What is minimised."""
        ...

    def examples(self, model: Any, clips: WindowBatch) -> Examples:
        """What a model makes of the windows in the middle of a few clips."""
        ...


class Batches(NamedTuple):
    """How many windows a step has."""

    real: int
    drawn: int
    prior_epochs: int  # first epochs, whose windows are all drawn


@dataclass(frozen=True)
class ObjectiveContext:
    """What objectives are made of; each takes what it needs."""

    train: Split  # the training subjects; with positions only for objectives that claim labels
    inputs: InputPipeline
    prior: PosePrior
    losses: LossParams
    masking: MaskingParams | None  # of objectives that mask
    batches: Batches
    epochs: int
    constant_bone_lengths: bool  # of the teacher's poses
    seed: int
    device: torch.device


def random_windows(
    detected: Bool[Tensor, "clip length"], window: WindowParams, count: int, run: int, generator: torch.Generator
) -> tuple[Int[Tensor, "window run"], Int[Tensor, "window run frame"]]:
    """Random windows of clips, `run` successive ones each: their clips, and their frames in them.

    Their middle frames show somebody: where drawn ones do not, the nearest of their clip that do take their place. Of
    clips that have none, nothing is drawn, unless there are no others.
    """
    length = detected.shape[1]
    device, half = detected.device, window.frames // 2
    last = length - (window.frames - 1 - half) - run
    first = torch.randint(half, last + 1, (count, 1), generator=generator, device=device)
    starts = torch.arange(half, last + 1, device=device)
    fit = detected.unfold(1, run, 1).all(-1)[:, half : last + 1]
    some = fit.any(1) if fit.any() else torch.ones_like(fit[:, 0])
    clip = some.nonzero()[torch.randint(int(some.sum()), (count,), generator=generator, device=device)]
    far = (first - starts).abs() + length * ~fit[clip[:, 0]]
    first = starts[far.argmin(1, keepdim=True)]
    middle = first + torch.arange(run, device=device)
    index = middle[..., None] + window.offsets.to(device)
    return clip.expand(-1, run), index


@torch.inference_mode()
def lifted_examples(model: LifterModel, clips: WindowBatch, inputs: InputPipeline, body_size: float) -> LiftedExamples:
    """The windows in the middle of clips, and the poses that they are lifted to, of one body size (metres)."""
    rays = inputs.rays(clips)
    frames = rays.std.shape[1] // 2 + inputs.window.offsets
    crops = inputs.crops(rays.take((slice(None), frames)))
    pose = lift_poses(model, crops, flip=False).points[:, :JOINTS]
    poses = (pose * (body_size / bone_lengths(pose, H36M).sum(-1))[:, None, None]).float()
    now = crops.middle()
    keypoints = torch.where(now.confidence[..., None] > 0, now.keypoints, torch.nan)  # no picture of what was not seen
    return LiftedExamples(inputs.layout.skeleton, keypoints.cpu(), poses.cpu())
