"""What stands where nothing was seen: straight lines in time between the frames in which something was."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.sequences.noise import Timing


def interpolated(
    points: Float[Tensor, "batch frame joint coord"],
    confidence: Float[Tensor, "batch frame joint"],
    fallback: Float[Tensor, "joint coord"],
    times: Float[Tensor, " frame"] | None = None,
) -> Float[Tensor, "batch frame joint coord"]:
    """Hidden points on the straight line between a joint's visible frames; constant beyond the first and the last.

    A joint that no frame shows is where `fallback` has it. `times` are those of the frames, in seconds from any start;
    without them frames are evenly spaced.
    """
    seen = confidence > 0
    frames = seen.shape[1]
    number = torch.arange(frames, device=seen.device)[:, None].expand_as(seen)
    before = torch.where(seen, number, -1).cummax(1).values
    after = torch.where(seen, number, frames).flip(1).cummin(1).values.flip(1)
    first, last = before.clamp_min(0), after.clamp_max(frames - 1)
    first, last = torch.where(before < 0, last, first), torch.where(after >= frames, first, last)
    clock = torch.arange(frames, device=seen.device) if times is None else (times - times[:1]).to(points)
    passed, whole = clock[number] - clock[first], clock[last] - clock[first]
    part = (passed / torch.where(whole > 0, whole, 1)).to(points)[..., None]
    at_first, at_last = (points.gather(1, index[..., None].expand_as(points)) for index in (first, last))
    line = at_first + part * (at_last - at_first)
    filled: Tensor = torch.where(seen.any(1, keepdim=True)[..., None], line, fallback)
    return filled


def fill_frames(
    values: Float[Tensor, "frame joint coord"], known: Bool[Tensor, " frame"], timing: Timing
) -> Float[Tensor, "frame joint coord"]:
    """Put straight lines in time in place of the frames that are not known, within sequences that lie back to back.

    A sequence of which no frame is known stays as it is.
    """
    if known.all():
        return values
    parts = []
    for part, seen, times in zip(timing.split(values), timing.split(known), timing.clocks, strict=True):
        among = seen[None, :, None].expand(1, *part.shape[:2]).to(part)
        line = interpolated(part[None], among, torch.zeros_like(part[0]), times)[0]
        parts.append(torch.where(seen[:, None, None] | ~seen.any(), part, line))
    return torch.cat(parts)
