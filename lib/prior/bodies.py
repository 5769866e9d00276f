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

from lib.pose.skeleton import H36M

SKELETON = H36M  # whose joints the body has
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


class Body(NamedTuple):
    """A person: how long each segment is, and how far its rest direction is off the table's."""

    lengths: Float[Tensor, "*batch segment"]  # metres, in the order of SEGMENTS
    tilts: Float[Tensor, "*batch tilt"]  # radians, in the order of TILTS
