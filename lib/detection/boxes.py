"""What BlazePose's detector says of a picture: boxes and four points at every anchor, and those merged that are one.

Source: V. Bazarevsky et al., BlazePose: On-device real-time body pose tracking, CVPR workshops 2020; the anchors, the
decoding and the merging are those of the graph that MediaPipe publishes for it (modules/pose_detection): 224 x 224
pixels, strides 8, 16, 32, 32, 32, two anchors a layer and cell, all of the size of the picture; merging is the weighted
one of V. Bazarevsky et al., BlazeFace: Sub-millisecond neural face detection on mobile GPUs, 2019, section 3.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from lib.detection.networks import Array, sigmoid

STRIDES = (8, 16, 32, 32, 32)  # pixels of the detector's picture
ANCHORS_PER_LAYER = 2
LEAST_SCORE = 0.5
SAME_OVERLAP = 0.3  # intersection over union from which two boxes are of one person
LOGIT_LIMIT = 100.0
# The four points: the middle of the hips, a point on the circle around the whole body straight up, and the same for the
# upper body.
HIPS, CIRCLE = 0, 1


class Detections(NamedTuple):
    """People in a picture, the surest first; all in the unit of the picture's side."""

    scores: Float[Array, " person"]  # 0 to 1
    boxes: Float[Array, "person 4"]  # of the face: left, top, right, bottom
    points: Float[Array, "person 4 2"]  # x and y


def anchors(size: int) -> Float[Array, "anchor 2"]:
    """The anchors' centres in a square picture of `size` pixels a side, in units of the side, in the network's order.

    Layers of one stride are one grid: its cells row by row, with the anchors of all of these layers at each.
    """
    centres = []
    for stride in dict.fromkeys(STRIDES):
        cells = -(-size // stride)
        steps = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        y, x = np.meshgrid(steps, steps, indexing="ij")
        grid = np.stack([x.ravel(), y.ravel()], axis=-1)
        centres.append(np.repeat(grid, ANCHORS_PER_LAYER * STRIDES.count(stride), axis=0))
    return np.concatenate(centres)


def decode(
    raw: Float[Array, "anchor 12"],
    logits: Float[Array, "anchor 1"],
    centres: Float[Array, "anchor 2"],
    size: int,
) -> Detections:
    """All anchors that are sure enough of a person; `raw` are pixels relative to the anchor.

    Its columns are the box's centre, width and height, then the four points.
    """
    scores = sigmoid(logits[:, 0].clip(-LOGIT_LIMIT, LOGIT_LIMIT))
    kept = np.flatnonzero(scores >= LEAST_SCORE)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    values = raw[kept].reshape(-1, 6, 2) / size
    centre, extent, points = values[:, 0] + centres[kept], values[:, 1], values[:, 2:] + centres[kept, None]
    boxes = np.concatenate([centre - extent / 2, centre + extent / 2], axis=-1)
    return Detections(scores[kept], boxes, points)


def merge(found: Detections) -> Detections:
    """One detection a person: the mean, weighted by score, of all that overlap the surest one that is left."""
    left = np.arange(len(found.scores))
    merged: list[tuple[float, Array, Array]] = []
    while len(left):
        overlap = intersection_over_union(found.boxes[left[0]], found.boxes[left])
        same = left[(overlap > SAME_OVERLAP) | (left == left[0])]  # also a box without an area
        weights = found.scores[same] / found.scores[same].sum()
        merged.append(
            (
                float(found.scores[left[0]]),
                np.tensordot(weights, found.boxes[same], 1),
                np.tensordot(weights, found.points[same], 1),
            )
        )
        left = np.setdiff1d(left, same)  # sorted, as `left` is
    if not merged:
        return found
    scores, boxes, points = map(np.stack, zip(*merged, strict=True))
    return Detections(scores.astype(np.float32), boxes, points)


def intersection_over_union(box: Float[Array, "4"], boxes: Float[Array, "box 4"]) -> Float[Array, " box"]:
    """The area that two boxes share over the area that they cover together; 0 where there is none."""
    shared = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    intersection = shared.clip(min=0).prod(-1)
    areas = (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(-1)
    union = areas + (box[2:] - box[:2]).clip(min=0).prod() - intersection
    return np.asarray(np.where(union > 0, intersection / np.where(union > 0, union, 1), 0))
