from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.models import checkpoints
from lib.models.lifters import LiftingModel
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.runtime.errors import UserError
from tests.settings import KNOWN, NETWORKS, SMALL, tiny_checkpoint, tiny_model


@pytest.fixture
def checkpoint() -> checkpoints.Checkpoint:
    return tiny_checkpoint(frames=3, step=2)


def test_a_checkpoint_rebuilds_its_model(checkpoint: checkpoints.Checkpoint, tmp_path: Path) -> None:
    checkpoints.save(checkpoint, tmp_path / "model.pt")
    loaded = checkpoints.load(tmp_path / "model.pt")
    inputs = torch.randn(2, 3, 17, 2), torch.ones(2, 3, 17), torch.full((2, 3), 0.1), H36M_LAYOUT
    assert torch.equal(loaded.build()(*inputs).depth, tiny_model(frames=3)(*inputs).depth)
    assert loaded.layouts == KNOWN and loaded.layout == H36M_LAYOUT
    assert (loaded.frames, loaded.body_size, loaded.training["step"]) == (3, 3.5, 7)


def test_a_missing_checkpoint_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.pt is missing: run `dvc repro pretrain`"):
        checkpoints.load(tmp_path / "nothing.pt")


@pytest.mark.parametrize("damage", [b"", b"no checkpoint", None])
def test_a_damaged_checkpoint_says_so(damage: bytes | None, checkpoint: checkpoints.Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    checkpoints.save(checkpoint, path)
    path.write_bytes(path.read_bytes()[:2000] if damage is None else damage)
    with pytest.raises(UserError, match=r"model\.pt is no checkpoint, or a damaged one"):
        checkpoints.load(path)


def test_a_foreign_file_says_so(tmp_path: Path) -> None:
    torch.save({"weights": {}}, tmp_path / "model.pt")
    with pytest.raises(UserError, match="not written by this version"):
        checkpoints.load(tmp_path / "model.pt")


def test_a_checkpoint_brings_its_own_layouts(checkpoint: checkpoints.Checkpoint, tmp_path: Path) -> None:
    """A user's own among them, whatever file described it."""
    weights = LiftingModel(NETWORKS["transformer"], 3, (SMALL,)).state_dict()
    own = replace(checkpoint, layouts=(SMALL,), layout=SMALL, weights=weights)
    checkpoints.save(own, tmp_path / "model.pt")
    loaded = checkpoints.load(tmp_path / "model.pt")
    assert loaded.layouts == (SMALL,) and loaded.layout == SMALL
    keypoints = len(SMALL)
    inputs = torch.randn(2, 3, keypoints, 2), torch.ones(2, 3, keypoints), torch.full((2, 3), 0.1), SMALL
    assert loaded.build()(*inputs).depth.shape == (2, 17 + keypoints)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"name": "mlp", "params": {}}}, "holds the network .*mlp.*, which this version .* does not have"),
        ({"model": {"name": "transformer", "params": {"width": 8}}}, "holds the network"),
        ({"task": "dream"}, "is for the unknown task 'dream'"),
    ],
)
def test_what_this_version_cannot_build_says_so(
    change: dict[str, Any], message: str, checkpoint: checkpoints.Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    checkpoints.save(checkpoint, path)
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(UserError, match=rf"model\.pt {message}"):
        checkpoints.load(path)


def test_a_checkpoint_without_a_field_or_a_weight_says_so(checkpoint: checkpoints.Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    checkpoints.save(checkpoint, path)
    content = torch.load(path, weights_only=True)
    del content["layouts"]
    torch.save(content, path)
    with pytest.raises(UserError, match=r"model\.pt is incomplete"):
        checkpoints.load(path)
    weights = dict(list(checkpoint.weights.items())[1:])
    with pytest.raises(UserError, match="does not fit its model: .*Missing key"):
        replace(checkpoint, weights=weights).build()


def test_data_in_a_layout_that_it_does_not_know_are_refused(checkpoint: checkpoints.Checkpoint) -> None:
    for layout in KNOWN:
        checkpoint.check_layout(layout)
    message = r"^the checkpoint does not know the layout 'small' of the data \(root, chest, .*\): pretrain on this data"
    with pytest.raises(UserError, match=message):
        replace(checkpoint, layouts=tuple(LAYOUTS.values())).check_layout(SMALL)
    another = Layout.load({**SMALL.dump(), "spreads": (0.05,) * len(SMALL)})  # of the same name
    with pytest.raises(UserError, match="does not know the layout 'small'"):
        checkpoint.check_layout(another)


def test_a_model_that_reconstructs_knows_one_layout(checkpoint: checkpoints.Checkpoint) -> None:
    masked = replace(checkpoint, task="reconstruction_2d")
    masked.check_layout(H36M_LAYOUT)
    with pytest.raises(UserError, match="does not know the layout 'coco'"):
        masked.check_layout(LAYOUTS["coco"])


def test_a_small_checkpoint_has_the_same_weights_to_three_digits(
    checkpoint: checkpoints.Checkpoint, tmp_path: Path
) -> None:
    small, plain = tmp_path / "model.pt.gz", tmp_path / "model.pt"
    for path in (small, plain):
        checkpoints.save(checkpoint, path)
    assert small.stat().st_size < 0.5 * plain.stat().st_size
    written = small.read_bytes()
    checkpoints.save(checkpoint, small)
    assert small.read_bytes() == written  # nothing of the time it was written at
    loaded = checkpoints.load(small)
    for name, value in checkpoint.weights.items():
        assert loaded.weights[name].dtype == value.dtype
        torch.testing.assert_close(loaded.weights[name], value, rtol=2**-8, atol=1e-30)


@pytest.mark.parametrize("damage", [b"", b"no checkpoint", None])
def test_a_damaged_small_checkpoint_says_so(
    damage: bytes | None, checkpoint: checkpoints.Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt.gz"
    checkpoints.save(checkpoint, path)
    path.write_bytes(path.read_bytes()[:2000] if damage is None else damage)
    with pytest.raises(UserError, match=r"model\.pt\.gz is no checkpoint, or a damaged one"):
        checkpoints.load(path)


def test_a_model_starts_from_the_weights_of_layouts_that_both_know(checkpoint: checkpoints.Checkpoint) -> None:
    layouts = (LAYOUTS["coco"], SMALL, Layout.load({**SMALL.dump(), "name": "mine"}), H36M_LAYOUT)
    model = LiftingModel(NETWORKS["transformer"], 3, layouts)
    name = next(name for name in checkpoint.weights if name.endswith("layout_embedding"))
    old = torch.randn_like(checkpoint.weights[name])
    start = replace(checkpoint, weights={**checkpoint.weights, name: old})
    new = torch.randn_like(model.state_dict()[name])
    model.load_state_dict({**model.state_dict(), name: new})
    checkpoints.start_from(start, model, layouts)
    rows = model.state_dict()[name]
    for row, layout in enumerate(layouts):
        assert torch.equal(rows[row], old[KNOWN.index(layout)] if layout in KNOWN else new[row])
    others = {key for key in start.weights if key != name}
    assert all(torch.equal(model.state_dict()[key], start.weights[key]) for key in others)
    with pytest.raises(UserError, match="does not fit the model, whose size and window are others"):
        checkpoints.start_from(start, LiftingModel(NETWORKS["vit"], 3, layouts), layouts)
