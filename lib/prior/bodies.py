"""Bodies that the prior draws: the lengths of their segments and the directions at rest.

Lengths are in metres, angles in degrees in the tables and in radians in code.

Source: Drillis and Contini (1966), as tabled in Winter, Biomechanics and Motor Control of Human Movement, for a stature
of 1.72 m. Human3.6M's joints are not the tables' landmarks: hip centres lie closer than the bi-trochanteric breadth
(Harrington et al., J. Biomechanics 2007) and shoulder centres closer than the acromia; its spine joint halves the
trunk, and its neck joint lies near the nose. Because that translation is a guess, lengths and rest directions vary
widely from person to person, and training moves the mean lengths.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from lib.pose.landmarks import JOINTS, LANDMARKS, side_of
from lib.pose.skeleton import H36M

SKELETON = H36M  # whose joints the segments end in
SEGMENTS = {  # metres
    "hip": 0.110,
    "thigh": 0.430,
    "shank": 0.430,
    "lower_spine": 0.240,
    "upper_spine": 0.240,
    "neck": 0.120,
    "head": 0.120,
    "shoulder": 0.165,
    "upper_arm": 0.300,
    "forearm": 0.250,
}
# The segment that ends in each joint.
_SEGMENT_OF = {
    "hip": "hip",
    "knee": "thigh",
    "ankle": "shank",
    "spine": "lower_spine",
    "thorax": "upper_spine",
    "neck": "neck",
    "head": "head",
    "shoulder": "shoulder",
    "elbow": "upper_arm",
    "wrist": "forearm",
}
BONE_SEGMENTS = tuple(
    list(SEGMENTS).index(_SEGMENT_OF[SKELETON.names[child].removeprefix("left_").removeprefix("right_")])
    for child, _ in SKELETON.bones
)

# Rest directions in degrees: of the trunk's segments forward from up, of hips and shoulders up from sideways.
TILTS = {"lower_spine": 0.0, "upper_spine": 0.0, "neck": 36.9, "head": -16.3, "hip": 0.0, "shoulder": -6.9}

# Landmarks that are no joints of the skeleton: metres to the left (of the left side), up and forward, in the frame of
# the part of the body that they are on.
# Head: from midway between the joints neck and head. How far nose, eyes, ears, mouth and vertex are from each other is
# from Gordon et al., 1988 Anthropometric Survey of U.S. Army Personnel (the tragion 0.13 below the vertex, the tip of
# the nose 0.12 in front of it, ears 0.15 and pupils 0.064 apart); where they are above the shoulders, from Drillis and
# Contini (vertex 0.182, chin 0.052 statures). Feet: from the ankle; foot length 0.152, ankle height 0.039 statures
# (Winter). Hands hang from the wrist, thumbs forward: knuckles, at half of Winter's hand length of 0.108 statures.
_ON_HEAD = {
    "nose": (0.0, -0.02, 0.065),
    "eye": (0.032, 0.015, 0.035),
    "ear": (0.075, 0.0, -0.055),
    "head_top": (0.0, 0.135, -0.025),
    "eye_inner": (0.016, 0.015, 0.037),
    "eye_outer": (0.046, 0.015, 0.025),
    "mouth": (0.025, -0.055, 0.05),
}
_ON_FOOT = {"heel": (0.0, -0.065, -0.055), "big_toe": (-0.025, -0.07, 0.175), "small_toe": (0.045, -0.075, 0.125)}
_ON_HAND = {"thumb": (-0.015, -0.06, 0.045), "index": (0.0, -0.09, 0.025), "pinky": (0.0, -0.08, -0.04)}
ATTACHED = {**_ON_HEAD, **_ON_FOOT, **_ON_HAND}
ATTACHED_STD = {**dict.fromkeys(_ON_HEAD, 0.01), **dict.fromkeys(_ON_FOOT, 0.012), **dict.fromkeys(_ON_HAND, 0.012)}
HEAD_STD = 0.012  # of where the whole face is on the neck
# The part of the body in whose frame a landmark stays where it is.
_PART_OF = {
    **dict.fromkeys(("pelvis", "hip"), "pelvis"),
    "spine": "lower_trunk",
    **dict.fromkeys(("thorax", "shoulder"), "chest"),
    **dict.fromkeys(("neck", "head", *_ON_HEAD), "head"),
    "knee": "{}_thigh",
    "ankle": "{}_shank",
    "elbow": "{}_upper_arm",
    "wrist": "{}_forearm",
    **dict.fromkeys(_ON_FOOT, "{}_foot"),
    **dict.fromkeys(_ON_HAND, "{}_hand"),
}


def part_of(landmark: str) -> str:
    """The part of the body that a landmark is on."""
    side, rest = side_of(landmark)
    return _PART_OF[rest].format(side)


def attached_offset(landmark: str) -> tuple[float, float, float]:
    """Where a landmark that is no joint lies on its part of the body, in metres."""
    side, rest = side_of(landmark)
    x, y, z = ATTACHED[rest]
    return (-x if side == "right" else x, y, z)


ATTACHED_LANDMARKS = LANDMARKS[JOINTS:]


class Body(NamedTuple):
    """A person: how long each segment is, how far its rest direction is off the table's, and where landmarks are."""

    lengths: Float[Tensor, "*batch segment"]  # metres, in the order of SEGMENTS
    tilts: Float[Tensor, "*batch tilt"]  # radians, in the order of TILTS
    attached: Float[Tensor, "*batch attached 3"]  # metres, in their parts' frames, in the order of ATTACHED_LANDMARKS
