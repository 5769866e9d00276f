import pytest
import torch

from lib.models.networks import Architecture
from lib.models.transformer import Transformer
from lib.models.vit import Block, Vit
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.params import section
from tests.settings import NETWORKS, PARAMS, TINY, TINY_VIT, tiny_model

every_network = pytest.mark.parametrize("name", NETWORKS)


def inputs(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.randn(3, frames, len(H36M), 2, generator=generator)
    return keypoints, torch.ones(3, frames, len(H36M)), torch.full((3, frames), 0.1)


@every_network
def test_hidden_joints_cannot_influence_the_encoder(name: str) -> None:
    model = tiny_model(3, name).network
    keypoints, confidence, scale = inputs(3)
    wrist = H36M.index("left_wrist")
    moved = keypoints.clone()
    moved[:, :, wrist] += 5
    hidden = confidence.clone()
    hidden[:, :, wrist] = 0
    assert not torch.equal(model.encoder(keypoints, confidence, scale), model.encoder(moved, confidence, scale))
    assert torch.equal(model.encoder(keypoints, hidden, scale), model.encoder(moved, hidden, scale))


@every_network
def test_the_root_has_no_relative_depth(name: str) -> None:
    lifted = tiny_model(1, name)(*inputs(1))
    assert lifted.depth[..., H36M.root].abs().max() == 0
    assert lifted.correction[..., H36M.root, :].abs().max() == 0
    assert lifted.correction.abs().max() > 0
    assert lifted.depth.abs().max() > 0


@every_network
def test_every_frame_of_a_window_counts(name: str) -> None:
    model = tiny_model(4, name)
    keypoints, confidence, scale = inputs(4)
    before = model(keypoints, confidence, scale).depth
    for frame in range(4):
        moved = keypoints.clone()
        moved[:, frame] += 1
        assert not torch.allclose(before, model(moved, confidence, scale).depth)


@every_network
def test_a_joint_hidden_in_a_frame_leaves_the_window_as_it_is(name: str) -> None:
    encoder = tiny_model(3, name).network.encoder
    keypoints, confidence, scale = inputs(3)
    confidence[:, 1, 5] = 0
    moved = keypoints.clone()
    moved[:, 1, 5] += 9
    assert torch.equal(encoder(keypoints, confidence, scale), encoder(moved, confidence, scale))
    moved[:, 0, 5] += 9
    assert not torch.equal(encoder(keypoints, confidence, scale), encoder(moved, confidence, scale))


@every_network
def test_one_batch_overfits(name: str) -> None:
    model = tiny_model(1, name)
    batch, target = inputs(1), 0.5 * torch.randn(3, len(H36M))
    target[..., H36M.root] = 0
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = (model(*batch).depth - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1e-3


@pytest.mark.parametrize("network", [Transformer, Vit])
def test_heads_must_divide_width(network: type[Transformer] | type[Vit]) -> None:
    params = (TINY if network is Transformer else TINY_VIT).model_dump() | {"heads": 3}
    with pytest.raises(UserError, match=r"^params\.yaml: model: width 8 must be a multiple of heads 3$"):
        section(network.Params, "model", {"model": params})


@every_network
@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_every_size_of_params_yaml_lifts_windows(name: str, size: str) -> None:
    network = Architecture.named(name, size, PARAMS).build(H36M, frames=9, coords=3, outputs=5)
    points = torch.randn(2, 9, len(H36M), 3)
    assert network(points, torch.ones(2, 9, len(H36M)), torch.ones(2, 9)).shape == (2, 5)


def test_an_unknown_network_is_one_line() -> None:
    params = PARAMS | {"model": PARAMS["model"] | {"name": "perceiver"}}
    with pytest.raises(UserError, match=r"^params\.yaml: model\.name = 'perceiver': must be one of transformer, vit$"):
        Architecture.read(params)


def test_what_is_dumped_is_loaded() -> None:
    for architecture in NETWORKS.values():
        assert Architecture.load(architecture.dump()) == architecture


@pytest.mark.parametrize(("pool", "positions"), [("mean", "learned"), ("class", "sinusoidal")])
def test_tubelets_of_every_kind_tell_the_frames_apart(pool: str, positions: str) -> None:
    torch.manual_seed(0)
    params = TINY_VIT.model_copy(update={"pool": pool, "positions": positions, "patch_frames": 1})
    model = Architecture("vit", params).build(H36M, frames=3, coords=2, outputs=4)
    keypoints, confidence, scale = inputs(3)
    backwards = model(keypoints.flip(1), confidence, scale)
    assert not torch.allclose(model(keypoints, confidence, scale), backwards, atol=1e-6)


def test_frames_that_fill_the_last_tubelet_are_hidden() -> None:
    model = tiny_model(3, "vit").network  # tubelets of two frames: the fourth is made up
    points, confidence, scale = inputs(3)
    confidence[:, 2] = 0
    moved = points.clone()
    moved[:, 2] += 9  # what the filling repeats
    assert torch.equal(model(points, confidence, scale), model(moved, confidence, scale))


def test_stochastic_depth_skips_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    block, tokens = Block(TINY_VIT, drop_path=0.5), torch.randn(1, 4, 8).expand(4000, -1, -1)
    block.feed_forward = torch.nn.Sequential(torch.nn.Identity())
    change = block._kept(torch.ones(4000, 1, 1))
    assert set(change.flatten().tolist()) == {0.0, 2.0}
    assert change.mean().item() == pytest.approx(1, abs=0.06)
    block.eval()
    assert torch.equal(block(tokens)[0], block(tokens)[1])
