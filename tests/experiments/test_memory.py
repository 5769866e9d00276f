"""The motion that memory is measured with."""

from pathlib import Path

import pytest
import torch

from lib.data import store
from lib.experiments import memory
from lib.experiments.memory import generate
from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import H36M
from lib.runtime.params import read
from lib.runtime.paths import Paths
from stages import preprocess
from tests import contract


def test_generated_motion_is_human36m_to_the_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two takes of each of seven subjects, of four cameras; bodies are bodies, and stand upright before them."""
    monkeypatch.setattr(memory, "TAKES", 4)
    monkeypatch.setattr(memory, "FRAMES", 320)  # more than there and back
    params, paths = read(contract.ROOT / "params.yaml"), Paths(tmp_path)
    generate(paths.raw("h36m"), params, 0.5)
    params["data"] |= {"source": "h36m", "keypoints": "gt"}
    preprocess.run(params, paths)
    train = store.read_split(paths.poses, "train", "needed")
    assert len(train.table) == 4 * 2 * 4 and len(train.keypoints) == 32 * 320
    assert train.positions is not None
    bones = bone_lengths(train.positions, H36M).unflatten(0, (32, 320))
    torch.testing.assert_close(bones, bones[:, :1].expand_as(bones), atol=1e-3, rtol=0)
    moved = train.positions[:, 0].unflatten(0, (32, 320)).diff(dim=1).norm(dim=-1)
    assert moved.max() < 0.1  # metres in a frame
