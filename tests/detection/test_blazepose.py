"""Refinement by heatmaps, and tracking with networks that say what the tests want."""

from collections.abc import Callable

import numpy as np
import pytest

from lib.detection import boxes
from lib.detection.blazepose import CIRCLE, HIPS, NAMES, BlazePose, Person, refine
from lib.detection.networks import Array, Network
from lib.detection.regions import Region

LOW, HIGH = -20.0, 20.0  # logits


def test_the_landmarks_are_mediapipes() -> None:
    assert len(NAMES) == 33 == len(set(NAMES))
    known = {0: "nose", 3: "left_eye_outer", 6: "right_eye_outer", 8: "right_ear", 9: "mouth_left", 11: "left_shoulder"}
    known |= {16: "right_wrist", 17: "left_pinky", 22: "right_thumb", 23: "left_hip", 28: "right_ankle"}
    known |= {29: "left_heel", 32: "right_foot_index"}
    assert {number: NAMES[number] for number in known} == known


def heat(cells: dict[tuple[int, int], float]) -> Array:
    """One landmark's heatmap of 16 x 16 cells: logits by (column, row)."""
    heatmap = np.full((16, 16, 1), LOW, dtype=np.float32)
    for (column, row), logit in cells.items():
        heatmap[row, column] = logit
    return heatmap


def refined(point: tuple[float, float], heatmap: Array) -> list[float]:
    ((x, y),) = refine(np.array([point], dtype=np.float32), heatmap) * 16
    return [float(x), float(y)]


def test_a_landmark_moves_to_the_centre_of_the_heat_around_it() -> None:
    point = (8.3 / 16, 4.9 / 16)  # in cell (8, 4)
    assert refined(point, heat({(10, 5): HIGH})) == pytest.approx([10, 5], abs=1e-4)
    assert refined(point, heat({(10, 5): HIGH, (6, 3): HIGH})) == pytest.approx([8, 4], abs=1e-4)
    # sigmoid(0) is half of sigmoid(20): a third of the way back
    assert refined(point, heat({(11, 4): HIGH, (8, 4): 0.0})) == pytest.approx([10, 4], abs=1e-4)


def test_a_landmark_stays_without_heat_near_it_or_outside_of_the_map() -> None:
    assert refined((0.5, 0.25), heat({(12, 4): HIGH})) == pytest.approx([8, 4])  # four cells away
    assert refined((0.5, 0.25), heat({(8, 4): -0.1})) == pytest.approx([8, 4])  # less than a half
    assert refined((-0.01, 0.25), heat({(0, 4): HIGH})) == pytest.approx([-0.16, 4])


def test_heat_at_the_edge_counts_once() -> None:
    assert refined((0.01, 0.01), heat({(0, 0): HIGH, (2, 0): HIGH})) == pytest.approx([1, 0], abs=1e-4)


class Told(Network):
    """A network that answers what it is told, and counts how often it is asked."""

    def __init__(self, size: int, answer: Callable[[int, Array], list[Array]]) -> None:
        self.size, self.asked, self._answer = size, 0, answer

    def __call__(self, picture: Array) -> list[Array]:
        self.asked += 1
        return self._answer(self.asked, picture)


ANCHORS = boxes.anchors(224)
MIDDLE = int(np.abs(ANCHORS - 0.5).sum(-1).argmin())


def detector_of(people: list[tuple[float, float, float]]) -> Told:
    """Sees people upright, given as the place of the hips and the radius, in pixels of a square picture of 224."""

    def answer(asked: int, picture: Array) -> list[Array]:
        raw, logits = np.zeros((2254, 12), np.float32), np.full((2254, 1), LOW, np.float32)
        for number, (x, y, radius) in enumerate(people):
            anchor = MIDDLE + number
            from_anchor = np.array([x, y]) - 224 * ANCHORS[anchor]
            raw[anchor] = [*from_anchor, 4, 4, *from_anchor, *(from_anchor - [0, radius]), 0, 0, 0, 0]
            logits[anchor] = 3.0
        return [raw, logits]

    return Told(224, answer)


def landmarks_that(seen: Callable[[int], bool], step: float = 0.0) -> Told:
    """Puts all landmarks into the middle, and the next region `step` of the side to the right."""

    def answer(asked: int, picture: Array) -> list[Array]:
        raw = np.zeros((39, 5), np.float32)
        raw[:, :2] = 128
        raw[HIPS, 0] += 256 * step
        raw[CIRCLE, :2] = raw[HIPS, :2] - [0, 128 / 1.25]  # of the size of this region
        raw[:, 3] = np.log(3)
        presence = np.array([0.9 if seen(asked) else 0.1], np.float32)
        return [raw.ravel(), presence, np.full((64, 64, 39), LOW, np.float32)]

    return Told(256, answer)


