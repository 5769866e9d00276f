"""Whether 2D and 3D belong together: wrong units, axes and cameras are refused before anything is trained on them.

3D that is projected with its camera has to land near the 2D. A detector's keypoints are off by a few hundredths of the
body's extent in the picture, in the median; those of another camera, or with axes exchanged, by as much as the body is
large. What is hidden, and frames without 3D, count nothing. A body's size in metres is looked at as well, because a
projection does not depend on it.

A subject is refused if a quarter of its sequences is wrong: data sets have single takes that are (Human3.6M's S9 has
three of 30 whose 3D is shifted).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.data.calibration import detected_joints, only, or_else
from lib.pose.geometry import all_finite
from lib.runtime.errors import UserError
from lib.sources.base import PoseSequence, Recorded

LARGEST = 0.3  # of the body's extent (RMS distance of its keypoints from their mean): the median error in pixels
BODY = (0.15, 0.8)  # metres: RMS distance of a body's keypoints from their mean, in the median over frames
SHARE = 0.25  # of a subject's sequences
FRAMES = 200  # of a sequence that are looked at, evenly spread
LEAST_DEPTH = 1e-3  # metres
LARGEST_NORMALISED = 3.0  # pixels


@dataclass(frozen=True)
class _Looked:
    """Some frames of a sequence."""

    sequence: Recorded
    given: Float[Tensor, "point 2"]  # as the source has them, but for those with confidence 0
    keypoints: Float[Tensor, "frame joint 2"]  # not a number where hidden
    positions: Float[Tensor, "frame joint 3"]

    @classmethod
    def at(cls, sequence: Recorded) -> "_Looked | None":
        """None if nothing is there to look at."""
        whole = None if sequence.complete else sequence.read()
        shown = _shown(whole) if whole else torch.arange(sequence.frames)
        if len(shown) == 0:
            return None
        frames = shown[torch.linspace(0, len(shown) - 1, min(FRAMES, len(shown))).long()]
        some = (whole or sequence).read(frames)
        assert some.positions is not None
        given, confidence = some.keypoints.double(), some.confidence
        keypoints = or_else(given, detected_joints(given, confidence), torch.nan)
        return cls(sequence, only(given, confidence > 0), keypoints, some.positions.double())

    @property
    def name(self) -> str:
        each = self.sequence
        return f"{each.subject}/{each.action}/{each.camera.name}"

    @property
    def behind(self) -> bool:
        """Whether most of the 3D is not in front of the camera."""
        return bool((self.positions[..., 2] < LEAST_DEPTH).double().mean() > 0.5)

    @property
    def size(self) -> float:
        """The RMS distance in metres of the joints from their mean."""
        return float((self.positions - self.positions.mean(1, keepdim=True)).square().sum(-1).mean(-1).sqrt().median())

    def error(self, keypoints: Tensor | None = None, positions: Tensor | None = None) -> float:
        """The median distance of the keypoints from the projections, over the projections' extent."""
        keypoints = self.keypoints if keypoints is None else keypoints
        positions = self.positions if positions is None else positions
        positions = or_else(positions, positions[..., 2] >= LEAST_DEPTH, torch.nan)
        projected = self.sequence.camera.project(positions)
        mean = torch.mean if all_finite(projected) else torch.nanmean
        extent = mean((projected - mean(projected, 1, keepdim=True)).square().sum(-1), -1).sqrt()
        errors = (keypoints - projected).norm(dim=-1) / extent[:, None]
        known = errors if all_finite(errors) else errors[errors.isfinite()]
        return float(known.median()) if len(known) else 0.0  # nothing is known to be wrong


def _shown(sequence: PoseSequence) -> Int[Tensor, " frame"]:
    """The numbers of the frames that have 3D."""
    if sequence.positions is None:
        return torch.arange(0)
    return sequence.positions.isfinite().flatten(1).all(1).nonzero()[:, 0]


