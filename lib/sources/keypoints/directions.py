"""Which way people are in the picture: heads up, and their left where it is when they face as their feet point.

Mirrored keypoints with their names as they were are a body's that has left and right exchanged: whose left is on the
picture's right where its toes point away from the camera. A camera stands higher than the feet before it, so that toes
are lower in the picture than heels when they point to it. Without feet nothing tells that is sure: a face is turned
away as often as knees are straight, detectors are as sure of a face seen from behind, and who gets larger may walk
backwards. In real detections of 15 people `chirality` is 0.5 to 1, and the opposite where x is mirrored.
"""

import numpy as np
from jaxtyping import Float

from lib.pose.layout import Layout
from lib.sources.keypoints.detections import Array
from lib.sources.keypoints.layout import LOOKED_AT

MIRRORED = -0.4  # a chirality that no real one has
_CONSTANT = 0.7  # length of the mean unit vector to people's heads, from which on a video has a direction of its own
_SIDEWAYS = 0.5  # of it that points up, below which people lie
_ACROSS = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))
_FORWARD = (("left_big_toe", "left_heel"), ("right_big_toe", "right_heel"))
_CLEAR = 10  # poses, of which fewer tell nothing
_UPPER = ("shoulder", "elbow", "neck", "thorax", "head", "nose", "eye", "ear", "head_top")
_LOWER = ("pelvis", "hip", "knee", "ankle")


def upright(points: Float[Array, "detection keypoint 3"], layout: Layout) -> tuple[float, float]:
    """Which way people's heads are: the mean of unit vectors (right, up) from their legs to their heads.

    Its length is 1 where it is the same in all poses; (0, 0) where too little is seen.
    """
    part = [name.removeprefix("left_").removeprefix("right_") for name in layout.landmarks]
    places = points[:: max(1, len(points) // LOOKED_AT), :, :2].astype(np.float64)
    ends = [_mean(places[:, [name in names for name in part]]) for names in (_UPPER, _LOWER)]
    axis = ends[0] - ends[1]
    length = np.linalg.norm(axis, axis=-1)
    axis = axis[np.isfinite(length) & (length > 0)] / length[np.isfinite(length) & (length > 0), None]
    if not len(axis):
        return 0.0, 0.0
    right, down = axis.mean(0)
    return float(right), -float(down)


def turned(right: float, up: float) -> str | None:
    """How people are whose heads are there, all the time: "on their sides" or "upside down"; None: neither."""
    if np.hypot(right, up) < _CONSTANT or up > _SIDEWAYS:
        return None
    return "upside down" if up < -_SIDEWAYS else "on their sides"


def _mean(points: Array) -> Array:
    """The middle of the points of each pose that are seen; not a number of fewer than two."""
    seen = np.isfinite(points).all(-1, keepdims=True)
    count = seen.sum(1)
    total: Array = np.where(seen, points, 0.0).sum(1)
    return np.where(count >= 2, total / np.maximum(count, 1), np.nan)


def chirality(points: Float[Array, "frame keypoint 3"], layout: Layout) -> float | None:
    """From 1, people's left is where their feet say, to -1, they are mirrored; None where the feet do not tell."""
    names = [name for pair in (*_ACROSS, *_FORWARD) for name in pair]
    if not {*names} <= {*layout.landmarks}:
        return None
    places = {name: points[:, layout.landmarks.index(name), :2].astype(np.float64) for name in names}
    across, down = (
        sum((places[one][:, axis] - places[other][:, axis] for one, other in pairs), np.zeros(len(points)))
        for axis, pairs in ((0, _ACROSS), (1, _FORWARD))
    )
    trunk = np.linalg.norm(places["left_shoulder"] - places["left_hip"], axis=-1)
    known = np.isfinite(across) & np.isfinite(down) & (trunk > 0)
    if known.sum() < _CLEAR:
        return None
    across, down = across[known] / trunk[known], down[known] / trunk[known]
    size = np.sqrt(np.square(across).sum() * np.square(down).sum())
    return float((across * down).sum() / size) if size > 0 else None
