"""How much a lifter's error depends on when frames are taken: the same motion at other rates and at uneven times.

The true 3D of a split is resampled, projected exactly and lifted. Its errors are compared with those of the split's own
frames, which are put on straight lines in time to the same instants.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.split import Split, labelled_only
from lib.evaluation.lifting import MM
from lib.evaluation.metrics import p_mpjpe
from lib.experiments.variants import PER_WINDOW
from lib.inference.lifter import Lifter
from lib.pose.geometry import project, root_centred
from lib.runtime.errors import UserError

RATES = (24.0, 25.0, 30.0, 60.0, 100.0, 120.0, 240.0)  # frames a second
JITTER, DROPPED = 0.3, 0.1  # uneven: every time off by up to this share of the distance of frames, and frames missing
COLUMNS = ("frames a second", "frames", "per-window", "own frames", "ratio", "refined", "own frames", "ratio")
CHUNK = 1 << 16  # frames


class Resampled(NamedTuple):
    """A split at other instants, without any 2D but exact projections."""

    split: Split
    place: Float[Tensor, " frame"]  # of each instant among the original frames: their number, with fractions


class Compared(NamedTuple):
    """Mean P-MPJPE in mm over the instants of a resampled split, and over the same instants of the original."""

    name: str
    frames: int
    errors: tuple[tuple[float, float], ...]  # per-window, and with what evaluation does to whole sequences

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of a table with COLUMNS."""
        cells = (f"{one:.2f} {own:.2f} {one / own:.3f}".split() for one, own in self.errors)
        return (self.name, f"{self.frames:,}", *sum(cells, []))


def frame_rates(lifter: Lifter, split: Split, lifting: Mapping[str, Any], seed: int) -> Iterator[Compared]:
    """Compare lifting at RATES, and at uneven times that a seed decides, with lifting all frames of a split.

    Raises:
        UserError: the split has no 3D, or frame times of its own.
    """
    split = labelled_only(split)
    if split.positions is None or split.times is not None:
        raise UserError("frame rates are measured on sequences with 3D at constant rates: this source has none")
    ways = ({**lifting, **PER_WINDOW}, lifting)
    exact = replace(split, rays=project(split.positions), confidence=torch.ones_like(split.confidence))
    own = [_errors(lifter, exact, way) for way in ways]
    generator = torch.Generator().manual_seed(seed)
    for name, rate in (*((f"{rate:g}", rate) for rate in RATES), ("uneven", None)):
        other, place = resampled(split, rate, generator)
        pairs = zip((_errors(lifter, other, way) for way in ways), (_at(errors, place) for errors in own), strict=True)
        yield Compared(name, len(place), tuple((float(one.mean()), float(at.mean())) for one, at in pairs))


def resampled(split: Split, rate: float | None, generator: torch.Generator) -> Resampled:
    """A split with 3D at another rate, or (None) at uneven times around its own frames', some of which are missing."""
    assert split.positions is not None
    places, times, positions, fps = [], [], [], []
    for start, length, own in split.table[["start", "length", "fps"]].itertuples(index=False):
        number = torch.arange(int(length), dtype=torch.float64)
        if rate is None:
            off = JITTER * (2 * torch.rand(number.shape, generator=generator, dtype=torch.float64) - 1)
            kept = torch.rand(number.shape, generator=generator) >= DROPPED
            kept[0] = True
            place = (number + off)[kept].clamp(0, int(length) - 1)
        else:
            place = torch.arange(int((length - 1) / own * rate + 1e-9) + 1) * (own / rate)
        places.append(place + int(start))
        times.append((place - place[0]) / own)
        positions.append(_spline(split.positions[int(start) : int(start + length)], place))
        fps.append(rate or own)
    lengths = torch.tensor([len(part) for part in places])
    table = split.table.assign(start=(lengths.cumsum(0) - lengths).numpy(), length=lengths.numpy(), fps=fps)
    joints = torch.cat(positions)
    rays = project(joints)
    clock = torch.cat(times) if rate is None else None
    return Resampled(
        Split(split.layout, table, rays, torch.ones_like(rays[..., 0]), rays, joints, clock), torch.cat(places)
    )


def _spline(values: Float[Tensor, "frame joint coord"], place: Float[Tensor, " instant"]) -> Tensor:
    """Values between evenly spaced frames, by the cubic spline of E. Catmull and R. Rom, 1974."""
    last = len(values) - 1
    at = place.long().clamp(0, max(last - 1, 0))
    part = (place - at).to(values)[:, None, None]
    before, first, second, after = (values[(at + step).clamp(0, last)] for step in (-1, 0, 1, 2))
    bend = 2 * before - 5 * first + 4 * second - after
    return first + part / 2 * (second - before + part * (bend + part * (3 * (first - second) + after - before)))


def _errors(lifter: Lifter, split: Split, way: Mapping[str, Any]) -> Float[Tensor, " frame"]:
    """P-MPJPE of every frame in mm."""
    assert split.positions is not None
    target = MM * root_centred(split.positions, split.skeleton)
    chunks = zip(lifter.lift(split, **way).keypoints.split(CHUNK), target.split(CHUNK), strict=True)
    return torch.cat([p_mpjpe(*chunk).mean(-1) for chunk in chunks])


def _at(errors: Float[Tensor, " frame"], place: Float[Tensor, " instant"]) -> Float[Tensor, " instant"]:
    """Errors on straight lines between frames."""
    first = place.long()
    second = (first + 1).clamp_max(len(errors) - 1)
    line: Tensor = torch.lerp(errors[first], errors[second], (place - first).to(errors))
    return line
