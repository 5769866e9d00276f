"""What the rooms' READMEs say on another network and another source, done in a copy of the project."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
import pytest
import torch

from lib.pose.layouts import LAYOUTS
from lib.runtime.errors import UserError
from lib.sources.base import SourceParams
from tests import contract
from tests.data.dataset_files import FRAMES, OUTDOORS, STUDIO, eva_takes, mpi_video, write_eva, write_mpi
from tests.data.files import source_params
from tests.data.mocap_files import write_bvh
from tests.project import Project
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


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> Project:
    return Project(Path(shutil.copytree(project.root, tmp_path / "copy", symlinks=True)))


def command(text: str) -> str:
    (line,) = contract.shell_commands(text)
    return line


def test_another_model_is_one_file_and_one_entry(copy: Project) -> None:
    text = page("models")
    carry_out(text, copy.root)
    output = copy.run(command(text))
    assert "Running stage 'pretrain'" in output and "Running stage 'preprocess'" not in output
    assert torch.load(copy.root / "data/models/pretrained.pt", weights_only=True)["model"]["name"] == "mlp"
    assert json.loads((copy.root / "metrics/evaluate.json").read_text())["p_mpjpe_mm"] > 0
    copy.run(f"{command(text)} -S training.objective=mask_2d")
    assert json.loads((copy.root / "metrics/evaluate.json").read_text())["joints_model_px"] > 0


def chapter(title: str) -> list[str]:
    """The commands of a chapter of the README's data."""
    text = (contract.ROOT / "README.md").read_text(encoding="utf-8")
    return contract.shell_commands(text.split(f"**{title}.**")[1].split("\n**")[0])


def evaluated(project: Project) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((project.root / "metrics/evaluate.json").read_text())
    return metrics


def test_your_own_motion_capture(copy: Project) -> None:
    for flavour, person in (("mixamo", "ann"), ("biped", "ben"), ("poser", "cleo")):
        write_bvh(copy.root / "data/raw/bvh" / person / "walk.bvh", flavour)
    (copy.root / "data/raw/bvh/ann/notes.bvh").write_text("no motion")
    train, test = chapter("Your own motion capture")
    output = copy.run(train)
    assert "left out: data/raw/bvh/ann/notes.bvh: no HIERARCHY and MOTION" in output
    assert "Running stage 'pretrain'" in output and evaluated(copy)["labelled_frames"] == 4 * 60
    copy.run("git checkout -q .")
    copy.run("dvc checkout -q")
    output = copy.run(test)
    assert "Running stage 'pretrain'" not in output and evaluated(copy)["labelled_frames"] == 4 * 60


def test_mpi_inf_3dhp_and_humaneva(copy: Project) -> None:
    subjects = {
        f"S{number} {take}": [{"0": mpi_video(STUDIO, number)}] for number in range(1, 9) for take in ("Seq1", "Seq2")
    }
    tests = {f"TS{number}": mpi_video(OUTDOORS if number > 4 else STUDIO, number) for number in range(1, 7)}
    write_mpi(copy.root / "data/raw/mpi_inf_3dhp", subjects, tests)
    write_eva(copy.root / "data/raw/humaneva", *eva_takes(("S1", "S2", "S3")))
    train, *others = chapter("MPI-INF-3DHP and HumanEva")
    assert "Running stage 'pretrain'" in copy.run(train)
    assert evaluated(copy)["frames"] == 6 * FRAMES and "pck_150_14" in evaluated(copy)
    copy.run("git checkout -q .")
    copy.run("dvc checkout -q")
    for command, frames in zip(others, (6 * FRAMES, 9 * FRAMES), strict=True):
        assert "Running stage 'pretrain'" not in copy.run(command)
        assert evaluated(copy)["labelled_frames"] == frames


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
    copy.run(command(text))
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
    readme = (contract.ROOT / "README.md").read_text(encoding="utf-8")
    chapter = readme.split("**Your own keypoints.**")[1].split("\n**")[0]
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
