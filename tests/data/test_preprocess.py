"""The preprocess stage: splits, statistics and metrics, and every error it promises."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lib.data import preprocessing, store
from lib.data.statistics import count_dropped
from lib.pose.camera_files import write_cameras
from lib.pose.cameras import Camera, assumed_camera
from lib.pose.landmarks import LANDMARKS
from lib.pose.layouts import LAYOUTS, read_layout
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from lib.sources import catalog
from lib.sources.base import REASONS, Dropped, SourceData, SourceParams
from stages.preprocess import run
from tests.data.files import FRAMES, VIRTUAL_CAMERAS, h36m_takes, write_h36m

SAME: dict[str, Any] = {"source": "same", "keypoints": "gt", "subjects": []}


def params(**changes: Any) -> dict[str, Any]:
    split = {"train": ["S1"], "validation": ["S8"], "test": ["S9"]}
    elsewhere = {"window": {"frames": 1}, "transforms": {}, "occlusion": {}, "loader": {}}
    return {
        "data": {
            "source": "h36m",
            "keypoints": "gt",
            "layout": "auto",
            "cameras": "auto",
            "fps": 30,
            "size": "auto",
            "rotate": "auto",
            "people": "all",
            "split": split,
            "min_frames": 10,
            "virtual_cameras": VIRTUAL_CAMERAS,
            **elsewhere,
            **changes,
        },
        "evaluation": dict(SAME),
    }


def split(train: str = "S1", validation: str = "S8", test: str = "S9") -> dict[str, list[str]]:
    return {"train": train.split(), "validation": validation.split(), "test": test.split()}


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.fixture
def paths(tmp_path: Path, h36m_raw: Path) -> Paths:
    return Paths(tmp_path)


def test_subjects_go_to_their_splits(paths: Paths) -> None:
    run(params(), paths)
    for name, subject in (("train", "S1"), ("validation", "S8"), ("test", "S9")):
        stored = store.read_split(paths.poses, name, "needed")
        assert set(stored.table["subject"]) == {subject}
        assert len(stored.table) == 8 and len(stored.keypoints) == 8 * FRAMES


def test_metrics_are_flat_numbers(paths: Paths) -> None:
    run(params(), paths)
    metrics = load(paths.metrics("preprocess"))
    assert all(isinstance(value, int | float) for value in metrics.values())
    counts = {f"{name}_sequences": 8 for name in split()} | {f"{name}_frames": 8 * FRAMES for name in split()}
    nothing = {f"dropped_{reason}": 0 for reason in REASONS} | {"dropped_sequences": 0, "cut_frames": 0}
    nothing |= {f"{name}_{what}": 0 for name in split() for what in ("undetected_frames", "unlabelled_sequences")}
    nothing |= {"hidden_share": 0, "mean_confidence": 1, "assumed_cameras": 0}
    assert metrics == counts | nothing


def test_dropped_sequences_are_counted_with_their_reason(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    positions, keypoints = h36m_takes()
    keypoints["S1"]["Walking"][0] = keypoints["S1"]["Walking"][0][:-1]
    positions["S9"]["Eating 2"] = positions["S9"]["Eating 2"][:9]
    del positions["S8"]["Eating 2"]
    write_h36m(paths.raw("h36m"), positions, keypoints)
    run(params(), paths)
    metrics = load(paths.metrics("preprocess"))
    assert metrics["dropped_sequences"] == 9
    assert (metrics["dropped_shorter_than_mocap"], metrics["dropped_too_short"], metrics["dropped_no_3d"]) == (1, 4, 4)
    assert (metrics["train_sequences"], metrics["validation_sequences"], metrics["test_sequences"]) == (7, 4, 4)
    assert metrics["cut_frames"] == 4 * (FRAMES - 9)
    dropped = load(paths.stats)["dropped"]
    assert dropped["too_short"]["frames"] == 4 * 9
    assert dropped["shorter_than_mocap"] == {"sequences": 1, "frames": FRAMES, "which": ["S1 Walking 54138969"]}


def test_statistics_of_the_2d(paths: Paths) -> None:
    run(params(), paths)
    stats = load(paths.stats)
    assert (stats["source"], stats["keypoints"], stats["layout"]) == ("h36m", "gt", "h36m")
    train, stored = stats["splits"]["train"], store.read_split(paths.poses, "train")
    assert (train["subjects"], train["sequences"], train["frames"]) == (["S1"], 8, 8 * FRAMES)
    assert (train["fps"], train["seconds"]) == ([50.0], 8 * FRAMES / 50)
    height = np.ptp(stored.keypoints[..., 1].numpy().astype(np.float64), axis=1)
    assert train["box_height_px"]["mean"] == pytest.approx(height.mean(), abs=1e-5)
    assert train["box_height_px"]["std"] == pytest.approx(height.std(), abs=1e-5)
    assert train["ray_x"]["mean"] == pytest.approx(stored.rays[..., 0].double().mean().item(), abs=1e-6)
    # A person of 1.5 m at 4 to 6 m: the RMS distance of joints from their mean is about 0.5 m.
    assert 0.06 < train["ray_extent"]["mean"] < 0.15
    assert train["confidence"] == {"mean": 1.0, "std": 0.0}


def test_statistics_of_the_3d_stand_apart(paths: Paths) -> None:
    run(params(), paths)
    stats = load(paths.stats)
    stored = store.read_split(paths.poses, "test", "needed")
    assert stored.positions is not None
    test = stats["evaluation_only"]["test"]
    for (child, parent), (name, length) in zip(H36M.bones, test["bone_length_m"].items(), strict=True):
        assert name == H36M.names[child]
        expected = (stored.positions[:, child] - stored.positions[:, parent]).norm(dim=-1).mean().item()
        assert length["mean"] == pytest.approx(expected, abs=1e-5)
    assert list(test["mean_pose_m"]) == list(H36M.names) and test["mean_pose_m"]["pelvis"] == [0, 0, 0]
    assert test["mean_pose_m"]["head"][1] < 0 < test["mean_pose_m"]["left_ankle"][1]
    assert 3 < test["root_depth_m"]["mean"] < 6
    del stats["evaluation_only"]
    assert "_m" not in json.dumps(stats)


def test_2d_statistics_do_not_depend_on_the_3d(paths: Paths) -> None:
    run(params(), paths)
    with_labels = load(paths.stats)["splits"]
    positions, keypoints = h36m_takes()
    write_h36m(paths.raw("h36m"), {s: {a: p * 1.02 for a, p in t.items()} for s, t in positions.items()}, keypoints)
    run(params(), paths)
    assert load(paths.stats)["splits"] == with_labels


def test_a_source_without_3d_has_no_3d_statistics(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    original = catalog.SOURCES["h36m"]

    def without(raw: Path, data: SourceParams) -> SourceData:
        source = original(raw, data)
        return source._replace(recorded=[replace(s, positions=None) for s in source.sequences])

    monkeypatch.setitem(catalog.SOURCES, "h36m", without)
    run(params(), paths)
    stats = load(paths.stats)
    assert stats["evaluation_only"] == {} and set(stats["splits"]) == {"train", "validation", "test"}
    with pytest.raises(UserError, match="no 3D for the test split"):
        store.read_split(paths.poses, "test", "needed")


def test_sequences_without_3d_are_counted_and_leave_the_others_theirs(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = catalog.SOURCES["h36m"]

    def without(raw: Path, data: SourceParams) -> SourceData:
        source = original(raw, data)
        few = [
            replace(s, positions=None) if (s.subject, s.action) == ("S9", "Walking") else s for s in source.sequences
        ]
        return source._replace(recorded=few)

    run(params(), paths)
    assert not capsys.readouterr().out
    before = load(paths.stats)["evaluation_only"]
    monkeypatch.setitem(catalog.SOURCES, "h36m", without)
    run(params(), paths)
    assert capsys.readouterr().out == "4 of 8 test sequences have no 3D: what needs labels leaves them out\n"
    metrics = load(paths.metrics("preprocess"))
    assert [metrics[f"{name}_unlabelled_sequences"] for name in split()] == [0, 0, 4]
    assert len(store.read_split(paths.poses, "test", "needed").table) == 4
    assert load(paths.stats)["evaluation_only"]["train"] == before["train"]
    assert load(paths.stats)["evaluation_only"]["test"] != before["test"]


def test_the_same_run_writes_the_same_statistics(paths: Paths) -> None:
    run(params(), paths)
    before = paths.stats.read_bytes()
    run(params(), paths)
    assert paths.stats.read_bytes() == before


def test_the_sample_runs_through_the_same_stage(tmp_path: Path, sample_raw: Path) -> None:
    run(params(source="sample", keypoints="noisy", split=split("S1 S5", "S8", "S9 S11")), Paths(tmp_path))
    metrics = load(Paths(tmp_path).metrics("preprocess"))
    assert (metrics["train_sequences"], metrics["validation_sequences"], metrics["test_sequences"]) == (72, 8, 32)


def test_keypoints_are_read_in_the_layout_that_the_params_name(paths: Paths, tmp_path: Path) -> None:
    run(params(layout="h36m_from_coco"), paths)
    assert store.read_split(paths.poses, "train").layout == LAYOUTS["h36m_from_coco"]
    assert load(paths.stats)["layout"] == "h36m_from_coco"
    own = tmp_path / "mine.yaml"
    own.write_text("keypoints:\n" + "".join(f"  {name}: {name}\n" for name in LANDMARKS[1:18]))
    run(params(layout=str(own)), paths)
    assert store.read_split(paths.poses, "train").layout == read_layout(own)


def test_cameras_are_those_of_a_file_where_the_source_has_them(paths: Paths) -> None:
    run(params(), paths)
    before, own = store.read_split(paths.poses, "train", "needed"), store.read_cameras(paths.poses, "train")
    camera = own[0]
    lens = Camera("", camera.size, (2 * camera.focal[0], 2 * camera.focal[1]), camera.center)
    longer = {one.name: replace(lens, name=one.name, size=one.size, orientation=one.orientation) for one in own}
    write_cameras(paths.raw("h36m") / "mine.yaml", longer)
    run(params(cameras="mine.yaml"), paths)
    after = store.read_split(paths.poses, "train", "needed")
    for row, one in enumerate(store.read_cameras(paths.poses, "train")):
        assert one == replace(longer[one.name], position=own[row].position)  # where it stands is the source's to say
        some = slice(row * FRAMES, (row + 1) * FRAMES)
        torch.testing.assert_close(after.rays[some], one.to_rays(after.keypoints[some].double()).float())
    torch.testing.assert_close(after.positions, before.positions)
    assert load(paths.stats)["cameras"][camera.name]["focal"] == [round(2 * camera.focal[0], 3)]
    write_cameras(paths.raw("h36m") / "other.yaml", {"phone": camera})
    with pytest.raises(UserError, match=r"other\.yaml: no camera fits S1/.*; it has phone"):
        run(params(cameras="other.yaml"), paths)


def test_cameras_of_which_nothing_is_known_are_assumed_and_said_so(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    run(params(), paths)
    known = store.read_cameras(paths.poses, "train")
    assert "assumed" not in capsys.readouterr().out
    run(params(cameras="assumed"), paths)
    for own, camera in zip(known, store.read_cameras(paths.poses, "train"), strict=True):
        expected = assumed_camera(own.size, own.name)
        assert camera == replace(expected, orientation=own.orientation, position=own.position)
    lines = [line for line in capsys.readouterr().out.splitlines() if "is assumed" in line]
    assert len(lines) == len({camera.name for camera in known})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"layout": "body_25"},
            r"data\.layout = 'body_25' has 25 keypoints, and the h36m source has 17",
        ),
        ({"layout": "coco"}, r"data\.layout = 'coco': keypoints that lie as those of h36m, not of coco"),
        ({"layout": "nothing.yaml"}, r"nothing\.yaml is missing: name one of h36m, coco, .*, or a YAML file"),
        ({"layout": ""}, r"data\.layout = '': must be auto, a layout's name or a YAML file"),
        (
            {"split": split(test="S9 S1")},
            r"data\.split names S1 more than once \(train, test\): a subject belongs to one",
        ),
        ({"split": split(validation="")}, r"data\.split\.validation names nobody: every split needs a subject"),
        ({"split": split(train="S1 S1")}, r"data\.split names S1 more than once \(train, train\)"),
        (
            {"split": split(test="S9 S10")},
            r"data\.split\.test names S10, which the h36m source does not have; it has S1, S8, S9",
        ),
        (
            {"min_frames": FRAMES + 1},
            r"data\.split\.train = S1 leaves no sequence \(8 too_short; data\.min_frames = 31\)",
        ),
        ({"min_frames": 0}, r"data\.min_frames = 0: "),
        ({"source": "h37m"}, r"data\.source = 'h37m': must be one of sample, h36m, keypoints"),
        ({"minframes": 3}, r"data\.minframes is not a known key"),
    ],
)
def test_errors_name_the_key_and_write_nothing(paths: Paths, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(params(**changes), paths)
    assert not paths.poses.exists() and not paths.stats.exists()


def test_subjects_of_other_splits_do_not_explain_an_empty_one() -> None:
    dropped = [Dropped("S1", "Walking", "0", 5, "no_3d"), Dropped("S9", "Walking", "0", 7, "no_2d")]
    assert count_dropped(dropped, ["S9"]) == {"no_2d": {"sequences": 1, "frames": 7, "which": ["S9 Walking 0"]}}


def test_preprocessing_gives_threads_back(paths: Paths) -> None:
    before = torch.get_num_threads()
    with preprocessing.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    run(params(), paths)
    assert torch.get_num_threads() == before
