"""Anchors, decoding and merging against numbers worked out by hand."""

import numpy as np
import pytest

from lib.detection.boxes import Detections, anchors, decode, intersection_over_union, merge


def test_anchors_are_two_a_layer_and_cell_in_the_networks_order() -> None:
    centres = anchors(224)
    assert centres.shape == (2 * 28**2 + 2 * 14**2 + 6 * 7**2, 2) == (2254, 2)
    # Stride 8: cells of 8 / 224; x runs first, and each cell has two
    np.testing.assert_allclose(centres[[0, 1, 2, 56]], np.array([[4, 4], [4, 4], [12, 4], [4, 12]]) / 224, atol=1e-6)
    np.testing.assert_allclose(centres[1568], np.array([8, 8]) / 224, atol=1e-6)  # the first of stride 16
    np.testing.assert_allclose(centres[-6:], np.full((6, 2), 208 / 224), atol=1e-6)  # three layers of stride 32


def test_decodes_pixels_relative_to_the_anchor_and_sorts_by_score() -> None:
    centres = np.array([[0.5, 0.5], [0.25, 0.75], [0.1, 0.1]], dtype=np.float32)
    raw = np.zeros((3, 12), dtype=np.float32)
    raw[1] = [10, -20, 40, 60, 0, 0, 50, -50, 1, 2, 3, 4]
    logits = np.array([[0.1], [2.0], [-0.1]], dtype=np.float32)
    found = decode(raw, logits, centres, 100)
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([-2.0, -0.1])), rtol=1e-5)
    # centre (0.35, 0.55), 0.4 wide, 0.6 high
    np.testing.assert_allclose(found.boxes[0], [0.15, 0.25, 0.55, 0.85], atol=1e-6)
    np.testing.assert_allclose(found.points[0], [[0.25, 0.75], [0.75, 0.25], [0.26, 0.77], [0.28, 0.79]], atol=1e-6)


def test_scores_stay_finite_for_any_logit() -> None:
    logits = np.array([[1e30], [-1e30]], dtype=np.float32)
    assert decode(np.zeros((2, 12), np.float32), logits, np.zeros((2, 2), np.float32), 224).scores.tolist() == [1.0]


def test_overlap_of_boxes() -> None:
    box = np.array([0.0, 0.0, 2.0, 2.0])
    others = np.array([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0], [2.0, 0.0, 4.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(intersection_over_union(box, others), [1, 1 / 7, 0, 0])
    assert intersection_over_union(others[3], others[3:]).tolist() == [0.0]


def detections(boxes: list[list[float]], scores: list[float]) -> Detections:
    corners = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    points = np.repeat(corners[:, None, :2], 4, axis=1)
    return Detections(np.array(scores, dtype=np.float32), corners, points)


def test_merging_takes_the_mean_by_score_of_what_overlaps() -> None:
    found = detections([[0, 0, 10, 10], [30, 0, 40, 10], [0, 2, 10, 12]], [0.9, 0.8, 0.6])
    merged = merge(found)
    np.testing.assert_allclose(merged.scores, [0.9, 0.8], rtol=1e-6)
    expected = np.array([[0, 0.8, 10, 10.8], [30, 0, 40, 10]])  # 2 * 0.6 / 1.5
    np.testing.assert_allclose(merged.boxes, expected, rtol=1e-5)
    np.testing.assert_allclose(merged.points[0], np.tile([0.0, 0.8], (4, 1)), atol=1e-5)


@pytest.mark.parametrize("count", [0, 2])
def test_nobody_and_boxes_without_an_area_are_no_trouble(count: int) -> None:
    assert len(merge(detections([[1, 1, 1, 1]] * count, [0.7] * count)).scores) == count
