"""What the READMEs say on one's own data, another network and another source, done in a copy of the project.

DVC runs one of the chapters; the stages alone do what the others say, with the params that DVC would write. Which
stages DVC runs for what is in test_pipeline.py and test_other_source.py.
"""

import json
import re
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
import pytest
import torch

from lib.pose.layouts import LAYOUTS
from lib.runtime.errors import UserError
from lib.runtime.files import sha256
from lib.sources.base import SourceParams
from tests import contract
from tests.data.dataset_files import FRAMES, OUTDOORS, STUDIO, eva_takes, mpi_video, write_eva, write_mpi
from tests.data.files import source_params
from tests.data.mocap_files import write_bvh
from tests.project import Project, ran
from tests.settings import synthetic_split
from tests.sources.detector_files import prior_keypoints, write_openpose
from tests.synthetic import CAMERA

COCO = LAYOUTS["coco"]


def page(room: str) -> str:
    return (contract.ROOT / "lib" / room / "README.md").read_text(encoding="utf-8")


def carry_out(text: str, root: Path) -> None:
    """Make the files of a page and change those that there are: `# PATH` is the first line of each block."""
    for path, content in re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        file = root / path
        if not file.exists():
            file.write_text(content)
        elif file.suffix == ".yaml":
            section, rest = content.split("\n", 1)
            file.write_text(file.read_text().replace(f"\n{section}\n", f"\n{section}\n{rest}", 1))
        else:
            imports, definition = content.rstrip().split("\n\n")
            if definition.startswith("    "):  # an entry of the file's first dictionary
                text = re.sub(
                    r"^(\w+: .* = \{)$", rf"{imports}\n\1\n{definition}", file.read_text(), count=1, flags=re.MULTILINE
                )
                assert definition in text
                file.write_text(text)
                continue
            name = definition.split(":")[0]
            whole = re.compile(rf"^{name}: .*?\}}$", re.DOTALL | re.MULTILINE)  # on one line or several
            replaced = whole.sub(f"{imports}\n{definition}", file.read_text())
            assert definition in replaced
            file.write_text(replaced)


TRAINED = ("check", "preprocess", "pretrain", "finetune", "evaluate")
TESTED = ("check", "preprocess", "evaluate")


@pytest.fixture
def copies(project: Project, tmp_path: Path) -> Iterator[Project]:
    """Copies of the project after its first run."""
    return (Project(Path(shutil.copytree(project.root, tmp_path / str(n), symlinks=True))) for n in count())


@pytest.fixture
def copy(copies: Iterator[Project]) -> Project:
    return next(copies)


def command(text: str) -> str:
    (line,) = contract.shell_commands(text)
    return line


def test_another_model_is_one_file_and_one_entry(copy: Project) -> None:
    text = page("models")
    carry_out(text, copy.root)
    copy.set(command(text))
    planned = ran(copy.run("dvc repro --dry"))
    assert "pretrain" in planned and "preprocess" not in planned
    copy.run_stages(command(text), "check", "pretrain", "finetune", "evaluate")
    assert torch.load(copy.root / "data/models/pretrained.pt", weights_only=True)["model"]["name"] == "mlp"
    assert evaluated(copy)["p_mpjpe_mm"] > 0
    copy.run_stages(f"{command(text)} -S training.objective=mask_2d", "check", "pretrain", "finetune", "evaluate")
    assert evaluated(copy)["joints_model_px"] > 0


def chapter(title: str) -> list[str]:
    """The commands of a chapter of the README's data."""
    text = contract.page("data")
    return contract.shell_commands(text.split(f"**{title}.**")[1].split("\n**")[0])


def evaluated(project: Project) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((project.root / "metrics/evaluate.json").read_text())
    return metrics


def only_tested(project: Project, command: str) -> dict[str, Any]:
    """Test on another source; what training reads, and the model, stay as they are."""
    files = [project.root / "data" / path for path in ("processed/poses.h5", "models/finetuned.pt")]
    before = [sha256(path) for path in files]
    project.run_stages(command, *TESTED)
    assert [sha256(path) for path in files] == before
    return evaluated(project)


def test_your_own_motion_capture(copies: Iterator[Project]) -> None:
    train, test = chapter("Your own motion capture")
    for trained in (True, False):
        copy = next(copies)
        for flavour, person in (("mixamo", "ann"), ("biped", "ben"), ("poser", "cleo")):
            write_bvh(copy.root / "data/raw/bvh" / person / "walk.bvh", flavour)
        (copy.root / "data/raw/bvh/ann/notes.bvh").write_text("no motion")
        if trained:
            output = copy.run_stages(train, *TRAINED)
            assert "left out: data/raw/bvh/ann/notes.bvh: no HIERARCHY and MOTION" in output
            assert evaluated(copy)["labelled_frames"] == 4 * 60
        else:
            assert only_tested(copy, test)["labelled_frames"] == 4 * 60


