"""Files of every detector, written as it writes them: recognised from their content, and read as the same poses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lib.pose.layouts import layout_named
from lib.runtime.errors import UserError
from lib.sources.base import AutoSplit, SourceData
from lib.sources.keypoints.formats import FORMATS
from lib.sources.keypoints.read import read
from tests.data.files import source_params
from tests.sources.detector_files import SIZE, coco_results, flat, moved, prior_keypoints, write_json, write_openpose

SHARED = Path(__file__).parents[3] / "shared" / "data" / "detections"
FRAMES = 40


def read_folder(raw: Path, **params: Any) -> SourceData:
    return read(raw, source_params("keypoints", **{"keypoints": "auto", "split": AutoSplit(), **params}))


def mmpose_instance(pose: Any) -> dict[str, Any]:
    return {
        "keypoints": pose[:, :2].tolist(),
        "keypoint_scores": pose[:, 2].tolist(),
        "bbox": [[0.0, 0.0, 9.0, 9.0]],
        "bbox_score": 0.9,
    }


def normalised(poses: Any) -> Any:
    return poses / [*SIZE, 1]


def openpose(raw: Path, poses: Any) -> None:
    write_openpose(raw / "walk", [[pose] for pose in poses], "cam_")


def coco(raw: Path, poses: Any) -> None:
    write_json(raw / "walk.json", coco_results(poses))


def alphapose(raw: Path, poses: Any) -> None:
    ids: list[Any] = [1, "1", [1.0], [[1.0], [1.0]]]
    entries = [e | {"image_id": f"{e['image_id']}.jpg", "idx": ids[e["image_id"] % 4]} for e in coco_results(poses)]
    write_json(raw / "walk.json", entries)


def alphapose_grouped(raw: Path, poses: Any) -> None:
    """The form that it calls open."""
    people = {f"{n}.jpg": {"version": 0.1, "people": [{"pose_keypoints_2d": flat(p)}]} for n, p in enumerate(poses)}
    write_json(raw / "walk.json", people)


def alphapose_images(raw: Path, poses: Any) -> None:
    """The form that it calls cmu, a file an image."""
    for number, pose in enumerate(poses):
        content = {"version": "AlphaPose v0.2", "bodies": [{"joints": flat(pose)}]}
        write_json(raw / "walk" / f"{number}.json", content)


def mmpose_video(raw: Path, poses: Any) -> None:
    frames = [{"frame_id": n + 1, "instances": [mmpose_instance(pose)]} for n, pose in enumerate(poses)]
    write_json(raw / "walk.json", frames)


def mmpose_with_meta(raw: Path, poses: Any) -> None:
    frames = [{"frame_id": n + 1, "instances": [mmpose_instance(pose)]} for n, pose in enumerate(poses)]
    write_json(raw / "walk.json", {"meta_info": {"dataset_name": "coco"}, "instance_info": frames})


def mmpose_images(raw: Path, poses: Any) -> None:
    for number, pose in enumerate(poses):
        write_json(raw / "walk" / f"{number:06d}.json", [mmpose_instance(pose)])


def mediapipe_json(raw: Path, poses: Any) -> None:
    keys = ("x", "y", "visibility")
    frames = [[dict(zip(keys, map(float, p), strict=True)) | {"z": 0.1} for p in pose] for pose in normalised(poses)]
    write_json(raw / "walk.json", {"width": SIZE[0], "height": SIZE[1], "fps": 25, "frames": frames})


def mediapipe_csv(raw: Path, poses: Any) -> None:
    names = [name.upper() for name in layout_named("mediapipe_33").keypoints]
    table = pd.DataFrame({"frame": range(len(poses))})
    for number, name in enumerate(names):  # in another order, in whole pixels, without confidence
        table[f"{name}_y"], table[f"{name}_x"] = poses[:, number, 1].round(), poses[:, number, 0].round()
    raw.mkdir(parents=True, exist_ok=True)
    table[["frame", *reversed(table.columns[1:])]].to_csv(raw / "walk.csv", index=False)


def yolo_text(raw: Path, poses: Any) -> None:
    (raw / "labels").mkdir(parents=True)
    for number, pose in enumerate(normalised(poses)):
        row = [0, 0.5, 0.5, 0.2, 0.4, *pose.ravel().tolist()]
        (raw / "labels" / f"walk_{number + 1}.txt").write_text(" ".join(f"{v:.6f}" for v in row) + " 3\n")


def yolo_object(pose: Any) -> dict[str, Any]:
    points = {name: pose[:, axis].tolist() for axis, name in enumerate(("x", "y", "visible"))}
    return {"name": "person", "class": 0, "confidence": 0.9, "box": {}, "track_id": 1, "keypoints": points}


def yolo_json(raw: Path, poses: Any) -> None:
    write_json(raw / "walk.json", [[yolo_object(pose)] for pose in poses])


def yolo_images(raw: Path, poses: Any) -> None:
    for number, pose in enumerate(poses):
        write_json(raw / "walk" / f"frame{number}.json", [yolo_object(pose)])


def videopose3d(raw: Path, poses: Any) -> None:
    raw.mkdir(parents=True, exist_ok=True)
    about = {"walk": {"w": SIZE[0], "h": SIZE[1], "fps": 25}}
    metadata = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": [[1], [2]], "video_metadata": about}
    positions = {"walk": {"custom": [poses[..., :2].astype(np.float32)]}}
    np.savez_compressed(raw / "data_2d_custom_mine.npz", positions_2d=positions, metadata=metadata)  # type: ignore[arg-type]


def detectron(raw: Path, poses: Any) -> None:
    raw.mkdir(parents=True, exist_ok=True)
    keypoints, boxes = (np.empty(len(poses), object) for _ in range(2))
    for number, pose in enumerate(poses):
        rows = np.stack([pose[:, 0], pose[:, 1], 0 * pose[:, 2], pose[:, 2]])[None].astype(np.float32)
        keypoints[number], boxes[number] = [[], rows], [[], np.ones((1, 5), np.float32)]
    np.savez(raw / "walk.mp4.npz", keypoints=keypoints, boxes=boxes, metadata={"w": SIZE[0], "h": SIZE[1]})  # type: ignore[arg-type]


def csv_wide(raw: Path, poses: Any) -> None:
    names = layout_named("coco").keypoints
    columns = {f"{name}_{axis}": poses[:, n, a] for n, name in enumerate(names) for a, axis in enumerate("xyc")}
    raw.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(raw / "walk.csv", index=False)


def csv_numbered(raw: Path, poses: Any) -> None:
    columns = {f"{axis}{n}": poses[:, n, a] for n in range(17) for a, axis in enumerate(("x", "y", "score"))}
    raw.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(raw / "walk.csv", index=False)


def csv_long(raw: Path, poses: Any) -> None:
    names = layout_named("coco").keypoints
    rows = [(frame, 7, name, *pose[number]) for frame, pose in enumerate(poses) for number, name in enumerate(names)]
    raw.mkdir(parents=True, exist_ok=True)
    columns = ["frame", "person", "keypoint", "x", "y", "confidence"]
    pd.DataFrame(rows, columns=pd.Index(columns)).sample(frac=1, random_state=0).to_csv(raw / "walk.csv", index=False)


Writer = Callable[[Path, Any], None]
CASES: list[tuple[Writer, str, str, float]] = [
    (openpose, "body_25", "openpose", 0.01),
    (openpose, "coco_18", "openpose", 0.01),
    (openpose, "body_25b", "openpose", 0.01),
    (coco, "coco", "coco", 0.01),
    (alphapose, "coco", "alphapose", 0.01),
    (alphapose, "halpe_26", "alphapose", 0.01),
    (alphapose_grouped, "coco_18", "alphapose", 0.01),
    (alphapose_images, "coco_18", "alphapose", 0.01),
    (mmpose_video, "coco", "mmpose", 0.01),
    (mmpose_with_meta, "h36m_from_coco", "mmpose", 0.01),
    (mmpose_images, "coco", "mmpose", 0.01),
    (mediapipe_json, "mediapipe_33", "mediapipe", 0.01),
    (mediapipe_csv, "mediapipe_33", "mediapipe", 0.51),
    (yolo_text, "coco", "yolo", 0.01),
    (yolo_json, "coco", "yolo", 0.01),
    (yolo_images, "coco", "yolo", 0.01),
    (videopose3d, "coco", "videopose3d", 0.01),
    (detectron, "coco", "detectron", 0.01),
    (csv_wide, "coco", "csv", 0.01),
    (csv_numbered, "coco", "csv", 0.01),
    (csv_long, "coco", "csv", 0.01),
]


@pytest.mark.parametrize(
    ("write", "layout", "name", "accuracy"), CASES, ids=[f"{case[0].__name__} {case[1]}" for case in CASES]
)
def test_a_video_of_every_format_is_read(
    write: Writer, layout: str, name: str, accuracy: float, tmp_path: Path
) -> None:
    poses = prior_keypoints(layout, FRAMES)
    poses[5:8, 3] = [0.0, 0.0, 0.0]  # not detected
    if layout == "h36m_from_coco":  # as a conversion has it; the prior's points have a spread
        poses[:, 0], poses[:, 8] = (poses[:, 1] + poses[:, 4]) / 2, (poses[:, 11] + poses[:, 14]) / 2
    write(tmp_path, poses)
    data = read_folder(tmp_path, size=SIZE)
    assert (data.layout, data.inputs["videos"], data.inputs[f"videos_{name}"]) == (layout_named(layout), 1, 1)
    assert data.inputs["people"] == 1 and not data.dropped
    (sequence,) = data.sequences
    assert sequence.action.startswith("walk") and sequence.positions is None
    assert sequence.camera.size == SIZE and sequence.camera.assumed
    expected = torch.from_numpy(poses).float()
    seen = torch.from_numpy(poses[..., 2] > 0)
    assert sequence.keypoints.shape == (FRAMES, len(data.layout), 2)
    assert torch.equal(sequence.confidence > 0, seen)
    assert (sequence.keypoints - expected[..., :2]).abs()[seen].max() < accuracy
    assert sequence.keypoints[~seen].isnan().all()


def test_every_format_has_a_case() -> None:
    assert {name for _, _, name, _ in CASES} == set(FORMATS)


def test_a_format_that_is_named_is_the_only_one_that_is_read(tmp_path: Path) -> None:
    coco(tmp_path, prior_keypoints("coco"))
    assert len(read_folder(tmp_path, keypoints="coco").sequences) == 1
    with pytest.raises(UserError, match=r"none of 1 videos can be used: .*walk\.json: no list of people"):
        read_folder(tmp_path, keypoints="openpose")
    with pytest.raises(UserError, match=r"walk\.json: JSON, which is not csv"):
        read_folder(tmp_path, keypoints="csv")


def test_rates_and_sizes_are_those_of_the_files_where_they_say_them(tmp_path: Path) -> None:
    videopose3d(tmp_path, prior_keypoints("coco"))
    coco(tmp_path, prior_keypoints("coco"))
    data = read_folder(tmp_path, fps=60.0, size=(4000, 3000))
    found = {sequence.subject: (sequence.fps, sequence.camera.size) for sequence in data.sequences}
    assert found == {"data_2d_custom_mine": (25.0, SIZE), "walk": (60.0, (4000, 3000))}


@pytest.mark.parametrize(("size", "extent"), [((1280, 720), (1200, 700)), ((720, 1280), (700, 1200))])
def test_sizes_that_nobody_says_are_inferred_and_said(
    size: tuple[int, int], extent: tuple[int, int], tmp_path: Path
) -> None:
    """The smallest usual one that holds the keypoints."""
    poses = prior_keypoints("coco")
    low, high = poses[..., :2].min((0, 1)), poses[..., :2].max((0, 1))
    poses[..., :2] = (poses[..., :2] - low) / (high - low) * (np.array(extent) - 5) + 5
    coco(tmp_path, poses)
    data = read_folder(tmp_path)
    assert data.sequences[0].camera.size == size
    assert any(f"{size[0]} x {size[1]} is taken" in note for note in data.notes)


def test_confidences_above_one(tmp_path: Path) -> None:
    """AlphaPose's exceed 1 now and then; others count to 100."""
    poses = prior_keypoints("coco")
    poses[0, :, 2] = 1.07
    coco(tmp_path / "a", poses)
    poses[:, :, 2] = np.linspace(1, 100, 17)
    coco(tmp_path / "b", poses)
    one, other = read_folder(tmp_path).sequences
    assert one.confidence[0].max() == 1 and one.confidence[1:].max() == pytest.approx(0.9)
    assert other.confidence[0, 8] == pytest.approx(0.505, abs=0.01) and other.confidence.max() == 1


