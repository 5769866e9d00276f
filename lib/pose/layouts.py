"""Layouts: which landmarks the keypoints of a detector or a data set mark, and how surely that is known.

A keypoint marks a landmark of `lib.pose.landmarks`, or a mixture of several: the 'pelvis' of keypoints that were
converted from COCO's is midway between the hips. What detectors mark is learned from people's clicks and is no joint
centre: systematic differences of detectors' hips and knees from joint centres are 30 to 50 mm, of other joints less
(Needham et al., Scientific Reports 2021). So keypoints have a spread, which the prior draws from.

To add a layout, add an entry to LAYOUTS or FURTHER_LAYOUTS, or write it in YAML (`read_layout`).
"""

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.landmarks import LANDMARKS, STANDING, side_of, skeleton_of
from lib.pose.skeleton import H36M, Skeleton
from lib.runtime import plain_yaml
from lib.runtime.bounds import one_line, readable_name
from lib.runtime.errors import UserError

Mixture = Mapping[str, float]  # landmark -> weight; the weights add up to 1
LEAST = 1e-6
EXACT = 0.0  # metres
_DETECTED = {"hip": 0.03, "knee": 0.02, "shoulder": 0.02, "nose": 0.01, "eye": 0.01, "ear": 0.01}  # metres
_OTHER_DETECTED = 0.015
_CAPTURED = {"hip": 0.02, "head": 0.03, "head_top": 0.02, "neck": 0.03, "thorax": 0.03, "spine": 0.03, "pelvis": 0.03}
_OTHER_CAPTURED = 0.015
_DESCRIBED = 0.015  # of keypoints that a user describes


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


def read_layout(path: Path) -> Layout:
    """A layout from YAML: `keypoints` maps each keypoint's name to a landmark, or to landmarks and their weights.

    Raises:
        UserError: the file is missing, or not as it should be.
    """
    if not path.is_file():
        known = ", ".join(LAYOUTS | FURTHER_LAYOUTS)
        raise UserError(f"{path} is missing: name one of {known}, or a YAML file that describes a layout")
    content = plain_yaml.load(path)
    keypoints = content.get("keypoints") if isinstance(content, dict) else None
    if not isinstance(keypoints, dict) or not keypoints:
        raise UserError(f"{path}: must have `keypoints`, which maps the name of each keypoint to the landmark it marks")
    for key, what in keypoints.items():
        weights = what.values() if isinstance(what, dict) else ()
        if not isinstance(what, str | dict) or not all(isinstance(w, int | float) for w in weights):
            raise UserError(f"{path}: {key} must be a landmark, or a mapping of landmarks to weights")
        if not readable_name(key):
            raise UserError(f"{path}: the name {one_line(repr(key))} must be plain text")
        if not all(0 <= w <= 1 for w in weights):
            raise UserError(f"{path}: the weights of {key} must be from 0 to 1")
    mixtures = {
        key: what if isinstance(what, str) else {name: float(weight) for name, weight in what.items()}
        for key, what in keypoints.items()
    }
    return make_layout(path.stem, mixtures, {}, _DESCRIBED)


def _sides(pattern: str, *names: str) -> list[str]:
    return [pattern.format(name) for name in names]


