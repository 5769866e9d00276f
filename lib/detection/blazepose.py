"""BlazePose: 33 landmarks of each person in each frame of a video.

Source: V. Bazarevsky et al., BlazePose: On-device real-time body pose tracking, CVPR workshops 2020, and the graph that
MediaPipe publishes for it (modules/pose_landmark). A detector finds people in the whole picture; where a person was in
the last frame, the landmarks of that frame say where to look, and the detector rests. Nothing is smoothed over time.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from lib.detection import boxes
from lib.detection.networks import Array, Network, sigmoid
from lib.detection.regions import Region, whole

_FACE = ("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer")
_BODY = ("shoulder", "elbow", "wrist", "pinky", "index", "thumb", "hip", "knee", "ankle", "heel", "foot_index")
NAMES = (
    *_FACE,
    *("left_ear", "right_ear", "mouth_left", "mouth_right"),
    *(f"{side}_{part}" for part in _BODY for side in ("left", "right")),
)
# Two more landmarks say where the person will be in the next frame: as the detector's points, the middle of the hips
# and a point on the circle around the body.
HIPS, CIRCLE = len(NAMES), len(NAMES) + 1
DETECTOR = "pose_detection.tflite"
LANDMARKS = {kind: f"pose_landmark_{kind}.tflite" for kind in ("lite", "full", "heavy")}
LEAST_PRESENCE = 0.5  # that there is a person in the region
HEATMAP_REACH = 3  # cells around a landmark in which its heatmap is looked at
LEAST_HEAT = 0.5
SAME_POSE = 0.05  # of a region's side, below which keypoints of two places are, in the median, one person's


class Person(NamedTuple):
    """A person in one frame."""

    keypoints: Float[Array, "33 2"]  # pixels
    confidence: Float[Array, "33"]  # 0 to 1: how visible the network holds each landmark
    presence: float  # 0 to 1: how sure it is of a person at all
    region: Region  # where it looked


@dataclass(frozen=True)
class BlazePose:
    """The detector and the landmark network."""

    detector: Network
    landmarks: Network  # its outputs: landmarks, presence, heatmaps
    anchors: Float[Array, "anchor 2"]

    @classmethod
    def load(cls, detector: Path, landmarks: Path, threads: int = 1) -> "BlazePose":
        """Load the two networks from their files, `DETECTOR` and one of `LANDMARKS`.

        Raises:
            UserError: LiteRT is not installed, or a file is missing.
        """
        finder = Network(detector, (0, 1), threads)  # boxes with points, scores
        return cls(finder, Network(landmarks, (0, 1, 3), threads), boxes.anchors(finder.size))

    def track(
        self, frames: Iterable[UInt8[Array, "height width 3"]], people: int = 1
    ) -> Iterator[tuple[Person | None, ...]]:
        """For each frame, a place for each of up to `people` people, the largest first found; frames are BGR.

        A person keeps the place as long as frame after frame sees them. A place whose person is lost, or hidden by the
        one of another place, is empty until the detector finds somebody who is in no other place.
        """
        regions: list[Region | None] = [None] * people
        for frame in frames:
            if None in regions:
                regions = _seated(regions, self.detect(frame))
            found = _one_place_each([None if region is None else self.read(frame, region) for region in regions])
            regions = [follow for _, follow in (read or (None, None) for read in found)]
            yield tuple(read[0] if read else None for read in found)

    def detect(self, frame: UInt8[Array, "height width 3"]) -> list[Region]:
        """The regions of all people that the detector sees, the largest first."""
        square = whole(frame.shape[1], frame.shape[0])
        size = self.detector.size
        raw, logits = self.detector(_picture(square.cut(frame, size)) * 2 - 1)
        found = boxes.merge(boxes.decode(raw, logits, self.anchors, size))
        points = [square.to_pixels(points[[boxes.HIPS, boxes.CIRCLE]]) for points in found.points]
        return sorted((Region.around(*pair) for pair in points), key=lambda region: -region.side)

    def read(self, frame: UInt8[Array, "height width 3"], region: Region) -> tuple[Person, Region] | None:
        """The person in a region, and where to look in the next frame; None where there is nobody."""
        size = self.landmarks.size
        raw, presence, heatmaps = self.landmarks(_picture(region.cut(frame, size)))
        if presence[0] < LEAST_PRESENCE:
            return None
        landmarks = raw.reshape(-1, 5)  # x, y and z in pixels of the region, logits of visibility and of presence
        points = region.to_pixels(refine(landmarks[:, :2] / size, heatmaps))
        count = len(NAMES)
        confidence = sigmoid(landmarks[:count, 3])
        following = Region.around(points[HIPS], points[CIRCLE])
        return Person(points[:count], confidence, float(presence[0]), region), following


Read = tuple[Person, Region]  # and where to look in the next frame


def _one_place_each(found: Sequence[Read | None]) -> list[Read | None]:
    """Whom two places see, as where one person passes before another, has the one that had less far to move to them."""
    left = list(found)
    for one, other in combinations(range(len(left)), 2):
        first, second = left[one], left[other]
        if first is not None and second is not None and _same_pose(first[0], second[0]):
            left[one if _moved(first) > _moved(second) else other] = None
    return left


def _same_pose(one: Person, other: Person) -> bool:
    off = np.linalg.norm(one.keypoints - other.keypoints, axis=-1)
    return bool(np.median(off) < SAME_POSE * min(one.region.side, other.region.side))


def _moved(read: Read) -> float:
    """From where the person was looked for to where they are, in pixels."""
    person, following = read
    return math.dist(person.region.centre, following.centre)


def refine(
    points: Float[Array, "landmark 2"], heatmaps: Float[Array, "rows columns landmark"]
) -> Float[Array, "landmark 2"]:
    """Move points (in units of the picture's side) to the centre of the heat around them, where there is enough.

    `heatmaps` are logits; the heat is their sigmoid, within `HEATMAP_REACH` cells of the point. Cell c lies at c /
    columns, as in the published graph: with half a cell more, a picture and its mirror image disagree by four of 256
    pixels.
    """
    rows, columns, _ = heatmaps.shape
    extent = np.array([columns, rows], dtype=points.dtype)
    cell = np.floor(points * extent).astype(int)
    steps = np.arange(-HEATMAP_REACH, HEATMAP_REACH + 1)
    x, y = cell[:, 0, None, None] + steps[None, None, :], cell[:, 1, None, None] + steps[None, :, None]
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    heat = (
        sigmoid(heatmaps[y.clip(0, rows - 1), x.clip(0, columns - 1), np.arange(len(points))[:, None, None]]) * inside
    )
    total = np.maximum(heat.sum((1, 2)), 1e-12)
    centre = np.stack([(heat * x).sum((1, 2)), (heat * y).sum((1, 2))], axis=-1) / total[:, None]
    within = ((cell >= 0) & (cell < extent)).all(-1)
    sure = within & (heat.max((1, 2)) >= LEAST_HEAT)
    return np.where(sure[:, None], centre / extent, points).astype(points.dtype)


def _picture(pixels: UInt8[Array, "size size 3"]) -> Float[Array, "size size 3"]:
    """BGR bytes -> RGB from 0 to 1, as the networks read it."""
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.float32) / np.float32(255)


def _seated(places: list[Region | None], found: list[Region]) -> list[Region | None]:
    """Give empty places to those found people who are in none."""
    places = list(places)
    for region in found:
        if None in places and not any(place is not None and place.same_person(region) for place in places):
            places[places.index(None)] = region
    return places