def test_labels_of_a_coco_data_set(tmp_path: Path) -> None:
    poses = prior_keypoints("coco")
    poses[..., 2] = 2
    poses[:, 4, 2] = 1
    images = [{"id": 100 + 7 * n, "file_name": f"{n}.jpg", "width": 1280, "height": 1024} for n in range(FRAMES)]
    entries = [e | {"image_id": 100 + 7 * e["image_id"]} for e in coco_results(poses)]
    write_json(tmp_path / "walk.json", {"images": images, "annotations": entries, "categories": []})
    (sequence,) = read_folder(tmp_path).sequences
    assert len(sequence.keypoints) == FRAMES and sequence.camera.size == (1280, 1024)
    assert (sequence.confidence[:, 4] == 0.5).all() and (sequence.confidence[:, 5] == 1).all()


def test_whole_bodies_are_read_as_their_body(tmp_path: Path) -> None:
    poses = prior_keypoints("coco")
    face = np.concatenate([poses[:, :1].repeat(116, 1)], axis=1)
    mmpose_video(tmp_path, np.concatenate([poses, face], axis=1))
    data = read_folder(tmp_path)
    assert data.layout.name == "coco" and data.sequences[0].keypoints.shape == (FRAMES, 17, 2)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_real_openpose() -> None:
    data = read_folder(SHARED / "openpose_body25")
    assert data.layout.name == "body_25" and {s.subject for s in data.sequences} == {"27", "32"}
    assert sorted(len(s.keypoints) for s in data.sequences)[-3:] == [6, 90, 90]  # two people on a treadmill
    assert {d.reason for d in data.dropped} == {"rarely_seen"}  # spurious ones, in some frames only
    content = json.loads((SHARED / "openpose_body25" / "32" / "000.json").read_text())
    first = torch.tensor(content["people"][0]["pose_keypoints_2d"]).reshape(25, 3)
    sequence = next(s for s in data.sequences if s.subject == "32")
    seen = first[:, 2] > 0
    assert 0 < (~seen).sum() < 5
    torch.testing.assert_close(sequence.keypoints[0][seen], first[seen, :2])
    assert sequence.keypoints[0][~seen].isnan().all() and torch.equal(sequence.confidence[0], first[:, 2])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_real_alphapose() -> None:
    data = read_folder(SHARED / "alphapose_halpe26")
    assert (data.layout.name, data.inputs["videos_alphapose"]) == ("halpe_26", 1)
    longest = max(data.sequences, key=lambda sequence: len(sequence.keypoints))
    assert len(longest.keypoints) == 299 and longest.confidence.max() <= 1
    assert (longest.confidence > 0).all(1).float().mean() > 0.95