def _plain(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _middle(what: str) -> dict[str, float]:
    return {f"left_{what}": 0.5, f"right_{what}": 0.5}


_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_PAIRS = tuple(f"{side}_{name}" for name in _LIMBS for side in ("left", "right"))
_COCO = _plain(*_FACE, *_PAIRS)
_ARM, _LEG, _FOOT = _LIMBS[:3], _LIMBS[3:], ("big_toe", "small_toe", "heel")
_SPINE = {name: 0.25 for name in ("left_hip", "right_hip", "left_shoulder", "right_shoulder")}

_DETECTORS: dict[str, dict[str, str | Mixture]] = {
    "coco": {**_COCO},
    "body_25": {
        "nose": "nose",
        "neck": _middle("shoulder"),
        **_plain(*_sides("right_{}", *_ARM), *_sides("left_{}", *_ARM)),
        "mid_hip": _middle("hip"),
        **_plain(*_sides("right_{}", *_LEG), *_sides("left_{}", *_LEG)),
        **_plain(
            "right_eye", "left_eye", "right_ear", "left_ear", *_sides("left_{}", *_FOOT), *_sides("right_{}", *_FOOT)
        ),
    },
    "halpe_26": {
        **_COCO,
        "head": "head_top",
        "neck": _middle("shoulder"),
        "hip": _middle("hip"),
        **_plain(*(f"{side}_{name}" for name in _FOOT for side in ("left", "right"))),
    },
    "mediapipe_33": {
        "nose": "nose",
        **_plain(
            *_sides("left_{}", "eye_inner", "eye", "eye_outer"), *_sides("right_{}", "eye_inner", "eye", "eye_outer")
        ),
        **_plain("left_ear", "right_ear", "left_mouth", "right_mouth"),
        **_plain(*(f"{side}_{name}" for name in (*_ARM, "pinky", "index", "thumb") for side in ("left", "right"))),
        **_plain(*(f"{side}_{name}" for name in (*_LEG, "heel") for side in ("left", "right"))),
        "left_foot_index": "left_big_toe",
        "right_foot_index": "right_big_toe",
    },
    # COCO's keypoints in Human3.6M's order, as they are usually converted
    "h36m_from_coco": {
        "pelvis": _middle("hip"),
        **_plain(*_sides("right_{}", *_LEG), *_sides("left_{}", *_LEG)),
        "spine": _SPINE,
        "thorax": _middle("shoulder"),
        "neck": "nose",
        "head": _middle("eye"),
        **_plain(*_sides("left_{}", *_ARM), *_sides("right_{}", *_ARM)),
    },
}
_H36M = (
    "pelvis",
    *_sides("right_{}", *_LEG),
    *_sides("left_{}", *_LEG),
    *("spine", "thorax", "neck", "head"),
    *_sides("left_{}", *_ARM),
    *_sides("right_{}", *_ARM),
)
_CAPTURE_SYSTEMS: dict[str, dict[str, str | Mixture]] = {
    "mpi_inf_3dhp": {
        "head_top": "head_top",
        "neck": {"thorax": 0.7, "neck": 0.3},
        **_plain(
            *_sides("right_{}", *_ARM), *_sides("left_{}", *_ARM), *_sides("right_{}", *_LEG), *_sides("left_{}", *_LEG)
        ),
        "pelvis": {"pelvis": 0.8, "spine": 0.2},
        "spine": "spine",
        "head": {"neck": 0.5, "head": 0.5},
    },
    "humaneva_15": {
        **_plain("pelvis", "thorax", *_sides("left_{}", *_ARM), *_sides("right_{}", *_ARM)),
        **_plain(*_sides("left_{}", *_LEG), *_sides("right_{}", *_LEG)),
        "head": {"head": 0.5, "head_top": 0.5},
    },
}
LAYOUTS: dict[str, Layout] = {
    "h36m": make_layout("h36m", _plain(*_H36M), {}, EXACT),
    **{name: make_layout(name, table, _DETECTED, _OTHER_DETECTED) for name, table in _DETECTORS.items()},
    **{name: make_layout(name, table, _CAPTURED, _OTHER_CAPTURED) for name, table in _CAPTURE_SYSTEMS.items()},
}
H36M_LAYOUT = LAYOUTS["h36m"]
# More that data may have. Training does not draw them for data of another layout.
_FURTHER: dict[str, dict[str, str | Mixture]] = {
    # OpenPose's model of COCO
    "coco_18": {
        "nose": "nose",
        "neck": _middle("shoulder"),
        **_plain(*_sides("right_{}", *_ARM), *_sides("left_{}", *_ARM)),
        **_plain(*_sides("right_{}", *_LEG), *_sides("left_{}", *_LEG)),
        **_plain("right_eye", "left_eye", "right_ear", "left_ear"),
    },
    # OpenPose's experimental BODY_25B: other points than BODY_25, in another order
    "body_25b": {
        **_COCO,
        "neck": {"thorax": 0.5, "neck": 0.5},
        "head_top": "head_top",
        **_plain(*_sides("left_{}", *_FOOT), *_sides("right_{}", *_FOOT)),
    },
}
FURTHER_LAYOUTS: dict[str, Layout] = {
    name: make_layout(name, table, _DETECTED, _OTHER_DETECTED) for name, table in _FURTHER.items()
}


def layout_named(name: str, folder: Path = Path()) -> Layout:
    """One of LAYOUTS or of FURTHER_LAYOUTS, or one of a user's own: a YAML file in a folder.

    Raises:
        UserError: there is no such layout or file, or the file is not as it should be.
    """
    known = LAYOUTS | FURTHER_LAYOUTS
    return known[name] if name in known else read_layout(folder / name)


def known_layouts(own: Layout) -> tuple[Layout, ...]:
    """All layouts that there are, and one's own if it is another."""
    known = tuple(LAYOUTS.values())
    return known if own in known else (*known, own)