def test_mpi_inf_3dhp_and_humaneva(copies: Iterator[Project]) -> None:
    subjects = {
        f"S{number} {take}": [{"0": mpi_video(STUDIO, number)}] for number in range(1, 9) for take in ("Seq1", "Seq2")
    }
    tests = {f"TS{number}": mpi_video(OUTDOORS if number > 4 else STUDIO, number) for number in range(1, 7)}
    train, *others = chapter("MPI-INF-3DHP and HumanEva")
    for command, frames in zip((train, *others), (6 * FRAMES, 6 * FRAMES, 9 * FRAMES), strict=True):
        copy = next(copies)
        write_mpi(copy.root / "data/raw/mpi_inf_3dhp", subjects, tests)
        write_eva(copy.root / "data/raw/humaneva", *eva_takes(("S1", "S2", "S3")))
        if command == train:
            copy.run_stages(command, *TRAINED)
            assert evaluated(copy)["frames"] == frames and "pck_150_14" in evaluated(copy)
        else:
            assert only_tested(copy, command)["labelled_frames"] == frames


def test_another_dataset_is_one_file_and_one_entry(copy: Project) -> None:
    text = page("sources")
    carry_out(text, copy.root)
    folder = copy.root / "data/raw/tracks"
    folder.mkdir()
    files = re.findall(r"`(\w+\.csv)`", text)
    assert len(files) == 3
    positions = synthetic_split(40, 40, 40, layout=COCO).positions
    assert positions is not None
    people = positions.split(40)
    for number, file in enumerate(files):
        keypoints = CAMERA.project(people[number])
        columns = [f"{keypoint}_{axis}" for keypoint in COCO.keypoints for axis in "xy"]
        pd.DataFrame(keypoints.flatten(1).numpy(), columns=pd.Index(columns)).to_csv(folder / file, index=False)
    copy.run_stages(command(text), *TRAINED, "visualize")
    stats = json.loads((copy.root / "data/processed/stats.json").read_text())
    assert {name: split["subjects"] for name, split in stats["splits"].items()} == {
        "train": ["ann"],
        "validation": ["ben"],
        "test": ["cleo"],
    }
    assert stats["layout"] == "coco"
    assert json.loads((copy.root / "metrics/evaluate.json").read_text())["frames"] == 40
    with h5py.File(copy.root / "data/predictions/test.h5") as file:
        assert list(file.attrs["joints"]) == list(COCO.keypoints)
        assert (file["predicted"].shape, file["h36m"].shape) == ((40, 17, 3), (40, 17, 3))
    assert (copy.root / "plots/figures/sequences.png").exists()


@pytest.mark.parametrize("content", ["no table at all\n", "", "\0\1\udcff", "nose_x,nose_y\na,b\n"])
def test_the_example_refuses_what_is_no_table(content: str, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n# lib/sources/tracks.py\n(.*?)^```", page("sources"), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(code, names)
    (tmp_path / "ann_walk.csv").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"ann_walk\.csv is no table of numbers with columns from nose_x to"):
        names["read"](tmp_path, source_params())


def test_detector_output_is_read_in_one_command(copy: Project) -> None:
    chapter = contract.page("data").split("**Your own keypoints.**")[1].split("\n**")[0]
    for number, subject in enumerate(("ann", "ben", "cleo")):
        poses = prior_keypoints("body_25", 40, seed=number)
        write_openpose(copy.root / "data/raw/keypoints" / subject / "walk", [[pose] for pose in poses])
    copy.run(command(chapter))
    metrics = json.loads((copy.root / "metrics/preprocess.json").read_text())
    assert (metrics["input_videos_openpose"], metrics["input_people"], metrics["train_frames"]) == (3, 3, 40)
    evaluated = json.loads((copy.root / "metrics/evaluate.json").read_text())
    assert evaluated["frames"] == 40 and evaluated["stated_error_mm"] > 0 and "p_mpjpe_mm" not in evaluated
    with h5py.File(copy.root / "data/predictions/test.h5") as file:
        assert file["predicted"].shape == (40, 25, 3)
    assert (copy.root / "plots/figures/sequences.png").exists()
    named = re.findall(r"`(data\.\w+)`", chapter)
    assert {name.removeprefix("data.") for name in named} <= set(SourceParams.model_fields)
