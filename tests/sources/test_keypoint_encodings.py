"""Text in other encodings, and tables as spreadsheets of several countries save them: the same poses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.pose.layouts import LAYOUTS
from lib.runtime.errors import UserError
from tests.sources.detector_files import coco_results, prior_keypoints
from tests.sources.test_keypoint_source import read_folder

POSES = prior_keypoints("coco")


def table(**options: Any) -> str:
    columns = ["frame", *(f"{keypoint}_{axis}" for keypoint in LAYOUTS["coco"].keypoints for axis in "xyc")]
    rows = np.column_stack([np.arange(len(POSES)), POSES.reshape(len(POSES), -1)])
    text: str = pd.DataFrame(rows, columns=pd.Index(columns)).to_csv(index=False, **options)
    return text


def check(raw: Path) -> None:
    (sequence,) = read_folder(raw).sequences
    assert np.abs(sequence.keypoints.numpy() - POSES[..., :2]).max() < 0.01
    assert np.allclose(sequence.confidence.numpy(), 0.9)


@pytest.mark.parametrize("word", [float("nan"), float("inf")])
def test_what_was_not_detected_may_be_no_number_as_python_writes_it(word: float, tmp_path: Path) -> None:
    poses = POSES.copy()
    poses[3, 5] = word
    frames = [{"instances": [{"keypoints": p[:, :2].tolist(), "keypoint_scores": p[:, 2].tolist()}]} for p in poses]
    (tmp_path / "walk.json").write_text(json.dumps(frames))
    (sequence,) = read_folder(tmp_path).sequences
    assert (sequence.confidence == 0).nonzero().tolist() == [[3, 5]]
    assert sequence.keypoints.isnan().any(-1).nonzero().tolist() == [[3, 5]]
    (tmp_path / "walk.json").write_text(json.dumps(frames)[:-9])
    with pytest.raises(UserError, match="no JSON, or cut off"):
        read_folder(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    for name, text in (("walk.json", json.dumps(coco_results(POSES))), ("walk.csv", table())):
        (tmp_path / name).write_bytes(text.encode(encoding))
        check(tmp_path)
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    "text",
    [
        table(sep=";", decimal=","),
        table(sep="\t", decimal=","),
        table(sep="\t"),
        table(decimal=",", quoting=1),
        "sep=;\n" + table(sep=";", decimal=","),
        "# made by a program\n\n" + table(),
        table(lineterminator="\r\n"),
    ],
)
def test_spreadsheets(text: str, tmp_path: Path) -> None:
    (tmp_path / "walk.csv").write_text(text, newline="")
    check(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"\xfe\xff\xd8\x00\xd8\x00", b"\xff\xfe\0\0x", b"\0\0\0", b"\xe9"])
@pytest.mark.parametrize("name", ["walk.json", "walk.csv", "walk.txt"])
def test_what_is_in_no_encoding_is_one_line(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name) as error:
        read_folder(tmp_path)
    assert "\n" not in str(error.value)
