import pytest
import torch

from lib.errors import UserError
from lib.models.transformer import TransformerParams
from lib.params import section
from lib.skeleton import H36M
from tests.settings import TINY, tiny_model


def inputs(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.randn(3, frames, len(H36M), 2, generator=generator)
    return keypoints, torch.ones(3, frames, len(H36M)), torch.full((3, frames), 0.1)


def test_hidden_joints_cannot_influence_the_encoder() -> None:
    model = tiny_model(frames=3)
    keypoints, confidence, scale = inputs(3)
    wrist = H36M.index("left_wrist")
    moved = keypoints.clone()
    moved[:, :, wrist] += 5
    hidden = confidence.clone()
    hidden[:, :, wrist] = 0
    assert not torch.equal(model.encoder(keypoints, confidence, scale), model.encoder(moved, confidence, scale))
    assert torch.equal(model.encoder(keypoints, hidden, scale), model.encoder(moved, hidden, scale))


def test_the_root_has_no_relative_depth() -> None:
    lifted = tiny_model(frames=1)(*inputs(1))
    assert lifted.depth[..., H36M.root].abs().max() == 0
    assert lifted.correction[..., H36M.root, :].abs().max() == 0
    assert lifted.correction.abs().max() > 0
    assert lifted.depth.abs().max() > 0


def test_every_frame_of_a_window_counts() -> None:
    model = tiny_model(frames=4)
    keypoints, confidence, scale = inputs(4)
    before = model(keypoints, confidence, scale).depth
    for frame in range(4):
        moved = keypoints.clone()
        moved[:, frame] += 1
        assert not torch.allclose(before, model(moved, confidence, scale).depth)


def test_a_joint_hidden_in_a_frame_leaves_the_window_as_it_is() -> None:
    encoder = tiny_model(frames=3).encoder
    keypoints, confidence, scale = inputs(3)
    confidence[:, 1, 5] = 0
    moved = keypoints.clone()
    moved[:, 1, 5] += 9
    assert torch.equal(encoder(keypoints, confidence, scale), encoder(moved, confidence, scale))
    moved[:, 0, 5] += 9
    assert not torch.equal(encoder(keypoints, confidence, scale), encoder(moved, confidence, scale))


def test_one_batch_overfits() -> None:
    model = tiny_model(frames=1)
    batch, target = inputs(1), 0.5 * torch.randn(3, len(H36M))
    target[..., H36M.root] = 0
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = (model(*batch).depth - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1e-3


def test_heads_must_divide_width() -> None:
    with pytest.raises(UserError, match=r"^params\.yaml: model: width 8 must be a multiple of heads 3$"):
        section(TransformerParams, "model", {"model": {**TINY.model_dump(), "heads": 3}})
