"""Every reader of files, with a small file that it reads; each gives a value or a UserError, whatever it is given."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import cv2
import numpy as np
import torch

from lib.data import store
from lib.data.masked_windows import Reconstruction
from lib.detection.video import Pictures, Video
from lib.evaluation.reconstruction import read_examples, write_examples
from lib.inference.predictions import read_predictions, write_predictions
from lib.models import checkpoints
from lib.pipeline.sections import check_params
from lib.pose.camera_files import read_cameras
from lib.pose.layouts import read_layout
from lib.pose.skeleton import H36M
from lib.runtime.csv_files import read_csv
from lib.runtime.params import read as read_params
from lib.sources import bvh, h36m, humaneva, mpi_inf_3dhp, recordings, sample
from lib.sources.base import AutoSplit, SplitParams
from lib.sources.clips import CLIPS, file_name
from lib.sources.inputs import Given
from lib.sources.keypoints.read import read_folder_or_file
from lib.sources.streams import of_lines
from lib.training.state import Progress, TrainingState, load_state, save_state
from tests import contract
from tests.data.dataset_files import eva_takes, write_eva, write_mpi
from tests.data.files import clip_frames, h36m_takes, source_params, write_clips, write_h36m
from tests.data.mocap_files import write_bvh
from tests.settings import tiny_checkpoint
from tests.sources import test_keypoint_formats as formats
from tests.sources.detector_files import coco_results, prior_keypoints, write_json
from tests.sources.test_recordings import recording
from tests.synthetic import lifted, lifted_truth, write_store

Files = dict[str, bytes]  # by their paths below a folder


class Reader(NamedTuple):
    """What reads a folder's files, of which the first is the one that is damaged."""

    write: Callable[[Path], object]
    read: Callable[[Path], object]
    file: str

    def files(self) -> Files:
        """The files, as they should be."""
        return _files(self.write, self.file)


@cache
def _files(write: Callable[[Path], object], file: str) -> Files:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        return {file: found[file].read_bytes(), **{name: path.read_bytes() for name, path in found.items()}}


def _text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def _params(folder: Path) -> None:
    (folder / "params.yaml").write_bytes((contract.ROOT / "params.yaml").read_bytes())


def _read_params(folder: Path) -> None:
    check_params(read_params(folder / "params.yaml"))


def write_state(path: Path) -> None:
    """The state of a run that has hardly begun."""
    weights = {"a": torch.ones(3)}
    shard = {"clips": 2, "objective": {}, "steps": torch.ones(3), "random": {"cpu": torch.ones(3)}}
    state = TrainingState(1, weights, weights, {"state": {0: weights}}, {}, [shard], Progress())
    save_state(state, {"training.lr": 1.0, "training.epochs": 3}, path)


def write_poses(folder: Path) -> Path:
    """A store; predictions of it are written by `_predictions`."""
    return write_store(folder / "poses.h5")


def _read_store(folder: Path) -> None:
    for split in ("train", "test"):
        store.read_split(folder / "poses.h5", split, "needed")
        store.read_cameras(folder / "poses.h5", split)


def write_test_predictions(folder: Path) -> None:
    """The predictions of a store that is beside them."""
    split = store.read_split(write_poses(folder), "test", "needed")
    assert split.positions is not None
    write_predictions(folder / "test.h5", split, lifted(lifted_truth(split.positions)))


def _examples(folder: Path) -> None:
    whole = torch.zeros(2, 3, 17, 2)
    write_examples(folder / "test.h5", Reconstruction(H36M, whole, whole[..., 0] > 0, whole))


def _keypoints(write: formats.Writer, layout: str, frames: int = 12) -> Callable[[Path], object]:
    return lambda folder: write(folder, prior_keypoints(layout, frames))


def _read_keypoints(folder: Path) -> object:
    params = source_params("keypoints", keypoints="auto", split=AutoSplit(), min_frames=1, size=(1920, 1080))
    return read_folder_or_file(folder, params)


def _clips(folder: Path) -> None:
    write_clips(folder, clip_frames(0.2))


def _read_clips(folder: Path) -> object:
    split = SplitParams(train=("S1",), validation=(), test=())
    return sample.read(folder, source_params("sample", split=split))


def _lines(folder: Path) -> None:
    write_json(folder / "lines.jsonl", coco_results(prior_keypoints("coco"))[0])


def _read_lines(folder: Path) -> object:
    return list(of_lines((folder / "lines.jsonl").read_bytes().splitlines(), Given()))


def _picture(folder: Path) -> None:
    cv2.imwrite(str(folder / "1.png"), np.full((8, 8, 3), 100, np.uint8))


def _video(folder: Path) -> None:
    writer = cv2.VideoWriter(str(folder / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 32))
    for number in range(3):
        writer.write(np.full((32, 32, 3), 50 * number, np.uint8))
    writer.release()


