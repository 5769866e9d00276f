"""A layout: which landmarks the keypoints of a detector or a data set mark.

A keypoint marks a landmark of `lib.pose.landmarks`, or a mixture of several: the 'pelvis' of keypoints that were
converted from COCO's is midway between the hips. Those that there are are in `lib.pose.layouts`.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.landmarks import LANDMARKS, STANDING, side_of, skeleton_of
from lib.pose.skeleton import H36M, Skeleton
from lib.runtime.bounds import one_line, readable_name
from lib.runtime.errors import UserError

Mixture = Mapping[str, float]  # landmark -> weight; the weights add up to 1
LEAST = 1e-6


class Layout:
    """Keypoints in their order; it does not change, and equals another of the same content.

    No dataclass: with mixed precision, lightning-fabric takes those apart that a network is called with.
    """

    def __init__(
        self,
        name: str,
        keypoints: tuple[str, ...],  # their names
        landmarks: tuple[str, ...],  # the landmark that each is read as
        mixtures: tuple[tuple[tuple[str, float], ...], ...],  # what each marks
        spreads: tuple[float, ...],  # metres: standard deviation, along each axis, of where it is from there
    ) -> None:
        self.name, self.keypoints, self.landmarks = name, keypoints, landmarks
        self.mixtures, self.spreads = mixtures, spreads

    @cached_property
    def _content(self) -> tuple[object, ...]:
        return self.name, self.keypoints, self.landmarks, self.mixtures, self.spreads

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Layout) and self._content == other._content)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Layout({self.name}, {len(self)} keypoints)"

    def __len__(self) -> int:
        return len(self.keypoints)

    @cached_property
    def skeleton(self) -> Skeleton:
        """The tree of the keypoints, under the names of their landmarks."""
        return skeleton_of(self.landmarks)

    @cached_property
    def slots(self) -> tuple[int, ...]:
        """The index of each keypoint's landmark."""
        return tuple(LANDMARKS.index(name) for name in self.landmarks)

    @cached_property
    def exact(self) -> bool:
        """Whether the keypoints are Human3.6M's joints themselves."""
        return self.landmarks == H36M.names and all(len(m) == 1 for m in self.mixtures) and not any(self.spreads)

    @cached_property
    def point_mirror(self) -> tuple[int, ...]:
        """The permutation that swaps the sides of a model's points: Human3.6M's joints, and then the keypoints."""
        return (*H36M.mirror, *(len(H36M) + keypoint for keypoint in self.skeleton.mirror))

    @cached_property
    @torch.inference_mode(False)  # what is kept may be used where gradients are
    def mixing(self) -> Float[Tensor, "keypoint landmark"]:
        """What each keypoint marks, as weights of a body's landmarks."""
        weights = torch.zeros(len(self), len(LANDMARKS))
        for row, mixture in zip(weights, self.mixtures, strict=True):
            for name, weight in mixture:
                row[LANDMARKS.index(name)] = weight
        return weights

    def of_joints(self, values: Float[Tensor, "*batch keypoint width"]) -> Float[Tensor, "*batch joint width"]:
        """The values of the keypoints that are read as Human3.6M's joints; 0 where none is read as a joint."""
        if self.landmarks[: len(H36M)] == H36M.names:
            return values[..., : len(H36M), :]
        keypoints = [key for key, slot in enumerate(self.slots) if slot < len(H36M)]
        of_joints = values.new_zeros(*values.shape[:-2], len(H36M), values.shape[-1])
        of_joints[..., [self.slots[key] for key in keypoints], :] = values[..., keypoints, :]
        return of_joints

    def within(self, other: "Layout") -> list[int] | None:
        """Which of another layout's keypoints mark what these mark; None: it does not mark all of it."""
        there = {mixture: number for number, mixture in enumerate(other.mixtures)}
        found = [there.get(mixture) for mixture in self.mixtures]
        return None if None in found else [number for number in found if number is not None]

    def dump(self) -> dict[str, Any]:
        """Plain values, for checkpoints and files."""
        return {
            "name": self.name,
            "keypoints": list(self.keypoints),
            "landmarks": list(self.landmarks),
            "mixtures": [dict(mixture) for mixture in self.mixtures],
            "spreads": list(self.spreads),
        }

    @classmethod
    def load(cls, content: Mapping[str, Any]) -> "Layout":
        """What `dump` gave; raises KeyError, TypeError, ValueError or AttributeError where it is something else."""
        layout = cls(
            content["name"],
            tuple(content["keypoints"]),
            tuple(content["landmarks"]),
            tuple(tuple(mixture.items()) for mixture in content["mixtures"]),
            tuple(content["spreads"]),
        )
        layout._check()
        return layout

    def _check(self) -> None:
        """Refuse what no layout can be; raises ValueError or TypeError."""
        marked = [part for mixture in self.mixtures for part in mixture]
        numbers = [weight for _, weight in marked] + [*self.spreads]
        whole = (
            0 < len(self.keypoints) == len(self.landmarks) == len(self.mixtures) == len(self.spreads)
            and all(map(readable_name, (self.name, *self.keypoints)))
            and {*self.landmarks, *(name for name, _ in marked)} <= {*LANDMARKS}
            and len({*self.landmarks}) == len(self.landmarks)
            and {*map(_mirrored, self.landmarks)} == {*self.landmarks}
            and all(isinstance(number, int | float) and 0 <= number <= 1 for number in numbers)
        )
        if not whole:
            raise ValueError("a layout that marks no body")


