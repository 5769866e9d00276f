"""What masked modelling hides: joints, frames, or tubelets (some frames of a joint's path)."""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from lib.pose.skeleton import Skeleton
from lib.runtime.errors import UserError
from lib.runtime.params import Section

Kind = Literal["joints", "frames", "tubelets"]
AnyKind = Kind | Literal["mixed"]
KINDS: tuple[Kind, ...] = ("joints", "frames", "tubelets")
Share = Annotated[float, Field(ge=0, lt=1)]


class MaskingParams(Section):
    """`masking`: what the objectives mask_2d and mask_3d hide."""

    kind: AnyKind  # mixed: each window one of them
    ratio: tuple[Share, Share]  # of a window: in the first epoch, and in the last, linear between
    tubelet_frames: Annotated[int, Field(ge=1, le=512)]
    # Standard deviation of what is added to what stays visible, in crop units.
    noise_std: Annotated[float, Field(ge=0, le=1)]

    def ratio_at(self, progress: float) -> float:
        """The ratio after a part (0 to 1) of the training."""
        first, last = self.ratio
        return first + (last - first) * min(max(progress, 0.0), 1.0)


def check_masking(params: MaskingParams, frames: int) -> None:
    """Refuse to hide the only frame there is.

    Raises:
        UserError: naming the keys.
    """
    if params.kind == "frames" and frames == 1 and max(params.ratio) > 0:
        raise UserError("params.yaml: masking.kind = 'frames' needs data.window.frames above 1: nothing would be left")


def kinds_of(frames: int) -> tuple[Kind, ...]:
    """What can be hidden in windows: of a single frame, joints."""
    return KINDS if frames > 1 else KINDS[:1]


def hide(
    kind: AnyKind,
    ratio: float,
    tubelet_frames: int,
    shape: tuple[int, int],
    skeleton: Skeleton,
    generator: torch.Generator,
) -> Bool[Tensor, "window frame joint"]:
    """Which points of windows are hidden: True where they are; `shape` is the number of windows and of their frames.

    Each window has the same number of joints, frames or tubelets hidden, the share nearest to `ratio`, at least one
    unless it is 0, and never all. The root, where crops have their origin, is hidden only where its whole frame is.
    """
    windows, frames = shape
    if kind == "mixed":
        kinds = kinds_of(frames)
        chosen = torch.randint(len(kinds), (windows, 1, 1), generator=generator, device=generator.device)
        hidden = torch.zeros(windows, frames, len(skeleton), dtype=torch.bool, device=generator.device)
        for number, one in enumerate(kinds):
            part = hide(one, ratio, tubelet_frames, shape, skeleton, generator)
            hidden = torch.where(chosen == number, part, hidden)
        return hidden
    if kind == "frames":
        return _some(windows, frames, ratio, generator)[..., None].expand(-1, -1, len(skeleton))
    others = [joint for joint in range(len(skeleton)) if joint != skeleton.root]
    patches = 1 if kind == "joints" else math.ceil(frames / tubelet_frames)
    tubelets = _some(windows, patches * len(others), ratio, generator).unflatten(1, (patches, -1))
    hidden = torch.zeros(windows, frames, len(skeleton), dtype=torch.bool, device=generator.device)
    length = frames if kind == "joints" else tubelet_frames
    hidden[..., others] = tubelets.repeat_interleave(length, 1)[:, :frames]
    return hidden


def _some(windows: int, options: int, ratio: float, generator: torch.Generator) -> Bool[Tensor, "window option"]:
    """The same number of options chosen for each window."""
    count = min(max(round(ratio * options), 1), options - 1) if ratio > 0 else 0
    order = torch.rand(windows, options, generator=generator, device=generator.device).argsort(1).argsort(1)
    return order < count