def _read_mpi(folder: Path) -> object:
    split = SplitParams(train=("S1",), validation=("S8",), test=("TS1",))
    return mpi_inf_3dhp.read(folder, source_params("mpi_inf_3dhp", split=split))


def _read_eva(folder: Path) -> object:
    split = SplitParams(train=("Train/S1",), validation=(), test=("Validate/S1",))
    return humaneva.read(folder, source_params("humaneva", split=split))


CAMERA = "size: [1920, 1080]\nfocal: 1500\ncenter: [960, 540]\nopencv: [0.1, 0, 0, 0, 0]\n"
LAYOUT = "keypoints:\n  a: left_hip\n  b: right_hip\n  c: {left_hip: 0.5, right_hip: 0.5}\n"
TABLE = "step,train/total\n1,2.5\n2,1.5\n"
READERS: dict[str, Reader] = {
    "params": Reader(_params, _read_params, "params.yaml"),
    "cameras": Reader(_text("c.yaml", CAMERA), lambda f: read_cameras(f / "c.yaml"), "c.yaml"),
    "layout": Reader(_text("l.yaml", LAYOUT), lambda f: read_layout(f / "l.yaml"), "l.yaml"),
    "h36m 2D": Reader(
        lambda f: write_h36m(f, *h36m_takes()), lambda f: h36m.read(f, source_params()), "data_2d_h36m_gt.npz"
    ),
    "h36m 3D": Reader(
        lambda f: write_h36m(f, *h36m_takes()), lambda f: h36m.read(f, source_params()), "data_3d_h36m.npz"
    ),
    "mpi_inf_3dhp": Reader(write_mpi, _read_mpi, "data_train_3dhp.npz"),
    "humaneva": Reader(lambda f: write_eva(f, *eva_takes()), _read_eva, "data_2d_humaneva15_gt.npz"),
    "clips": Reader(_clips, _read_clips, file_name(next(iter(CLIPS["train"])))),
    "bvh": Reader(
        lambda f: write_bvh(f / "a.bvh", frames=5),
        lambda f: bvh.read(f, source_params("bvh", split=AutoSplit())),
        "a.bvh",
    ),
    "recordings": Reader(
        lambda f: recordings.write(f / "r.npz", [recording(0)]), lambda f: recordings.read(f / "r.npz"), "r.npz"
    ),
    "checkpoint": Reader(
        lambda f: checkpoints.save(tiny_checkpoint(3), f / "m.pt"),
        lambda f: checkpoints.load(f / "m.pt").build(),
        "m.pt",
    ),
    "packed checkpoint": Reader(
        lambda f: checkpoints.save(tiny_checkpoint(3), f / "m.pt.gz"),
        lambda f: checkpoints.load(f / "m.pt.gz"),
        "m.pt.gz",
    ),
    "state": Reader(lambda f: write_state(f / "s.pt"), lambda f: load_state(f / "s.pt"), "s.pt"),
    "store": Reader(write_poses, _read_store, "poses.h5"),
    "predictions": Reader(write_test_predictions, lambda f: read_predictions(f / "test.h5"), "test.h5"),
    "examples": Reader(_examples, lambda f: read_examples(f / "test.h5"), "test.h5"),
    "table": Reader(_text("t.csv", TABLE), lambda f: read_csv(f / "t.csv", "again", ["step"]), "t.csv"),
    "lines": Reader(_lines, _read_lines, "lines.jsonl"),
    "picture": Reader(_picture, lambda f: list(Pictures.open(f, 25.0)), "1.png"),
    "video": Reader(_video, lambda f: list(Video.open(f / "a.avi")), "a.avi"),
    **{
        f"keypoints {write.__name__}": Reader(_keypoints(write, layout), _read_keypoints, file)
        for write, layout, file in (
            (formats.coco, "coco", "walk.json"),
            (formats.alphapose, "coco", "walk.json"),
            (formats.alphapose_grouped, "coco_18", "walk.json"),
            (formats.mmpose_video, "coco", "walk.json"),
            (formats.mmpose_with_meta, "coco", "walk.json"),
            (formats.mediapipe_json, "mediapipe_33", "walk.json"),
            (formats.yolo_json, "coco", "walk.json"),
            (formats.openpose, "body_25", "walk/cam_000000000000_keypoints.json"),
            (formats.yolo_text, "coco", "labels/walk_1.txt"),
            (formats.csv_wide, "coco", "walk.csv"),
            (formats.csv_long, "coco", "walk.csv"),
            (formats.videopose3d, "coco", "data_2d_custom_mine.npz"),
            (formats.detectron, "coco", "walk.mp4.npz"),
        )
    },
}
