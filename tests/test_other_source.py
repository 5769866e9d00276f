"""Trained on one source, tested on another: what is written, what is refused, and what runs again."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import pytest

from lib.data import store
from lib.inference.predictions import read_predictions
from lib.models import checkpoints
from lib.pipeline.sections import check_machine, check_params
from lib.pose.layouts import LAYOUTS
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import check, evaluate, preprocess, visualize
from tests.data.dataset_files import FRAMES, write_mpi
from tests.data.files import write_clips
from tests.data.mocap_files import write_bvh
from tests.project import Project, ran
from tests.settings import PARAMS, tiny_checkpoint


def params(source: str = "mpi_inf_3dhp", subjects: tuple[str, ...] = ("TS1",), **changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = copy.deepcopy(PARAMS)
    content["data"] |= {"source": "h36m", "split": {"train": ["S1"], "validation": ["S8"], "test": ["S9"]}}
    content["evaluation"] |= {"source": source, "subjects": list(subjects), "device": "cpu", **changes}
    content["visualize"] |= {"count": 1, "gif_frames": 0, "dpi": 50}
    return content


@pytest.fixture
def paths(tmp_path: Path, h36m_raw: Path) -> Paths:
    paths = Paths(tmp_path)
    write_mpi(paths.raw("mpi_inf_3dhp"))
    return paths


def test_another_source_is_tested_on_and_training_data_stay(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    preprocess.run(params("same"), paths)
    before = paths.poses.read_bytes()
    assert store.tested(paths.poses, paths.other_test) == paths.poses
    preprocess.run(params(), paths)
    assert "test on 1 sequences of the mpi_inf_3dhp source" in capsys.readouterr().out
    assert paths.poses.read_bytes() == before  # so that nothing is trained again
    assert store.tested(paths.poses, paths.other_test) == paths.other_test
    split = store.read_split(paths.other_test, "test", "if any")
    assert split.layout == LAYOUTS["mpi_inf_3dhp"] and set(split.table["subject"]) == {"TS1"}
    stats = json.loads(paths.stats.read_text())["evaluation"]
    assert stats["source"] == "mpi_inf_3dhp" and list(stats["splits"]) == ["test"]

    checkpoints.save(tiny_checkpoint(frames=3), paths.finetuned)
    evaluate.run(params(), paths)
    metrics = json.loads(paths.metrics("evaluate").read_text())
    assert (metrics["frames"], metrics["labelled_frames"]) == (FRAMES, FRAMES // 5)
    assert 0 <= metrics["pck_150_14"] <= 100 and 0 <= metrics["auc_14"] <= 100
    assert set(read_predictions(paths.predictions).table["subject"]) == {"TS1"}
    for name in ("training", "finetuning"):
        paths.plot(f"{name}.csv").write_text("step\n")
    visualize.run(params(), paths)
    assert (paths.figures / "sequences.png").exists()


def test_the_sample_is_tested_on_after_training_on_data_of_ones_own(paths: Paths) -> None:
    write_clips(paths.raw("sample"))
    own = params("sample", ("S9", "S11"))
    check.run(own, paths)
    assert paths.downloads.read_text() == "sample\n"
    preprocess.run(own, paths)
    assert set(store.read_split(paths.poses, "train").table["subject"]) == {"S1"}
    assert set(store.read_split(paths.other_test, "test").table["subject"]) == {"S9", "S11"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "h36m"}, "evaluation.source = 'h36m' is data.source: say same, which tests on data.split.test"),
        ({"subjects": ()}, "evaluation.source = 'mpi_inf_3dhp' needs evaluation.subjects: whom of it to test on"),
        ({"subjects": ("TS1", "TS1")}, "evaluation.subjects names somebody more than once"),
        ({"source": "h37m"}, "evaluation.source = 'h37m': must be one of sample, h36m"),
        ({"keypoints": "cpn"}, "evaluation.keypoints = 'cpn': mpi_inf_3dhp has gt"),
    ],
)
def test_what_cannot_be_tested_on_is_refused_before_anything_runs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^params.yaml: {message}") as found:
        check_params(params(**changes))
    assert "\n" not in str(found.value)


def test_missing_files_of_the_other_source_are_named(paths: Paths) -> None:
    shutil.rmtree(paths.raw("mpi_inf_3dhp"))
    with pytest.raises(UserError, match=r"evaluation\.source: .* lacks data_test_3dhp\.npz"):
        check_machine(params(), paths)


def test_unknown_subjects_write_nothing(paths: Paths) -> None:
    message = r"evaluation\.subjects names TS9, which the mpi_inf_3dhp source does not have; it has TS1, TS5"
    with pytest.raises(UserError, match=message):
        preprocess.run(params(subjects=("TS9",)), paths)
    assert not paths.poses.exists() and not paths.other_test.exists()


def test_nothing_is_trained_again(project: Project, tmp_path: Path) -> None:
    copied = Project(Path(shutil.copytree(project.root, tmp_path / "copy", symlinks=True)))
    write_bvh(copied.root / "data/raw/bvh/ann/walk.bvh")
    refused = copied.attempt("dvc exp run -S evaluation.source=sample")
    assert refused.returncode != 0 and "evaluation.source = 'sample' is data.source: say same" in refused.stderr
    copied.run("git checkout -q .")
    output = copied.run("dvc exp run -S evaluation.source=bvh -S evaluation.subjects=[ann]")
    assert ran(output) == ["check", "preprocess", "evaluate", "visualize"]
    assert json.loads((copied.root / "metrics/evaluate.json").read_text())["frames"] == 4 * 60
    with h5py.File(copied.root / "data/predictions/test.h5") as file:
        assert {name.decode() for name in file["subject"]} == {"ann"}
    assert ran(copied.run("dvc repro")) == []
