"""Tables that stages write and others read, with other columns, and clips and recordings that somebody damaged."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lib.experiments.checkpoint_choice import read_rows
from lib.experiments.runs import Runs
from lib.pose.skeleton import H36M
from lib.runtime.paths import Paths
from stages.visualize import _evaluated, _of_joints, _read_curves
from tests.security.readers import READERS
from tests.security.refusal import refused

pytestmark = pytest.mark.hostile
JOINTS = "joint,mpjpe_mm,p_mpjpe_mm\n" + "".join(f"{name},1,2\n" for name in H36M.names)
TABLES: dict[str, tuple[str, bytes, str]] = {
    "curves without a step": ("training.csv", b"epoch,train/total\n1,2\n", "has no column step"),
    "curves of text": ("training.csv", b"step,train/total\n1,low\n", "train/total has something that is no number"),
    "a step of text": ("training.csv", b"step,train/total\nx,1\n", "step has something that is no number"),
    "a step that is infinite": ("training.csv", b"step,train/total\ninf,1\n", "step has something that is no number"),
    "curves of nothing": ("training.csv", b"", "is damaged"),
    "curves of bytes": ("training.csv", b"\xff\xfe\x00step", "is damaged|has no column"),
    "curves of rows": ("training.csv", b"step,a\n1,2\n1,2,3,4\n", "is damaged"),
    "curves of a number without end": ("training.csv", b"step\n1e9994753537774086\n", "is too large or too small"),
    "curves of open quotes": ("training.csv", b'step,a\n"1,2\n', "is damaged"),
    "joints of others": ("per_joint.csv", JOINTS.replace("neck", "tail").encode(), "has other joints"),
    "joints too few": ("per_joint.csv", JOINTS[:60].encode(), "per_joint.csv"),
    "joints twice": ("per_joint.csv", (JOINTS + "neck,1,2\n").encode(), "has other joints"),
    "joints without errors": ("per_joint.csv", b"joint,mpjpe_mm\nneck,1\n", "has no column p_mpjpe_mm"),
    "joints of errors of text": ("per_joint.csv", JOINTS.replace(",1,", ",x,").encode(), "mpjpe_mm has something"),
    "joints of nan": ("per_joint.csv", JOINTS.replace(",1,", ",nan,").encode(), "mpjpe_mm has something"),
    "actions without frames": ("per_action.csv", b"action,mpjpe_mm,p_mpjpe_mm\nw,1,2\n", "has no column frames"),
    "actions without rows": ("per_action.csv", b"action,frames,mpjpe_mm,p_mpjpe_mm\n", "has no rows"),
    "criteria without errors": ("criteria.csv", b"run,step\na,1\n", "has no column"),
    "runs of bytes": ("runs.csv", b"\xff\xfe\xfd", "is damaged"),
    "runs of nothing": ("runs.csv", b"", "is damaged"),
}


def reading(name: str, paths: Paths) -> Callable[[], object]:
    """What a stage or a command reads a table with."""
    return {
        "training.csv": lambda: _read_curves(paths.plot(name), "pretrain"),
        "per_joint.csv": lambda: _of_joints(paths, H36M),
        "per_action.csv": lambda: _evaluated(paths, "per_action", ("p_mpjpe_mm", "mpjpe_mm", "frames"), "action"),
        "criteria.csv": lambda: read_rows(paths),
        "runs.csv": lambda: Runs(paths.plot(name), paths.raw("none"), "test"),
    }[name]


@pytest.mark.parametrize("what", TABLES)
def test_a_table_with_other_columns_is_one_line(what: str, tmp_path: Path) -> None:
    name, content, message = TABLES[what]
    paths = Paths(tmp_path)
    path = paths.metrics("criteria").with_suffix(".csv") if name == "criteria.csv" else paths.plot(name)
    path.parent.mkdir()
    path.write_bytes(content)
    refused(reading(name, paths), tmp_path, message, name)


FRAME = ",".join(["0.03", *["0"] * 43])
FILES: dict[str, tuple[str, bytes, str]] = {
    "a clip of nothing": ("clips", b"", "is no DeepMimic clip"),
    "a clip of a list": ("clips", b"[]", "is no DeepMimic clip"),
    "a clip of frames of text": ("clips", b'{"Frames": "all"}', "is no DeepMimic clip"),
    "a clip of short frames": ("clips", b'{"Frames": [[0.03, 0]]}', "is no DeepMimic clip"),
    "a clip of one frame": ("clips", f'{{"Frames": [[{FRAME}]]}}'.encode(), "is no DeepMimic clip"),
    "a clip of nan": ("clips", f'{{"Frames": [[{FRAME}], [{FRAME.replace("0.03", "NaN")}]]}}'.encode(), "no DeepMimic"),
    "a clip that goes back": ("clips", f'{{"Frames": [[-{FRAME}], [-{FRAME}]]}}'.encode(), "is no DeepMimic clip"),
    "a clip of no text": ("clips", b"\xff\xfe", "is no DeepMimic clip"),
    "recordings of text": ("recordings", b"PK", "is no file of recordings"),
    "a video of text": ("video", b"#EXTM3U\n/etc/passwd\n", "is text, such as a list of videos"),
    "a video of a list": ("video", b"ffconcat version 1.0\nfile /etc/passwd\n", "is text, such as a list of videos"),
    "a video of noise": ("video", bytes(range(256)) * 9, "is no video that OpenCV reads: convert"),
    "a video that is cut": ("video", b"RIFF\0\0\0\0AVI LIST", "is no video that OpenCV reads: convert"),
    "a picture of text": ("picture", b"<svg/>", "is no picture that can be read"),
    "a picture that is cut": ("picture", b"\x89PNG\r\n\x1a\n\0\0", "is no picture that can be read"),
    "a picture of nothing": ("picture", b"", "is no picture that can be read"),
    "cameras of bytes": ("cameras", b"\xff\xfe", "UTF-8|no text should have"),
    "a layout of bytes": ("layout", b"\xff\xfe", "UTF-8|no text should have"),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_a_damaged_file_is_one_line(what: str, tmp_path: Path) -> None:
    name, content, message = FILES[what]
    reader = READERS[name]
    reader.write(tmp_path)
    (tmp_path / reader.file).write_bytes(content)
    refused(lambda: reader.read(tmp_path), tmp_path, message, reader.file)


def test_recordings_run_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", recordings=np.array([{"a": 1}], dtype=object))
    refused(lambda: READERS["recordings"].read(tmp_path), tmp_path, "is no file of recordings", "r.npz")
