"""What a lifter makes of worse 2D: the conditions are what they are called, and other layouts mark the same people."""

from dataclasses import replace

import pytest
import torch

from lib.data.split import Split
from lib.experiments.robustness import (
    COLUMNS,
    FOCAL,
    HIDDEN,
    HIGHER,
    NEAREST,
    WEBCAM,
    conditions,
    marked_as,
    seen_from_above,
)
from lib.experiments.robustness import robustness as measured
from lib.inference.lifter import LiftedSplit, Lifter
from lib.inference.predictions import root_distance
from lib.pose.geometry import project, root_centred
from lib.pose.layout import Layout, make_layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from tests.settings import synthetic_split, tiny_checkpoint
from tests.synthetic import lifted_points

OTHERS = [layout for name, layout in LAYOUTS.items() if name != "h36m"]


@pytest.fixture(scope="module")
def split() -> Split:
    return synthetic_split(20, 10)


def names(split: Split, hidden: torch.Tensor) -> set[str]:
    return {split.skeleton.names[joint] for joint in hidden.nonzero()[:, 0].tolist()}


def test_each_condition_is_what_its_name_says(split: Split) -> None:
    found = {name: (changed, counted) for name, changed, counted in conditions(split)}
    whole = tuple(range(len(split.layout)))
    assert found["nothing hidden"] == (split, whole)
    hidden = {**HIDDEN, "upper body only, of what is seen": WEBCAM}
    for name, joints in hidden.items():
        changed, counted = found[name]
        gone = changed.confidence == 0
        assert (gone == gone[:1]).all() and names(changed, gone[0]) == set(joints)
        assert (changed.rays[gone] == 0).all() and torch.equal(changed.rays[~gone], split.rays[~gone])
        assert torch.equal(changed.confidence[~gone], split.confidence[~gone])
        if name in HIDDEN:
            assert counted == whole
        else:
            assert {H36M.names[joint] for joint in counted} == set(H36M.names) - set(WEBCAM)
    for factor in FOCAL:
        torch.testing.assert_close(found[f"focal length wrong by {factor}"][0].rays * factor, split.rays)
    for degrees in HIGHER:
        changed, counted = found[f"seen from {degrees:.0f} degrees higher"]
        expected = seen_from_above(split, degrees)
        assert torch.equal(changed.rays, expected.rays) and counted == whole
    random = found["confidences from 0.3 to 1, without meaning"][0]
    assert 0.3 <= random.confidence.min() < 0.35 and 0.95 < random.confidence.max() <= 1
    assert torch.equal(random.rays, split.rays)
    for layout in OTHERS:
        changed, counted = found[f"marked as {layout.name}"]
        assert changed.layout == layout and counted == tuple(range(len(layout)))
    assert len(found) == 1 + len(hidden) + 1 + len(FOCAL) + len(HIGHER) + len(OTHERS)


def test_a_camera_that_was_moved_up_sees_the_same_motion_from_above(split: Split) -> None:
    assert split.positions is not None
    moved = seen_from_above(split, 90.0)
    assert moved.positions is not None
    length = int(split.table["length"].iloc[0])
    before, after = split.positions[:length], moved.positions[:length]
    torch.testing.assert_close(torch.cdist(after, after), torch.cdist(before, before))  # the same body
    # What was up, -y, is now towards the camera, -z; what was far away is now up.
    offset = after - after.mean((0, 1)) - (before - before.mean((0, 1)))[..., [0, 2, 1]] * before.new_tensor([1, -1, 1])
    assert offset.abs().max() < 1e-4
    torch.testing.assert_close(moved.rays, project(moved.positions))
    assert torch.equal(moved.confidence, split.confidence)


def test_a_camera_that_was_moved_up_keeps_its_distance(split: Split) -> None:
    assert split.positions is not None
    near = replace(split, positions=split.positions - torch.tensor([0.0, 0.0, 1.0]) * split.positions[..., 2].mean())
    moved = seen_from_above(near, 45.0)
    assert moved.positions is not None and moved.positions[..., 2].min() > NEAREST - 1e-4
    assert moved.rays.isfinite().all()


def test_a_layout_that_marks_the_joints_gives_them_back(split: Split) -> None:
    assert split.positions is not None
    marked = marked_as(split, H36M_LAYOUT, torch.Generator())
    assert marked.positions is not None
    torch.testing.assert_close(marked.positions, split.positions)
    turned = make_layout("turned", {f"my {name}": name for name in reversed(H36M.names)}, {}, 0.0)
    marked = marked_as(split, turned, torch.Generator())
    assert marked.positions is not None
    torch.testing.assert_close(marked.positions, split.positions.flip(1))
    torch.testing.assert_close(marked.rays, project(split.positions.flip(1)))


