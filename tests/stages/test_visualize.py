import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from lib.data.store import read_split
from lib.evaluation.lifting import evaluate
from lib.evaluation.reconstruction import evaluate_reconstruction, write_examples
from lib.inference.predictions import write_predictions
from lib.models.tasks import Task
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import visualize
from tests.plotting.test_plotting import PARAMS
from tests.settings import PRIOR, tiny_checkpoint
from tests.synthetic import BODY_SIZE, lifted, lifted_truth, write_store

TABLES = ("per_joint.csv", "per_action.csv", "reliability.csv", "training.csv", "finetuning.csv")


def _outputs_of_other_stages(root: Path, labels: bool = True) -> Paths:
    paths = Paths(root)
    truth = read_split(write_store(paths.poses), "test", "if any")
    assert truth.positions is not None
    split = read_split(write_store(paths.poses, labels), "test", "if any")
    result = evaluate(split, lifted(lifted_truth(truth.positions)), "root_depth", BODY_SIZE)
    write_predictions(paths.predictions, split, result.predicted)
    paths.plot("").mkdir()
    result.per_joint.to_csv(paths.plot("per_joint.csv"), index=False)
    result.per_action.to_csv(paths.plot("per_action.csv"), index=False)
    result.reliability.to_csv(paths.plot("reliability.csv"), index=False)
    curves = pd.DataFrame({"step": [1, 2], "train/total": [1.0, 0.5], "validation/total": [1.1, 0.6]})
    curves.to_csv(paths.plot("training.csv"), index=False)
    curves[:0].to_csv(paths.plot("finetuning.csv"), index=False)  # nothing was fine-tuned
    return paths


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_visualize_writes_every_picture_and_no_older_one(tmp_path: Path) -> None:
    paths = _outputs_of_other_stages(tmp_path)
    paths.figures.mkdir()
    (paths.figures / "motion_of_an_earlier_run.gif").touch()
    visualize.run({"prior": PRIOR.model_dump(), "visualize": PARAMS | {"sequences": ["S9/*"], "gif_frames": 2}}, paths)
    assert _names(paths.figures) == {
        "training.png",
        "sequences.png",
        "prior_poses.png",
        "prior_motion.png",
        "examples.png",
        "error_by_joint.png",
        "error_by_action.png",
        "reliability.png",
        "joints.png",
        "motion_S9_Eating_1_camera1.gif",
        "motion_S9_Walking_camera1.gif",
    }
    for path in paths.figures.iterdir():
        with Image.open(path) as image:
            assert image.width >= 300
    assert _names(paths.figures.parent) == {"figures", "viewer.html", *TABLES}


def test_without_3d_there_is_no_truth_to_draw(tmp_path: Path) -> None:
    paths = _outputs_of_other_stages(tmp_path, labels=False)
    visualize.run({"prior": PRIOR.model_dump(), "visualize": PARAMS | {"count": 1, "gif_frames": 0}}, paths)
    assert _names(paths.figures) == {
        "training.png",
        "joints.png",
        "sequences.png",
        "prior_poses.png",
        "prior_motion.png",
    }


def test_fine_tuning_has_a_picture(tmp_path: Path) -> None:
    paths = _outputs_of_other_stages(tmp_path, labels=False)
    shutil.copy(paths.plot("training.csv"), paths.plot("finetuning.csv"))
    visualize.run({"prior": PRIOR.model_dump(), "visualize": PARAMS | {"count": 1, "gif_frames": 0}}, paths)
    assert "finetuning.png" in _names(paths.figures)


def test_a_failure_leaves_the_older_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = _outputs_of_other_stages(tmp_path, labels=False)
    paths.figures.mkdir()
    (paths.figures / "older.png").touch()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(visualize, "write_gif", fail)
    with pytest.raises(OSError, match="disk full"):
        visualize.run({"prior": PRIOR.model_dump(), "visualize": PARAMS | {"count": 1, "gif_frames": 1}}, paths)
    assert _names(paths.figures) == {"older.png"}
    assert _names(paths.figures.parent) == {"figures", *TABLES}


def test_an_unknown_sequence_is_an_error(tmp_path: Path) -> None:
    paths = _outputs_of_other_stages(tmp_path)
    with pytest.raises(UserError, match="visualize.sequences = 'S1/Smoking/\\*' matches no test sequence"):
        visualize.run({"prior": PRIOR.model_dump(), "visualize": PARAMS | {"sequences": ["S1/Smoking/*"]}}, paths)
    assert not paths.figures.exists()


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("training.csv", "pretrain"),
        ("per_joint.csv", "evaluate"),
        ("per_action.csv", "evaluate"),
        ("reliability.csv", "evaluate"),
    ],
)
def test_a_missing_table_names_the_stage_to_run(tmp_path: Path, missing: str, stage: str) -> None:
    paths = _outputs_of_other_stages(tmp_path)
    paths.plot(missing).unlink()
    with pytest.raises(UserError, match=f"{missing} is missing: run `dvc repro {stage}` first"):
        visualize.run({"prior": PRIOR.model_dump(), "visualize": PARAMS | {"count": 1}}, paths)


def test_of_masked_windows_what_was_given_made_and_true_is_drawn(tmp_path: Path) -> None:
    paths = _outputs_of_other_stages(tmp_path)
    tasks: tuple[Task, ...] = ("reconstruction_2d", "reconstruction_3d")
    for task in tasks:
        checkpoint = tiny_checkpoint(frames=3, task=task)
        train, test = (read_split(paths.poses, name, "if any") for name in ("train", "test"))
        result = evaluate_reconstruction(checkpoint, train, test, torch.device("cpu"), 100)
        write_examples(paths.predictions, result.examples)
        result.table.to_csv(paths.plot("reconstruction.csv"), index=False)
        visualize.run({"prior": PRIOR.model_dump(), "visualize": PARAMS}, paths)
        assert _names(paths.figures) == {"training.png", "reconstruction.png", "error_by_mask.png"}
        with Image.open(paths.figures / "reconstruction.png") as image:
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 20
