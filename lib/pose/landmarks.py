"""The landmarks of a body: everything that a keypoint of any layout may mark, in one order.

The first are Human3.6M's 17 joints. The others are points of the face, the feet and the hands. A model reads keypoints
as landmarks, whatever the layout they come in (`lib.pose.layouts`): one that a layout does not mark is hidden.
"""

from functools import cache

from lib.pose.skeleton import H36M, Skeleton

_OTHERS = (
    "nose",
    *(f"{side}_{name}" for name in ("eye", "ear") for side in ("left", "right")),
    "head_top",
    *(f"{side}_{name}" for side in ("left", "right") for name in ("eye_inner", "eye_outer", "mouth")),
    *(f"{side}_{name}" for side in ("left", "right") for name in ("heel", "big_toe", "small_toe")),
    *(f"{side}_{name}" for side in ("left", "right") for name in ("thumb", "index", "pinky")),
)
LANDMARKS = H36M.names + _OTHERS
JOINTS = len(H36M)  # the landmarks that come first

# Where landmarks are on a standing body, to find what lies near a mixture: metres from the pelvis to the left (of the
# left side), up and forward.
_MIDDLE = {
    "pelvis": (0.0, 0.0, 0.0),
    "spine": (0.0, 0.24, 0.0),
    "thorax": (0.0, 0.48, 0.0),
    "neck": (0.0, 0.58, 0.07),
    "head": (0.0, 0.69, 0.04),
    "nose": (0.0, 0.61, 0.12),
    "head_top": (0.0, 0.77, 0.03),
}
_SIDE = {
    "hip": (0.11, 0.0, 0.0),
    "knee": (0.11, -0.43, 0.0),
    "ankle": (0.11, -0.86, 0.0),
    "shoulder": (0.16, 0.46, 0.0),
    "elbow": (0.19, 0.16, 0.0),
    "wrist": (0.21, -0.09, 0.03),
    "eye": (0.03, 0.66, 0.09),
    "ear": (0.075, 0.64, 0.0),
    "eye_inner": (0.016, 0.66, 0.09),
    "eye_outer": (0.046, 0.66, 0.08),
    "mouth": (0.025, 0.58, 0.11),
    "heel": (0.11, -0.92, -0.05),
    "big_toe": (0.09, -0.93, 0.17),
    "small_toe": (0.15, -0.93, 0.12),
    "thumb": (0.19, -0.15, 0.08),
    "index": (0.21, -0.18, 0.06),
    "pinky": (0.21, -0.17, -0.01),
}

# What a landmark hangs on in a picture: the first of these that a layout has. {} is the landmark's own side.
_PARENTS = {
    "hip": ("pelvis", "{}_shoulder"),
    "knee": ("{}_hip",),
    "ankle": ("{}_knee",),
    "spine": ("pelvis",),
    "thorax": ("spine", "pelvis"),
    "neck": ("thorax",),
    "head": ("neck", "thorax"),
    "shoulder": ("thorax", "neck", "nose", "head", "pelvis"),
    "elbow": ("{}_shoulder",),
    "wrist": ("{}_elbow",),
    "nose": ("neck", "thorax"),
    "eye_inner": ("nose",),
    "eye": ("{}_eye_inner", "nose"),
    "eye_outer": ("{}_eye", "nose"),
    "ear": ("{}_eye_outer", "{}_eye", "nose"),
    "head_top": ("head", "neck", "nose", "thorax"),
    "mouth": ("nose",),
    "heel": ("{}_ankle",),
    "big_toe": ("{}_ankle",),
    "small_toe": ("{}_big_toe", "{}_ankle"),
    "thumb": ("{}_wrist",),
    "index": ("{}_wrist",),
    "pinky": ("{}_wrist",),
}
# The joint with which a landmark moves.
_JOINT_OF = {
    **dict.fromkeys(("nose", "mouth"), "neck"),
    **dict.fromkeys(("eye", "ear", "head_top", "eye_inner", "eye_outer"), "head"),
    **dict.fromkeys(("heel", "big_toe", "small_toe"), "{}_ankle"),
    **dict.fromkeys(("thumb", "index", "pinky"), "{}_wrist"),
}


def side_of(name: str) -> tuple[str, str]:
    """'left_knee' -> ('left', 'knee'); landmarks in the middle of the body have the side ''."""
    side, _, rest = name.partition("_")
    return (side, rest) if side in ("left", "right") else ("", name)


def _joint(name: str) -> int:
    side, rest = side_of(name)
    return H36M.index(name) if name in H36M.names else H36M.index(_JOINT_OF[rest].format(side))


def _place(name: str) -> tuple[float, float, float]:
    side, rest = side_of(name)
    x, y, z = _SIDE[rest] if side else _MIDDLE[name]
    return (-x if side == "right" else x, y, z)


STANDING = {name: _place(name) for name in LANDMARKS}
JOINT_OF = tuple(_joint(name) for name in LANDMARKS)  # the joint with which each landmark moves


@cache
def skeleton_of(names: tuple[str, ...]) -> Skeleton:
    """The tree of some landmarks, in their order: each hangs on the nearest of the others.

    What has nothing to hang on hangs on the root: the pelvis if it is there, else the first such landmark.
    """
    parents = []
    for name in names:
        side, rest = side_of(name)
        above = [parent.format(side) for parent in _PARENTS.get(rest, ())]
        parents.append(next((names.index(parent) for parent in above if parent in names), -1))
    orphans = [index for index, parent in enumerate(parents) if parent < 0]
    root = names.index("pelvis") if "pelvis" in names else orphans[0]
    for orphan in orphans:
        parents[orphan] = -1 if orphan == root else root
    return Skeleton(names, tuple(parents))


BODY = skeleton_of(LANDMARKS)