def table_of(poses: Any, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {f"{name}_{axis}": poses[:, i, j] for i, name in enumerate(names) for j, axis in enumerate(("x", "y"))}
    )


def test_columns_are_those_of_the_users_own_layout(tmp_path: Path) -> None:
    coco = layout_named("coco")
    own = list(coco.keypoints[5:])
    (tmp_path / "own.yaml").write_text("keypoints:\n" + "".join(f"  {name}: {name}\n" for name in own))
    poses = prior_keypoints("coco")[:, 5:]
    table = table_of(poses, own)
    table[sorted(table.columns)].to_csv(tmp_path / "walk.csv", index=False)
    data = read_folder(tmp_path, layout="own.yaml", size=SIZE)
    torch.testing.assert_close(data.sequences[0].keypoints, torch.tensor(poses[..., :2]).float())


@pytest.mark.parametrize(("sep", "decimal"), [(",", "."), (";", "."), (";", ",")])
def test_tables_of_spreadsheets_with_a_number_for_each_row(sep: str, decimal: str, tmp_path: Path) -> None:
    poses = prior_keypoints("coco")
    table = table_of(poses, list(layout_named("coco").keypoints))
    table.to_csv(tmp_path / "walk.csv", index_label="id", sep=sep, decimal=decimal)
    (sequence,) = read_folder(tmp_path, size=SIZE).sequences
    torch.testing.assert_close(sequence.keypoints, torch.tensor(poses[..., :2]).float())