def make_layout(name: str, keypoints: Mapping[str, str | Mixture], spread: Mapping[str, float], other: float) -> Layout:
    """A layout from what each keypoint marks: a landmark, or a mixture of them.

    A keypoint that marks a mixture is read as the nearest landmark of a standing body that no other keypoint marks.
    `spread` is in metres by the landmark's name without its side; `other` is that of the rest.

    Raises:
        UserError: a landmark that there is not, a mixture that does not add up to 1, keypoints that mark the same, or
            one without its mirror image.
    """
    mixtures = {key: {what: 1.0} if isinstance(what, str) else dict(what) for key, what in keypoints.items()}
    taken: dict[str, str] = {}
    for key, mixture in mixtures.items():
        unknown = [landmark for landmark in mixture if landmark not in LANDMARKS]
        if unknown:
            raise UserError(
                f"layout {name}: {key} marks {one_line(repr(unknown[0]))}; the landmarks are {', '.join(LANDMARKS)}"
            )
        if not abs(sum(mixture.values()) - 1) <= LEAST:  # nor not a number
            raise UserError(f"layout {name}: the weights of {key} add up to {sum(mixture.values()):g}, not to 1")
        if len(mixture) == 1:
            (landmark,) = mixture
            if landmark in taken:
                raise UserError(f"layout {name}: {key} and {taken[landmark]} both mark {landmark}")
            taken[landmark] = key
    for key, mixture in mixtures.items():
        if len(mixture) > 1:
            # In the body's middle it is read as a landmark of the middle, as its mirror image is.
            middle = abs(_place(mixture)[0]) < LEAST
            free = [
                landmark for landmark in LANDMARKS if landmark not in taken and (STANDING[landmark][0] == 0) == middle
            ]
            if not free:
                raise UserError(f"layout {name}: {key} is one keypoint more than a body has landmarks")
            taken[min(free, key=lambda landmark: math.dist(STANDING[landmark], _place(mixture)))] = key
    read_as = {key: landmark for landmark, key in taken.items()}
    for key, mixture in mixtures.items():
        image = taken.get(_mirrored(read_as[key]))
        if image is None or mixtures[image] != {_mirrored(landmark): w for landmark, w in mixture.items()}:
            raise UserError(
                f"layout {name}: {key} needs a mirror image: a keypoint that marks the same of the other side"
            )
    return Layout(
        name,
        tuple(mixtures),
        tuple(read_as[key] for key in mixtures),
        tuple(tuple(mixture.items()) for mixture in mixtures.values()),
        tuple(spread.get(side_of(read_as[key])[1], other) for key in mixtures),
    )


def _mirrored(landmark: str) -> str:
    side, rest = side_of(landmark)
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, landmark)


def _place(mixture: Mixture) -> list[float]:
    """Where it lies on a standing body."""
    places = [STANDING[landmark] for landmark in mixture]
    return [sum(w * p[axis] for w, p in zip(mixture.values(), places, strict=True)) for axis in range(3)]
