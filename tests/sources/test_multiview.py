"""A person of a few joints seen by four synthetic cameras, with mistakes that are known."""

import itertools

import torch
from torch import Tensor

from lib.sources.multiview import (
    Control,
    Keypoints,
    Sides,
    adjust_cameras,
    cheapest_path,
    find_exchanged_sides,
    reconstruct,
    tell_people_apart,
)
from tests.pose.test_bundle import disturbed
from tests.pose.test_triangulation import CAMERAS, VIEWS, points, seen

# Joints: the head, then left and right of three pairs; two pairs are mistaken together.
SIDES = Sides(((1, 2, 3, 4), (5, 6)), (0, 2, 1, 4, 3, 6, 5))
FRAMES, JOINTS = 12, 7


def person(seed: int = 0, where: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Joints some decimetres apart that move a little from frame to frame: frame joint 3."""
    start = 0.5 * (points(JOINTS, seed) - torch.tensor([0.0, 0.0, 1.0])) + torch.tensor([*where, 1.0])
    speed = 0.02 * (points(JOINTS, seed + 1) - torch.tensor([0.0, 0.0, 1.0]))
    return start + torch.arange(FRAMES)[:, None, None] * speed


def keypoints(world: Tensor) -> Keypoints:
    rays = seen(CAMERAS, world.flatten(0, 1)).unflatten(0, world.shape[:2])
    return Keypoints(rays, torch.full(rays.shape[:-1], 0.9, dtype=torch.float64))


def mistake_sides(truth: Keypoints, group: tuple[int, ...], frames: slice, view: int) -> Keypoints:
    where = torch.zeros_like(truth.confidence, dtype=torch.bool)
    where[frames, list(group), view] = True
    return truth.exchanged(truth.of(SIDES.mirror), where)


def test_what_is_seen_right_is_exact_and_unchanged() -> None:
    world = person()
    found = reconstruct(VIEWS, keypoints(world), SIDES)
    torch.testing.assert_close(found.positions, world, atol=1e-8, rtol=0)
    assert not found.exchanged.any() and found.views.all()


def test_sides_that_a_view_took_for_each_other_are_found() -> None:
    world = person()
    wrong = mistake_sides(keypoints(world), SIDES.groups[0], slice(3, 7), view=1)
    wrong = mistake_sides(wrong, SIDES.groups[1], slice(5, 6), view=3)
    expected = torch.zeros_like(wrong.confidence, dtype=torch.bool)
    expected[3:7, 1:5, 1] = True
    expected[5, 5:7, 3] = True
    assert find_exchanged_sides(VIEWS, wrong, SIDES, 25.0).equal(expected)
    found = reconstruct(VIEWS, wrong, SIDES)
    torch.testing.assert_close(found.positions, world, atol=1e-8, rtol=0)
    assert found.exchanged.equal(expected)


def test_a_joint_that_only_two_views_see_is_not_determined() -> None:
    truth = keypoints(person())
    truth.confidence[4, 2, :2] = 0
    positions = reconstruct(VIEWS, truth, SIDES).positions
    assert positions[4, 2].isnan().all() and positions.isfinite().all(-1).sum() == FRAMES * JOINTS - 1


def test_people_whom_views_found_in_other_orders_are_told_apart() -> None:
    first, second = person(0, (-0.7, 0.0)), person(2, (0.7, 0.2))
    true = keypoints(first), keypoints(second)
    where = torch.zeros(FRAMES, 1, 4, dtype=torch.bool)
    where[:, :, 2] = True  # one view has them the other way round
    where[8:, :, 3] = True  # another from some frame on
    told = tell_people_apart(VIEWS, true[0].exchanged(true[1], where), true[1].exchanged(true[0], where))
    assert told.equal(where[:, 0]) or told.equal(~where[:, 0])  # who is first is open


def test_a_person_who_is_hidden_in_a_view_is_told_apart_too() -> None:
    first, second = keypoints(person(0, (-0.7, 0.0))), keypoints(person(2, (0.7, 0.2)))
    where = torch.zeros(FRAMES, 1, 4, dtype=torch.bool)
    where[4:, :, 1] = True
    second.confidence[..., 1] = 0
    told = tell_people_apart(VIEWS, first.exchanged(second, where), second.exchanged(first, where))
    assert told.equal(where[:, 0]) or told.equal(~where[:, 0])


def test_the_cheapest_path_is_the_cheapest_of_all() -> None:
    choices = torch.tensor(list(itertools.product((False, True), repeat=2)))
    costs = torch.rand(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def cost(path: tuple[int, ...]) -> float:
        changes = sum(int((choices[a] ^ choices[b]).sum()) for a, b in itertools.pairwise(path))
        return float(sum(costs[frame, choice] for frame, choice in enumerate(path))) + 0.2 * changes

    best = min(itertools.product(range(4), repeat=5), key=cost)
    assert tuple(cheapest_path(costs, choices, 0.2).tolist()) == best
    assert cheapest_path(costs, choices, 0.0).equal(costs.argmin(-1))


def test_the_cameras_are_adjusted_by_the_person_and_the_marked_points() -> None:
    start, world = disturbed(1, turn=0.01, place=0.02), person()
    wrong = mistake_sides(keypoints(world), SIDES.groups[0], slice(3, 7), view=1)
    floor = points(8, 5) * torch.tensor([1.0, 1.0, 0.0])
    marked = seen(CAMERAS, floor)
    marked[0, 2] = torch.nan
    views = adjust_cameras(start, wrong, SIDES, Control(marked))
    found = reconstruct(views, wrong, SIDES)
    assert found.errors.max() < 0.5 < reconstruct(start, wrong, SIDES).errors.nanmedian()
    torch.testing.assert_close(found.exchanged[3:7, 1:5, 1], torch.ones(4, 4, dtype=torch.bool))