@pytest.mark.parametrize("column", ["person", "body"])
def test_people_whose_rows_of_keypoints_are_not_told_apart_are_refused(column: str, tmp_path: Path) -> None:
    poses, names = prior_keypoints("coco"), layout_named("coco").keypoints
    people = (poses, moved(poses, 500))
    rows = [
        (frame, number, name, *pose[frame][joint])
        for frame in range(len(poses))
        for number, pose in enumerate(people)
        for joint, name in enumerate(names)
    ]
    table = pd.DataFrame(rows, columns=pd.Index(["frame", column, "keypoint", "x", "y", "confidence"]))
    table.to_csv(tmp_path / "walk.csv", index=False)
    if column == "person":
        assert len(read_folder(tmp_path, size=SIZE).sequences) == 2
        return
    with pytest.raises(UserError, match="several rows of one frame and keypoint: number people in a column person"):
        read_folder(tmp_path, size=SIZE)


def test_frames_in_seconds_are_refused(tmp_path: Path) -> None:
    table = table_of(prior_keypoints("coco"), list(layout_named("coco").keypoints))
    table.assign(frame=table.index / 30).to_csv(tmp_path / "walk.csv", index=False)
    with pytest.raises(UserError, match="frames that are no whole numbers, such as seconds"):
        read_folder(tmp_path)


@pytest.mark.parametrize("fps", [0, -1, 1e-5, 1e300, True, "30", None])
def test_a_rate_that_nothing_is_filmed_at_is_not_said(fps: Any, tmp_path: Path) -> None:
    frames = [[dict(zip("xy", point, strict=True)) for point in pose] for pose in normalised_mediapipe()]
    write_json(tmp_path / "walk.json", {"frames": frames, "fps": fps, "width": 1920, "height": 1080})
    assert [s.fps for s in read_folder(tmp_path, fps=25).sequences] == [25]


def normalised_mediapipe() -> Any:
    return normalised(prior_keypoints("mediapipe_33"))[..., :2].tolist()
