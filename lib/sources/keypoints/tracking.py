"""Who is who from frame to frame, where a detector does not say.

Detections of a frame are assigned to tracks so that the sum of similarities is greatest. The similarity is COCO's
object keypoint similarity, with one constant for all keypoints, of a detection and of where the last pose of a track
would be by then, moving on as before. A track that nothing continues for a second ends; who comes back later begins
another.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from lib.sources.keypoints.detections import Array

LOST_SECONDS = 1.0
LEAST_SIMILARITY = 0.15
SPREAD = (
    0.1  # of a body's extent in the picture: how far a keypoint moves beside what is foreseen, in a 30th of a second
)
WIDEST = 0.3
_DAMPING = 0.9  # of the speed that is foreseen, a frame without a detection
_BACK = 4  # detections, over which speed is measured
_SURE = 0.5  # a similarity that needs no comparison
_FEW = 3  # keypoints: with fewer in common, the body's middle is compared


def track(
    points: Float[Array, "detection keypoint 3"], frame: Int[Array, " detection"], fps: float
) -> Int[Array, " detection"]:
    """A number for each detection, the same for those of one person; detections are in the order of their frames."""
    return _Tracker(points, frame, fps).run()


def given(
    points: Float[Array, "detection keypoint 3"], frame: Int[Array, " detection"], person: Int[Array, " detection"]
) -> Bool[Array, " detection"]:
    """Which detections to keep where one person has several in a frame: the surest of each."""
    order = np.lexsort((-points[..., 2].mean(-1), person, frame))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(frame[order]) != 0) | (np.diff(person[order]) != 0)
    kept = np.zeros(len(order), bool)
    kept[order[first]] = True
    return kept


class _Tracker:
    """The state of tracking one video."""

    def __init__(self, points: Float[Array, "detection keypoint 3"], frame: Array, fps: float) -> None:
        self.places = points[..., :2].astype(np.float64)
        self.seen = points[..., 2] > 0
        self.frame, self.fps = frame, fps
        shown = self.seen[..., None]
        high = np.where(shown, self.places, -np.inf).max(1, initial=-np.inf)
        low = np.where(shown, self.places, np.inf).min(1, initial=np.inf)
        with np.errstate(invalid="ignore"):
            extent = np.hypot(*(high - low).T)
        self.extent = np.where(np.isfinite(extent), np.maximum(extent, 1e-9), 1e-9)
        self.places = np.where(shown, self.places, 0.0)
        self.tracks: list[list[int]] = []  # the detections of each
        self.active: list[int] = []  # the tracks that may go on
        self.number = np.zeros(len(frame), np.int64)

    def run(self) -> Array:
        """Assign detections frame by frame; where one person is alone and moves little, all frames at once."""
        if not len(self.frame):
            return self.number
        starts = np.flatnonzero(np.diff(self.frame, prepend=self.frame[0] - 1))
        stops = np.append(starts[1:], len(self.frame))
        follows = self._followed(starts, stops)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            self.active = [one for one in self.active if self._age(self.tracks[one], start) <= LOST_SECONDS]
            if follows[start] and len(self.active) == 1:
                self._add(self.active[0], start)
            else:
                self._assign(self.active, list(range(start, stop)))
        return self.number

    def _age(self, track: list[int], detection: int) -> float:
        return float(self.frame[detection] - self.frame[track[-1]]) / self.fps

    def _followed(self, starts: Array, stops: Array) -> Array:
        """Detections that are alone in their frame, and surely those of who is alone in the one before."""
        follows = np.zeros(len(self.frame), bool)
        alone = np.zeros(len(self.frame), bool)
        alone[starts[stops - starts == 1]] = True
        pair = np.flatnonzero(alone[1:] & alone[:-1] & (np.diff(self.frame) == 1)) + 1
        if len(pair):
            off = self.places[pair] - self.places[pair - 1]
            follows[pair] = (
                self._similarity(off, self.seen[pair] & self.seen[pair - 1], self.extent[pair - 1], 1.0) > _SURE
            )
        return follows

    def _similarity(self, off: Array, both: Array, extent: Array, frames: Any) -> Array:
        """Of differences in place (..., keypoint, 2), where both are seen."""
        spread = np.minimum(WIDEST, SPREAD * np.sqrt(np.maximum(1.0, np.asarray(frames) / self.fps * 30)))
        scaled = np.square(off).sum(-1) / (2 * np.square(spread * extent)[..., None])
        likely = np.where(both, np.exp(-np.minimum(scaled, 50.0)), 0.0)
        count = both.sum(-1)
        return np.where(count >= _FEW, likely.sum(-1) / np.maximum(count, 1), 0.0)

    def _assign(self, active: list[int], found: list[int]) -> None:
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - a quarter of a second of every stage's start

        taken: set[int] = set()
        active = [*active]
        if active:
            similarity = np.stack([self._of_track(self.tracks[number], np.array(found)) for number in active])
            for row, column in zip(*linear_sum_assignment(-similarity), strict=True):
                if similarity[row, column] >= LEAST_SIMILARITY:
                    self._add(active[row], found[column])
                    taken.add(int(column))
        for column, detection in enumerate(found):
            if column not in taken:
                self.active.append(len(self.tracks))
                self.tracks.append([])
                self._add(len(self.tracks) - 1, detection)

    def _of_track(self, track: list[int], found: Array) -> Array:
        """The similarity of a track, foreseen, with detections of a frame."""
        last = track[-1]
        frames = int(self.frame[found[0]] - self.frame[last])
        moved = self._speed(track) * (1 - _DAMPING**frames) / (1 - _DAMPING)
        extent = np.maximum(self.extent[last], np.minimum(self.extent[found], 2 * self.extent[last]))
        off = self.places[found] - (self.places[last] + moved)
        both = self.seen[found] & self.seen[last]
        similar = self._similarity(off, both, extent, frames)
        few = both.sum(-1) < _FEW
        if few.any():
            middles = self._middle(found) - (self._middle(np.array([last])) + moved)
            alone = self._similarity(
                middles[:, None].repeat(_FEW, 1), np.ones((len(found), _FEW), bool), extent, frames
            )
            similar = np.where(few, 0.5 * alone, similar)
        return similar

    def _speed(self, track: list[int]) -> Array:
        """Pixels a frame, over the last detections."""
        last, before = track[-1], track[max(-len(track), -1 - _BACK)]
        both = self.seen[last] & self.seen[before]
        frames = int(self.frame[last] - self.frame[before])
        if frames == 0 or both.sum() < _FEW or frames / self.fps > LOST_SECONDS:
            return np.zeros(2)
        speed: Array = (self.places[last] - self.places[before])[both].mean(0) / frames
        return speed

    def _middle(self, which: Array) -> Array:
        count = np.maximum(self.seen[which].sum(-1, keepdims=True), 1)
        middle: Array = self.places[which].sum(1) / count
        return middle

    def _add(self, number: int, detection: int) -> None:
        self.tracks[number].append(detection)
        self.number[detection] = number
