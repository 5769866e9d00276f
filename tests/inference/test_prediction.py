"""From sequences to motions, by a small model that knows nothing and by one that was trained."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from lib.inference.lifter import Lifter
from lib.inference.prediction import Options, Who, predict, predict_split, size_of_height
from lib.inference.trajectory import ANKLE_HEIGHT
from lib.inference.uprightness import ANKLE_JOINTS
from lib.pose.cameras import assumed_camera
from lib.pose.geometry import bone_lengths
from lib.pose.layouts import FURTHER_LAYOUTS, H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.sources.base import PoseSequence
from tests import contract
from tests.inference.test_lifter import lifter as untrained
from tests.settings import synthetic_split
from tests.sources.detector_files import SIZE, prior_keypoints


@cache
def generalist() -> Lifter:
    return Lifter.load(contract.ROOT / "data" / "starts" / "generalist.pt.gz", "cpu")


def of_video(name: str = "a", person: int = 0, frames: int = 20, seed: int = 0, first: int = 0) -> PoseSequence:
    points = torch.from_numpy(prior_keypoints("coco", frames, seed)).float()
    return PoseSequence(
        "s", name, assumed_camera(SIZE), 30.0, points[..., :2], points[..., 2], None, group=name, person=person,
        first_frame=first,
    )  # fmt: skip


COCO = LAYOUTS["coco"]


def test_a_motion_says_whose_when_and_where() -> None:
    (motion,) = predict(generalist(), [of_video(person=3, first=6)], COCO, Options(), Path("a.mp4"))
    assert (motion.name, motion.person, motion.frame, motion.size) == ("a", "3", "camera", SIZE)
    assert motion.video == Path("a.mp4") and motion.model == "generalist.pt.gz"
    assert motion.numbers.tolist() == list(range(6, 26))
    torch.testing.assert_close(motion.times, torch.arange(6, 26, dtype=torch.float64) / 30)
    assert motion.keypoints.shape == (20, 17, 3)
    assert motion.target is None
    assert (motion.joints[..., 2] > 1).all()  # before the camera


def test_times_count_from_the_start_of_the_video() -> None:
    times = torch.arange(6, 26, dtype=torch.float64) / 20 + 0.1 * (torch.arange(20) > 10)
    (motion,) = predict(generalist(), [replace(of_video(first=6), times=times)], COCO, Options())
    torch.testing.assert_close(motion.times, times)


def test_what_was_not_detected_is_no_number_in_pixels() -> None:
    sequence = of_video()
    sequence.confidence[4, 2] = 0
    (motion,) = predict(generalist(), [sequence], COCO, Options())
    assert motion.pixels.isfinite().all(-1).logical_not().nonzero().tolist() == [[4, 2]]
    assert motion.keypoints.isfinite().all()


def test_poses_project_to_where_they_were_seen() -> None:
    (motion,) = predict(generalist(), [of_video()], COCO, Options())
    focal = assumed_camera(SIZE).focal[0]
    shown = motion.keypoints[..., :2] / motion.keypoints[..., 2:] * focal + torch.tensor(SIZE) / 2
    assert torch.linalg.vector_norm(shown - motion.pixels, dim=-1).mean() < 25  # of a person about 600 pixels high


def test_who_is_taller_is_farther_away() -> None:
    small, tall = (predict(generalist(), [of_video()], COCO, Options(height=h))[0] for h in (1.2, 1.8))
    torch.testing.assert_close(tall.joints, 1.5 * small.joints, rtol=1e-3, atol=1e-4)
    sizes = bone_lengths(tall.joints, H36M).sum(-1)
    assert sizes.mean() == pytest.approx(size_of_height(1.8), rel=0.03)
    assert tall.scale == "a height of 1.8 m, as given"


def test_a_video_is_lifted_as_if_it_were_alone() -> None:
    both = predict(generalist(), [of_video("a"), of_video("b", seed=3)], COCO, Options(world=True))
    (alone,) = predict(generalist(), [of_video("b", seed=3)], COCO, Options(world=True))
    torch.testing.assert_close(both[1].joints, alone.joints, rtol=0, atol=1e-3)  # sums differ with the batch


def test_the_people_of_a_video_share_a_world() -> None:
    beside = of_video(person=1, seed=3)
    beside = replace(beside, keypoints=beside.keypoints + torch.tensor([300.0, 0.0]))
    one, other = predict(generalist(), [of_video(), beside], COCO, Options(world=True))
    assert (one.frame, other.frame) == ("world", "world")
    assert one.joints[0, H36M.root, [0, 2]].abs().max() < 0.2  # but for what moved it so that feet stand
    assert other.joints[:, H36M.root, 0].mean() > one.joints[:, H36M.root, 0].mean() + 0.3
    for motion in (one, other):
        heights = motion.joints[..., 1]
        assert (heights[:, H36M.index("head")] > heights[:, H36M.index("left_ankle")]).all()
    assert -0.2 < torch.cat([one.joints, other.joints])[..., 1].min() < 0.3


def test_smoothing_makes_a_trembling_person_calmer() -> None:
    shaken = of_video(frames=60)
    noise = 6 * torch.randn(shaken.keypoints.shape, generator=torch.Generator().manual_seed(0))
    shaken = replace(shaken, keypoints=shaken.keypoints + noise)

    def trembling(smoothing: str) -> float:
        (motion,) = predict(generalist(), [shaken], COCO, Options(smoothing=smoothing))  # type: ignore[arg-type]
        return float(motion.joints.diff(n=2, dim=0).abs().mean())

    off, default, strong = map(trembling, ("off", "default", "strong"))
    assert strong < 0.5 * default < 0.35 * off


def test_a_split_with_3d_gives_the_true_keypoints_too() -> None:
    split = synthetic_split(12, 5)
    assert split.positions is not None
    motions = predict_split(untrained(frames=1), split, [Who("x", "0"), Who("y", "0")], Options())
    assert [len(motion) for motion in motions] == [12, 5]
    target = motions[1].target
    assert target is not None and torch.equal(target, split.positions[12:])
    assert motions[0].layout == H36M_LAYOUT


def test_everybody_stands_on_the_floor_whatever_their_size() -> None:
    child = of_video(person=1, seed=0)
    middle = torch.tensor([SIZE[0] / 2, SIZE[1] / 2])
    child = replace(child, keypoints=(child.keypoints - middle) * 0.6 + middle + torch.tensor([400.0, 150.0]))
    for motion in predict(generalist(), [of_video(), child], COCO, Options(world=True)):
        lower = motion.joints[:, list(ANKLE_JOINTS), 1].amin(-1)
        assert lower.quantile(0.33) == pytest.approx(ANKLE_HEIGHT, abs=0.05)


def test_of_an_unknown_layout_the_known_part_is_lifted() -> None:
    points = torch.from_numpy(prior_keypoints("coco_18", 10)).float()
    given = replace(of_video(frames=10), keypoints=points[..., :2], confidence=points[..., 2])
    (motion,) = predict(generalist(), [given], FURTHER_LAYOUTS["coco_18"], Options())
    assert motion.layout == COCO
    nose, theirs = (layout.keypoints.index("nose") for layout in (COCO, FURTHER_LAYOUTS["coco_18"]))
    assert torch.equal(motion.pixels[:, nose], points[:, theirs, :2])
    assert FURTHER_LAYOUTS["body_25b"].within(COCO) is None
