"""Which order keypoints are in: COCO's and Human3.6M's 17, and BODY_25's and BODY_25B's 25, are told by the poses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lib.pose.layouts import layout_named
from lib.runtime.errors import UserError
from lib.sources.base import AutoSplit, SourceData
from lib.sources.keypoints.detections import BadFile
from lib.sources.keypoints.directions import upright
from lib.sources.keypoints.layout import find_layout, likeness, pair_distances
from lib.sources.keypoints.read import read
from tests.data.files import h36m_takes, source_params
from tests.sources.detector_files import Array, coco_results, prior_keypoints, write_json

LAYOUTS = ("coco", "h36m", "mpi_inf_3dhp", "coco_18", "body_25", "body_25b", "halpe_26", "mediapipe_33", "humaneva_15")
SHARED = Path(__file__).parents[3] / "shared" / "data" / "detections"


def read_folder(raw: Path, layout: str = "auto") -> SourceData:
    return read(raw, source_params("keypoints", keypoints="auto", split=AutoSplit(), layout=layout))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(8))
def test_the_layout_is_found_from_many_motions(layout: str, seed: int) -> None:
    assert find_layout(prior_keypoints(layout, 30, seed), None).name == layout


@pytest.mark.parametrize(("true", "other"), [("coco", "h36m"), ("h36m", "coco"), ("body_25", "body_25b")])
def test_the_wrong_order_is_refused(true: str, other: str) -> None:
    for seed in range(5):
        poses = prior_keypoints(true, 30, seed)
        squares = pair_distances(poses)
        assert likeness(squares, layout_named(true)) > 0.75
        assert likeness(squares, layout_named(other)) < 0.5
        with pytest.raises(BadFile, match=f"lie as those of {true}, not of {other}"):
            find_layout(poses, layout_named(other))
        assert find_layout(poses, layout_named(true)) == layout_named(true)


def test_halves_of_bodies_are_known_too() -> None:
    """Of somebody at a desk, whose legs no picture shows."""
    for seed in range(5):
        coco, h36m = prior_keypoints("coco", 30, seed), prior_keypoints("h36m", 30, seed)
        coco[:, 11:] = h36m[:, 1:7] = [np.nan, np.nan, 0]
        assert find_layout(coco, None).name == "coco"
        assert find_layout(h36m, None).name == "h36m"


def test_a_body_in_no_known_order_is_refused() -> None:
    poses = prior_keypoints("coco")[:, np.random.default_rng(0).permutation(17)]
    with pytest.raises(BadFile, match=r"17 keypoints that lie as no body's in the order of coco or .*data\.layout"):
        find_layout(poses, None)
    with pytest.raises(BadFile, match=r"21 keypoints: layouts have 15 \(humaneva_15\), 17 .*YAML file"):
        find_layout(np.zeros((5, 21, 3)), None)
    with pytest.raises(BadFile, match=r"17 keypoints, but body_25 has 25"):
        find_layout(poses, layout_named("body_25"))


def test_keypoints_of_a_capture_are_not_taken_for_converted_ones() -> None:
    takes = h36m_takes()[1]["S1"]["Walking"][0]
    poses: Array = np.concatenate([takes, np.ones((*takes.shape[:2], 1))], -1)
    assert find_layout(poses, None).name == "h36m"
    poses[:, 0], poses[:, 8] = (poses[:, 1] + poses[:, 4]) / 2, (poses[:, 11] + poses[:, 14]) / 2
    assert find_layout(poses, None).name == "h36m_from_coco"


def test_where_heads_are() -> None:
    poses, coco = prior_keypoints("coco"), layout_named("coco")
    right, up = upright(poses, coco)
    assert up > 0.8 and abs(right) < 0.4
    assert upright(poses[..., [1, 0, 2]], coco) == pytest.approx((-up, -right), abs=1e-6)
    assert upright(np.full_like(poses, np.nan), coco) == (0.0, 0.0)


def test_the_order_of_a_file_is_found_and_the_wrong_name_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "walk.json", coco_results(prior_keypoints("coco")))
    assert read_folder(tmp_path).layout.name == "coco"
    with pytest.raises(UserError, match=r"walk\.json: keypoints that lie as those of coco, not of h36m"):
        read_folder(tmp_path, "h36m")


def test_a_layout_of_ones_own(tmp_path: Path) -> None:
    names = ["nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_knee", "right_knee"]
    (tmp_path / "mine.yaml").write_text("keypoints:\n" + "".join(f"  {name}: {name}\n" for name in names))
    poses = prior_keypoints("coco")[:, [layout_named("coco").keypoints.index(name) for name in names]]
    write_json(tmp_path / "walk.json", coco_results(poses))
    data = read_folder(tmp_path, "mine.yaml")
    assert data.layout.keypoints == tuple(names) and len(data.sequences) == 1
    with pytest.raises(UserError, match=r"7 keypoints: layouts have 15 .*describe another one"):
        read_folder(tmp_path)


def test_videos_in_another_layout_than_most_are_left_out(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", coco_results(prior_keypoints("coco")))
    write_json(tmp_path / "b.json", coco_results(prior_keypoints("coco", seed=1)))
    write_json(tmp_path / "c.json", coco_results(prior_keypoints("halpe_26")))
    data = read_folder(tmp_path)
    assert data.layout.name == "coco" and len(data.sequences) == 2
    assert [(d.subject, d.reason, d.frames) for d in data.dropped] == [("c", "other_layout", 40)]
    assert any("keypoints of halpe_26; most have coco" in note for note in data.notes)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_real_detections_in_wrong_orders() -> None:
    poses = torch.stack(
        [s.keypoints for s in read_folder(SHARED / "openpose_body25").sequences if len(s.keypoints) > 50]
    )
    points = np.concatenate([poses.flatten(0, 1).numpy(), np.ones((180, 25, 1))], -1)
    assert find_layout(points, None).name == "body_25"
    with pytest.raises(BadFile, match="lie as those of body_25, not of body_25b"):
        find_layout(points, layout_named("body_25b"))
    body_25 = layout_named("body_25").keypoints
    coco = points[:, [body_25.index(name) for name in layout_named("coco").keypoints]]
    assert find_layout(coco, None).name == "coco"
