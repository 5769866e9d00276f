"""The layouts that there are: what detectors and data sets mark, and how surely that is known.

What detectors mark is learned from people's clicks and is no joint
centre: systematic differences of detectors' hips and knees from joint centres are 30 to 50 mm, of other joints less
(Needham et al., Scientific Reports 2021). So keypoints have a spread, which the prior draws from.

To add a layout, add an entry to LAYOUTS or FURTHER_LAYOUTS, or write it in YAML (`read_layout`).
"""

from pathlib import Path

from lib.pose.layout import Layout, Mixture, make_layout
from lib.runtime import plain_yaml
from lib.runtime.bounds import one_line, readable_name
from lib.runtime.errors import UserError
from lib.runtime.files import require_file

EXACT = 0.0  # metres
_DETECTED = {"hip": 0.03, "knee": 0.02, "shoulder": 0.02, "nose": 0.01, "eye": 0.01, "ear": 0.01}  # metres
_OTHER_DETECTED = 0.015
_CAPTURED = {"hip": 0.02, "head": 0.03, "head_top": 0.02, "neck": 0.03, "thorax": 0.03, "spine": 0.03, "pelvis": 0.03}
_OTHER_CAPTURED = 0.015
_DESCRIBED = 0.015  # of keypoints that a user describes


def read_layout(path: Path) -> Layout:
    """A layout from YAML: `keypoints` maps each keypoint's name to a landmark, or to landmarks and their weights.

    Raises:
        UserError: the file is missing, or not as it should be.
    """
    require_file(path, f"name one of {', '.join(LAYOUTS | FURTHER_LAYOUTS)}, or a YAML file that describes a layout")
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