def check_reprojection(sequences: Sequence[Recorded]) -> None:
    """Refuse subjects whose 2D is not of their 3D, or whose 3D is not in metres.

    Raises:
        UserError: naming a sequence, what is wrong, as far as it can be told, and what to do.
    """
    tells = (_normalised, _unit, _side, _fit)
    for subject, group in groupby(sorted(sequences, key=lambda s: s.subject), key=lambda s: s.subject):
        own, looked = list(group), 0
        wrong: list[list[Recorded]] = [[] for _ in tells]
        for sequence in own:
            if found := _Looked.at(sequence):
                looked += 1
                for tell, which in zip(tells, wrong, strict=True):
                    if tell(found, ()):
                        which.append(sequence)
        for tell, which in zip(tells, wrong, strict=True):
            if len(which) > SHARE * looked and (first := _Looked.at(which[0])):
                same_take = [found for s in own if s.action == which[0].action and (found := _Looked.at(s))]
                raise UserError(
                    f"2D and 3D do not belong together in {len(which)} of {looked} sequences of {subject}, such "
                    f"as {first.name}: {tell(first, same_take)}"
                )


def _normalised(looked: _Looked, _: Sequence[_Looked]) -> str | None:
    given = looked.given
    if len(given) and LARGEST_NORMALISED < given.abs().max() < torch.inf:  # as pixels are: all are finite then
        return None
    given = given[given.isfinite().all(-1) & (given != 0).any(-1)]
    if len(given) == 0 or given.abs().max() > LARGEST_NORMALISED:
        return None
    low, high = float(given.min()), float(given.max())
    return f"the 2D lies between {low:.3g} and {high:.3g}: it seems to be normalised, give pixels"


def _unit(looked: _Looked, _: Sequence[_Looked]) -> str | None:
    size, (low, high) = looked.size, BODY
    if low <= size <= high:
        return None
    units = {1e-3: "millimetres", 1e-2: "centimetres", 0.0254: "inches"}
    guess = next((name for factor, name in units.items() if low <= size * factor <= high), None)
    what = f"the 3D seems to be in {guess}" if guess else "the 3D is in another unit, or no body"
    return f"{what} (its joints are {size:.3g} m from their middle, root mean square): give metres"


def _side(looked: _Looked, _: Sequence[_Looked]) -> str | None:
    if looked.behind:
        return "the 3D lies behind the camera: give it in the camera's frame (x right, y down, z forward)"
    return None


def _fit(looked: _Looked, same_take: Sequence[_Looked]) -> str | None:
    """What is wrong with a sequence whose 2D is not where its 3D is; the take's other cameras may tell."""
    error = looked.error()
    if error <= LARGEST:
        return None
    keypoints, (width, height) = looked.keypoints, looked.sequence.camera.size
    size = keypoints.new_tensor([width, height])
    guesses: dict[str, Callable[[], Tensor]] = {
        "x and y of the 2D seem to be exchanged": lambda: keypoints.flip(-1),
        "y of the 2D seems to count upwards": lambda: torch.stack([keypoints[..., 0], height - keypoints[..., 1]], -1),
        "the 2D seems to be mirrored": lambda: torch.stack([width - keypoints[..., 0], keypoints[..., 1]], -1),
        "the 2D seems to be of a picture of half the size": lambda: keypoints * 2,
        "the 2D seems to be of a picture of twice the size": lambda: keypoints / 2,
        "the 2D seems to be counted from the picture's middle": lambda: keypoints + size / 2,
    }
    for what, changed in guesses.items():
        if looked.error(changed()) <= LARGEST:
            return f"{what}: give pixels from the upper left corner, x to the right, y down"
    for other in same_take:
        same = other.sequence is not looked.sequence and len(other.positions) == len(looked.positions)
        if same and other.error(keypoints=keypoints) <= LARGEST:
            return (
                f"its 2D is where camera {other.sequence.camera.name} sees the 3D: the cameras seem to be in another "
                "order than their 2D"
            )
    if looked.error(positions=looked.positions * looked.positions.new_tensor([1, -1, 1])) <= LARGEST:
        return "the 3D seems to have y up: give it in the camera's frame (x right, y down, z forward)"
    return (
        f"the 2D is off by {error:.2g} times the body's extent where its camera sees the 3D (up to {LARGEST:g} is "
        "allowed): look at the camera (data.cameras), the order of frames, and the layout (data.layout)"
    )