def test_a_mixture_lies_between_what_it_marks(split: Split) -> None:
    neck = {"left_shoulder": 0.5, "right_shoulder": 0.5}
    layout = make_layout("neck", {"neck": neck, "wrist": "left_wrist", "other": "right_wrist"}, {}, 0.0)
    marked = marked_as(split, layout, torch.Generator())
    assert marked.positions is not None and split.positions is not None
    names = ("left_shoulder", "right_shoulder", "left_wrist", "right_wrist")
    left, right, wrist, other = (split.positions[:, H36M.index(name)] for name in names)
    torch.testing.assert_close(marked.positions, torch.stack([(left + right) / 2, wrist, other], 1))


@pytest.mark.parametrize("layout", OTHERS, ids=lambda layout: layout.name)
def test_offsets_are_a_subjects_own_and_move_with_the_body(layout: Layout, split: Split) -> None:
    """As far as `Layout.spreads` says; the same in every frame of a subject, in the frames of the body's parts."""
    exact = Layout(layout.name, layout.keypoints, layout.landmarks, layout.mixtures, (0.0,) * len(layout))
    one, other, true = (
        marked_as(replace(split, table=split.table.assign(subject=subjects)), which, torch.Generator().manual_seed(0))
        for subjects, which in ((["S1", "S1"], layout), (["S1", "S2"], layout), (["S1", "S1"], exact))
    )
    assert one.positions is not None and other.positions is not None and true.positions is not None
    off = (one.positions - true.positions).norm(dim=-1)
    torch.testing.assert_close(off, off[:1].expand_as(off), atol=1e-4, rtol=0)
    relative = off[0] / torch.tensor(layout.spreads)
    assert 1 < relative.square().mean().sqrt() < 2.6  # sqrt(3) in the mean
    off = (other.positions - true.positions).norm(dim=-1)
    assert (off[0] - off[-1]).abs().max() > 0.003


class Perfect(Lifter):
    """Knows the people, however they are marked, and states an error of a hundredth of the distance."""

    def __init__(self, split: Split) -> None:
        super().__init__(tiny_checkpoint(frames=1), torch.device("cpu"))
        self.positions = split.positions

    def lift(self, split: Split, *_: object, **__: object) -> LiftedSplit:
        assert self.positions is not None and split.positions is not None
        distance = root_distance(self.positions, H36M)
        joints, keypoints = root_centred(self.positions, H36M), root_centred(split.positions, split.skeleton)
        stated = torch.full_like(joints[..., 0], 0.01), torch.full_like(keypoints[..., 0], 0.01)
        unit = distance[:, None, None]
        return lifted_points(joints / unit, keypoints / unit, *stated)


def test_who_knows_the_truth_has_no_error_under_any_condition(split: Split) -> None:
    assert split.positions is not None
    table = measured(Perfect(split), split)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 1 + len(HIDDEN) + 1 + 1 + len(FOCAL) + len(HIGHER) + 2 * len(OTHERS)
    assert table["n_mpjpe_mm"].max() < 0.1 and table["p_mpjpe_mm"].max() < 0.1
    assert (table["frames"] == 30).all()
    distance = float(root_distance(split.positions, H36M).mean())
    assert table["stated_mm"].to_numpy() == pytest.approx(10 * distance, rel=0.02)  # roots are not quite the same
    of_layouts = table[table["condition"].str.startswith("marked as")]
    assert of_layouts["joints"].tolist() == ["own", "h36m"] * len(OTHERS)


def test_a_model_is_measured_under_every_condition(split: Split) -> None:
    table = measured(Lifter(tiny_checkpoint(frames=3), torch.device("cpu")), split, batch_size=64)
    assert table["n_mpjpe_mm"].between(1, 2000).all() and table["p_mpjpe_mm"].between(1, 2000).all()
    assert table["condition"].nunique() == 1 + len(HIDDEN) + 1 + 1 + len(FOCAL) + len(HIGHER) + len(OTHERS)


def test_what_cannot_be_measured_is_one_line(split: Split) -> None:
    lifter = Lifter(tiny_checkpoint(frames=1), torch.device("cpu"))
    for other in (replace(split, positions=None), synthetic_split(5, layout=LAYOUTS["coco"])):
        with pytest.raises(UserError, match=r"robustness needs 3D of Human3\.6M's joints"):
            measured(lifter, other)
