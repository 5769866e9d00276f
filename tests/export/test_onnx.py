"""Exported lifters in onnxruntime: the same poses as torch's, as a file alone and as the README lifts with it."""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

from lib.data.split import Split
from lib.data.store import read_split, write
from lib.export.onnx import WindowLifter, WindowPoses, write_onnx
from lib.inference.lifter import Lifter
from lib.inference.predictions import body_scale
from lib.models import checkpoints
from lib.pose.geometry import rotate
from lib.pose.landmarks import JOINTS
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from lib.sources.base import PoseSequence
from stages import export
from tests import contract
from tests.settings import tiny_checkpoint
from tests.synthetic import CAMERA, motion

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

GENERALIST = contract.ROOT / "data" / "starts" / "generalist.pt.gz"
TOLERANCE = 1e-4
README = contract.page("stages")


def command(checkpoint: Path | None, output: Path, **others: Any) -> argparse.Namespace:
    defaults = {"layout": None, "flip": True, "benchmark": False, "seconds": 0.01}
    return argparse.Namespace(checkpoint=checkpoint, output=output, format="onnx", **defaults | others)


def carried_out(arguments: argparse.Namespace, root: Path) -> None:
    """Run the command without the tests' checks of shapes, which would make the number of windows a constant."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        export.run(arguments, {}, Paths(root))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def exported(checkpoint: checkpoints.Checkpoint, root: Path, **others: Any) -> Any:
    """A session of what the command writes of a checkpoint."""
    checkpoints.save(checkpoint, root / "model.pt")
    carried_out(command(root / "model.pt", root / "model.onnx", **others), root)
    return onnxruntime.InferenceSession(root / "model.onnx")


def check(session: Any, lifter: WindowLifter) -> dict[str, str]:
    """The file gives what torch gives, for any number of windows; returns what it says about itself."""
    assert [one.name for one in session.get_inputs()] == ["rays", "std"]
    assert [one.name for one in session.get_outputs()] == list(WindowPoses._fields)
    for windows in (1, 2, 50):
        rays, std = lifter.example(windows)
        with torch.no_grad():
            wanted = lifter(rays, std)
        found = session.run(None, {"rays": rays.numpy(), "std": std.numpy()})
        for name, one, other in zip(WindowPoses._fields, found, wanted, strict=True):
            torch.testing.assert_close(torch.from_numpy(one), other, atol=TOLERANCE, rtol=0, msg=name)
    about: dict[str, str] = session.get_modelmeta().custom_metadata_map
    assert (about["layout"], json.loads(about["keypoints"])) == (lifter.layout.name, [*lifter.layout.keypoints])
    assert json.loads(about["joints"]) == list(H36M.names) and json.loads(about["flip"]) == lifter.flip
    assert (int(about["frames"]), int(about["middle"])) == (lifter.frames, lifter.frames // 2)
    assert float(about["interval_seconds"]) == lifter.interval_seconds
    assert float(about["body_size"]) == lifter.body_size
    return about


def test_a_vision_transformer_in_another_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = tiny_checkpoint(frames=3, network="vit")
    session = exported(checkpoint, tmp_path, layout="coco", flip=False, benchmark=True)
    check(session, WindowLifter(checkpoint, LAYOUTS["coco"], flip=False))
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert all(re.match(r"\d+ windows? a call, one thread of .*: onnxruntime \S+ ms, torch", line) for line in lines)


def test_the_model_that_everybody_has(folder: Path) -> None:
    (path,) = folder.glob("*.onnx")
    assert str(contract.ROOT).encode() not in path.read_bytes()  # nor any other place of the machine it was made on
    about = check(onnxruntime.InferenceSession(path), WindowLifter(checkpoints.load(GENERALIST), H36M_LAYOUT, True))
    chapter = README.split("## Lift without this project")[1].split("\n## ")[0]
    assert set(re.findall(r'about\["(\w+)"\]', chapter)) <= set(about)
    assert set(WindowPoses._fields) <= set(re.findall(r"\w+", chapter))


def test_what_was_not_seen_may_be_anything() -> None:
    """Not a number, or any number with an infinite standard deviation; also in all frames, or in all keypoints."""
    lifter = WindowLifter(tiny_checkpoint(frames=3), H36M_LAYOUT, flip=True)
    rays, std = lifter.example(4)
    std[2, 1], std[3] = torch.inf, torch.inf
    unseen, elsewhere = rays.clone(), rays.clone()
    unseen[std.isinf()], elsewhere[:2][std[:2].isinf()] = torch.nan, 7.0
    with torch.no_grad():
        poses, same, other = lifter(unseen, torch.full_like(std, 1e-3)), lifter(unseen, std), lifter(elsewhere, std)
    for one, two, three in zip(poses, same, other, strict=True):
        assert one.isfinite().all() and torch.equal(one, two)
        torch.testing.assert_close(one[:2], three[:2], atol=TOLERANCE, rtol=0)


def test_without_the_mirrored_view_sides_differ() -> None:
    checkpoint = tiny_checkpoint(frames=3)
    (rays, std), mirror = WindowLifter(checkpoint, H36M_LAYOUT, flip=True).example(2), list(H36M.mirror)
    sides = torch.tensor([-1.0, 1.0, 1.0])
    for flip in (True, False):
        lifter = WindowLifter(checkpoint, H36M_LAYOUT, flip)
        with torch.no_grad():
            one, other = lifter(rays, std).joints, lifter(rays[:, :, mirror] * sides[:2], std[..., mirror]).joints
        assert torch.allclose(one, other[:, mirror] * sides, atol=1e-5) == flip


# The README's numpy


def readme() -> dict[str, Any]:
    """The names that the chapter's lines define, executed where the file of the generalist is."""
    (code,) = re.findall(r"^```python\n((?:(?!^```).)*?onnxruntime.*?)^```", README, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `python -m stages.export` has written the generalist, since nothing else is there."""
    root = tmp_path_factory.mktemp("export")
    (root / "data" / "starts").mkdir(parents=True)
    (root / "data" / "starts" / GENERALIST.name).write_bytes(GENERALIST.read_bytes())
    output = re.findall(r"stages\.export .*--output (\S+)", README)[0]
    carried_out(command(None, root / output), root)
    return root


def split_at(fps: float, path: Path, hidden: bool) -> Split:
    """A walk as a detector sees it, whose keypoints are hidden now and then."""
    positions, generator = motion(25), torch.Generator().manual_seed(0)
    confidence = torch.ones(25, 17)
    if hidden:
        confidence[torch.rand(confidence.shape, generator=generator) < 0.1] = 0.0
        confidence[:, H36M.index("left_wrist")] = 0.0
    keypoints = CAMERA.project(positions) + 2 * torch.randn(25, 17, 2, generator=generator)
    keypoints[confidence == 0] = torch.nan
    sequence = PoseSequence("S9", "Walking", CAMERA, fps, keypoints, confidence, None)
    write(path, {"test": [sequence]}, H36M_LAYOUT)
    return read_split(path, "test")


@pytest.mark.parametrize(("fps", "hidden"), [(50.0, True), (29.97, False), (120.0, False), (12.0, False)])
def test_numpy_lifts_as_the_project_does(
    fps: float, hidden: bool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    split, lifter = split_at(fps, tmp_path / "poses.h5", hidden), Lifter.load(GENERALIST, "cpu")
    poses = lifter.lift_windows(split)
    wanted = rotate(poses.rotation.mT, poses.points)[:, :JOINTS]
    distance = body_scale(wanted, lifter.body_size)[:, None, None]
    metres = distance * (poses.rotation[:, 2, None] + wanted)
    focal, noise = CAMERA.focal[0], (split.std * CAMERA.focal[0]).numpy()
    joints = readme()["lift"](
        split.keypoints.numpy(), split.confidence.numpy(), fps, focal, np.array(CAMERA.center), noise
    )
    torch.testing.assert_close(torch.from_numpy(joints).float() / distance, metres / distance, atol=TOLERANCE, rtol=0)


# What cannot be exported


def test_a_model_that_does_not_lift_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is for reconstruction_2d and does not lift"):
        exported(tiny_checkpoint(frames=3, task="reconstruction_2d"), tmp_path)


def test_a_checkpoint_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.pt is missing: name a checkpoint that there is"):
        export.run(command(tmp_path / "model.pt", tmp_path / "model.onnx"), {}, Paths(tmp_path))


def test_a_layout_that_the_model_does_not_know_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--layout dog: the checkpoint does not know it; it knows h36m, coco"):
        exported(tiny_checkpoint(frames=3), tmp_path, layout="dog")


def test_a_missing_package_is_one_line_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    lifter = WindowLifter(tiny_checkpoint(frames=3), H36M_LAYOUT, flip=True)
    with pytest.raises(UserError, match=r"onnxscript is missing: pip install -r requirements-export\.txt"):
        write_onnx(tmp_path / "model.onnx", lifter)
    assert not list(tmp_path.iterdir())
    assert (contract.ROOT / "requirements-export.txt").is_file()