FRAMES = [np.zeros((224, 224, 3), np.uint8)] * 5


def test_the_detector_rests_while_the_person_is_seen() -> None:
    detector = detector_of([(100, 120, 40)])
    network = landmarks_that(lambda asked: True, step=0.1)
    people = [places[0] for places in BlazePose(detector, network, ANCHORS).track(FRAMES)]
    assert (detector.asked, network.asked) == (1, 5)
    for number, person in enumerate(people):
        assert person is not None
        assert person.keypoints.shape == (33, 2) and person.confidence == pytest.approx(0.75)
        # In each frame a tenth of the side of 100 pixels further; half a pixel, because 0 is a pixel's middle
        np.testing.assert_allclose(person.keypoints[0], [99.5 + 10 * number, 119.5], atol=1e-3)
        assert person.region.side == pytest.approx(100, rel=1e-5)


def test_a_person_who_is_lost_is_looked_for_again() -> None:
    detector = detector_of([(100, 120, 40)])
    network = landmarks_that(lambda asked: asked not in (2, 3))
    people = [places[0] is not None for places in BlazePose(detector, network, ANCHORS).track(FRAMES)]
    assert people == [True, False, False, True, True]
    assert detector.asked == 3


def test_people_keep_their_places_the_largest_first() -> None:
    detector = detector_of([(40, 60, 20), (150, 120, 50), (90, 60, 10)])
    places = list(BlazePose(detector, landmarks_that(lambda asked: True), ANCHORS).track(FRAMES, people=2))
    assert detector.asked == 1
    for large, small in places:
        assert large is not None and small is not None
        np.testing.assert_allclose([large.keypoints[0], small.keypoints[0]], [[149.5, 119.5], [39.5, 59.5]], atol=1e-3)


def test_nobody_takes_two_places() -> None:
    detector = detector_of([(100, 120, 40)])
    places = list(BlazePose(detector, landmarks_that(lambda asked: True), ANCHORS).track(FRAMES, people=2))
    assert [(first is not None, second) for first, second in places] == [(True, None)] * 5
    assert detector.asked == 5  # it goes on looking for the other


class Passing(BlazePose):
    """Sees two people who pass each other; while they are near, only the one in front, wherever it looks."""

    def __init__(self) -> None:
        """No network."""

    def _places(self, frame: Array) -> list[float]:
        """Where they are, the front one first."""
        front, back = 100 + 10 * float(frame[0, 0, 0]), 500 - 10 * float(frame[0, 0, 0])
        return [front] if abs(front - back) < 60 else [front, back]

    def _region(self, x: float) -> Region:
        return Region.around(np.array([x, 300.0]), np.array([x, 100.0]))

    def detect(self, frame: Array) -> list[Region]:
        return [self._region(x) for x in self._places(frame)]

    def read(self, frame: Array, region: Region) -> tuple[Person, Region]:
        x = min(self._places(frame), key=lambda place: abs(place - region.centre[0]))
        keypoints = np.column_stack([np.full(33, x), np.linspace(100, 500, 33)])
        keypoints += 0.01 * (np.array(region.centre) - [x, 300.0])  # it depends a little on where one looks
        return Person(keypoints, np.ones(33), 1.0, region), self._region(x)


def test_who_is_hidden_by_another_leaves_the_place_and_comes_back() -> None:
    frames = [np.full((4, 4, 3), number, np.uint8) for number in range(40)]
    places = [
        [None if one is None else float(one.keypoints[:, 0].mean()) for one in found]
        for found in Passing().track(frames, people=2)
    ]
    for number, (front, back) in enumerate(places):
        assert front == pytest.approx(100 + 10 * number, abs=1)
        assert back is None or back == pytest.approx(500 - 10 * number, abs=1)
    seen = [back is not None for _, back in places]
    assert seen[:17] == [True] * 17 and not any(seen[18:23]) and all(seen[30:])


def test_an_empty_video_has_nobody() -> None:
    assert not list(BlazePose(detector_of([]), landmarks_that(lambda asked: True), ANCHORS).track([]))
    (places,) = BlazePose(detector_of([]), landmarks_that(lambda asked: True), ANCHORS).track(FRAMES[:1], people=3)
    assert places == (None, None, None)


def test_the_region_of_a_wide_picture_is_in_its_pixels() -> None:
    pose = BlazePose(detector_of([(112, 112, 28)]), landmarks_that(lambda asked: True), ANCHORS)
    (region,) = pose.detect(np.zeros((300, 448, 3), np.uint8))
    assert (*region.centre, region.side, region.angle) == pytest.approx((223.5, 149.5, 140, 0))
