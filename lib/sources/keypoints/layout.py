"""In which order keypoints are: by their number, and by whether they then lie as a body's do.

COCO and Human3.6M both have 17, and BODY_25 and BODY_25B 25. A pose says which it is: in the right order,
keypoints that are far apart on a standing body are far apart in the picture, in whatever posture and from wherever they
are seen. The measure is the correlation, over all pairs of keypoints, of both distances.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Float

from lib.pose.landmarks import LANDMARKS, STANDING
from lib.pose.layout import Layout
from lib.pose.layouts import FURTHER_LAYOUTS, LAYOUTS
from lib.runtime.errors import UserError
from lib.sources.base import Recorded
from lib.sources.keypoints.detections import Array, BadFile

# Layouts of detectors by their number of keypoints. That of keypoints converted from COCO's is found where it is told
# from Human3.6M's own.
_CANDIDATES = {
    15: ("humaneva_15",),
    17: ("coco", "h36m", "mpi_inf_3dhp"),
    18: ("coco_18",),
    25: ("body_25", "body_25b"),
    26: ("halpe_26",),
    33: ("mediapipe_33",),
}
# Whole bodies begin with the keypoints of these.
_FIRST = {133: 17, 136: 26}  # COCO-WholeBody, Halpe-136
COUNTS = frozenset((*_CANDIDATES, *_FIRST))
LOOKED_AT = 40  # poses of a video
LEAST_PAIRS = 20  # of keypoints that are seen together
LIKE_A_BODY = 0.5  # correlation; in the right order it is 0.8 to 0.97
MARGIN = 0.1  # by which the best must lead
_HALFWAY = 0.005  # of head to pelvis: keypoints that are always this near to the middle of two others were put there


def body_part(points: Float[Array, "detection keypoint 3"]) -> Float[Array, "detection part 3"]:
    """Without the face and the hands that whole bodies have after the others."""
    return points[:, : _FIRST.get(points.shape[1], points.shape[1])]


def find_layout(points: Float[Array, "detection keypoint 3"], said: Layout | None) -> Layout:
    """The layout of a video's keypoints; `said` is what the user or the file says.

    Raises:
        BadFile: there is no layout with so many keypoints, what is said has another number, or they lie otherwise.
    """
    known, count = LAYOUTS | FURTHER_LAYOUTS, points.shape[1]
    candidates = [known[name] for name in _CANDIDATES.get(count, ())]
    if said is not None and len(said) != count:
        why = f"{count} keypoints, but {said.name} has {len(said)}: name another layout (data.layout)"
        raise BadFile(why, "unknown_layout")
    if said is None and not candidates:
        counts = ", ".join(f"{number} ({' or '.join(names)})" for number, names in _CANDIDATES.items())
        raise BadFile(
            f"{count} keypoints: layouts have {counts}; describe another one in a YAML file (data.layout)",
            "unknown_layout",
        )
    squares = pair_distances(points)
    rivals = {layout.name: likeness(squares, layout) for layout in candidates}
    if not any(np.isfinite(value) for value in rivals.values()):  # hardly anything is seen: nothing contradicts
        return said or candidates[0]
    best = max(rivals, key=lambda name: np.nan_to_num(rivals[name], nan=-1))
    if said is not None:
        own = likeness(squares, said)
        if own < LIKE_A_BODY and rivals[best] > own + 2 * MARGIN:
            raise BadFile(f"keypoints that lie as those of {best}, not of {said.name}", "unknown_layout")
        return said
    second = max((value for name, value in rivals.items() if name != best), default=-1.0)
    if rivals[best] < LIKE_A_BODY or rivals[best] < second + MARGIN:
        raise BadFile(
            f"{count} keypoints that lie as no body's in the order of {' or '.join(rivals)}: say which (data.layout)",
            "unknown_layout",
        )
    if best == "h36m" and _converted(points, known["h36m"]):
        return known["h36m_from_coco"]
    return known[best]


def pair_distances(points: Float[Array, "detection keypoint 3"]) -> Float[Array, "keypoint keypoint"]:
    """The root of the mean square of distances in the picture over some of the poses, each of size 1.

    Not a number: never seen together.
    """
    some = points[:: max(1, len(points) // LOOKED_AT), :, :2].astype(np.float64)
    squares = np.square(some[:, :, None] - some[:, None]).sum(-1)
    seen = np.isfinite(squares)
    squares = np.where(seen, squares, 0.0)
    pairs = seen.sum((1, 2), keepdims=True)
    size = squares.sum((1, 2), keepdims=True) / np.maximum(pairs, 1)
    squares = squares / np.where(size > 0, size, 1.0)
    count = (seen & (size > 0)).sum(0)
    distances: Array = np.sqrt(np.where(count > 0, squares.sum(0) / np.maximum(count, 1), np.nan))
    return distances


def likeness(distances: Float[Array, "keypoint keypoint"], layout: Layout) -> float:
    """The correlation of distances with those of a standing body; not a number where too little is seen."""
    above = np.triu_indices(len(layout), 1)
    one, other = distances[above], _standing(layout)[above]
    known = np.isfinite(one)
    if known.sum() < LEAST_PAIRS or one[known].std() == 0:
        return float("nan")
    return float(np.corrcoef(one[known], other[known])[0, 1])


@cache
def _standing(layout: Layout) -> Array:
    places = (
        layout.mixing.double() @ torch.tensor([STANDING[name] for name in LANDMARKS], dtype=torch.float64)
    ).numpy()
    distances: Array = np.linalg.norm(places[:, None] - places[None], axis=-1)
    return distances


def _converted(points: Array, layout: Layout) -> bool:
    """Whether pelvis and thorax are midway between hips and shoulders, as a conversion puts them."""
    at = {name: points[:, index, :2] for index, name in enumerate(layout.keypoints)}
    extent = np.linalg.norm(at["head"] - at["pelvis"], axis=-1)
    off = [
        np.linalg.norm(at[middle] - (at[f"left_{what}"] + at[f"right_{what}"]) / 2, axis=-1) / extent
        for middle, what in (("pelvis", "hip"), ("thorax", "shoulder"))
    ]
    known = [part[np.isfinite(part)] for part in off]
    return all(len(part) > 0 and float(np.quantile(part, 0.9)) < _HALFWAY for part in known)


def check_order(sequences: Sequence[Recorded], layout: Layout, said: str) -> None:
    """Refuse an order in which keypoints lie as no body's, if they do in that of another layout; raises UserError."""
    read = [sequence.read(slice(LOOKED_AT * 10)) for sequence in sequences[:LOOKED_AT]]
    some = [torch.cat([s.keypoints, s.confidence[..., None]], -1) for s in read]
    if not some:
        return
    points = torch.cat(some).numpy().copy()
    points[~(points[..., 2] > 0)] = float("nan")
    try:
        find_layout(points, layout)
    except BadFile as error:
        raise UserError(f"params.yaml: data.layout = {said!r}: {error}") from None
