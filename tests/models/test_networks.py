import pytest
import torch
from torch import Tensor

from lib.models.base import WindowShape
from lib.models.lifters import LiftingModel
from lib.models.networks import Architecture
from lib.models.tokens import BodyTokens
from lib.models.transformer import Transformer
from lib.models.vit import Block, Vit
from lib.pose.layout import Layout, make_layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.params import section
from tests.settings import KNOWN, NETWORKS, PARAMS, SMALL, TINY, TINY_VIT, tiny_model

every_network = pytest.mark.parametrize("name", NETWORKS)
every_layout = pytest.mark.parametrize("layout", KNOWN, ids=[layout.name for layout in KNOWN])


def inputs(frames: int, layout: Layout = H36M_LAYOUT) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.randn(3, frames, len(layout), 2, generator=generator)
    return keypoints, torch.ones(3, frames, len(layout)), torch.full((3, frames), 0.1)


@every_network
@every_layout
def test_hidden_keypoints_cannot_influence_the_encoder(name: str, layout: Layout) -> None:
    encoder = tiny_model(3, name).network.encoder
    keypoints, confidence, scale = inputs(3, layout)
    for keypoint in (0, len(layout) - 1):
        moved = keypoints.clone()
        moved[:, :, keypoint] += 5
        hidden = confidence.clone()
        hidden[:, :, keypoint] = 0
        plain, other = (encoder(points, confidence, scale, layout) for points in (keypoints, moved))
        assert not torch.equal(plain, other)
        plain, other = (encoder(points, hidden, scale, layout) for points in (keypoints, moved))
        assert torch.equal(plain, other)


@every_network
def test_a_confidence_is_told(name: str) -> None:
    encoder = tiny_model(3, name).network.encoder
    keypoints, confidence, scale = inputs(3)
    less = confidence.clone()
    less[:, :, 4] = 0.5
    told = [encoder(keypoints, some, scale, H36M_LAYOUT) for some in (confidence, less)]
    assert not torch.allclose(*told)


@every_network
@every_layout
def test_one_model_lifts_layouts_of_every_size(name: str, layout: Layout) -> None:
    lifted = tiny_model(3, name)(*inputs(3, layout), layout)
    points = 17 + len(layout)
    shapes = [tuple(part.shape) for part in lifted]
    assert shapes == [(3, points), (3, points, 2), (3, points), (3, 3)]
    assert all(part.isfinite().all() for part in lifted)
    torch.testing.assert_close(lifted.up.norm(dim=-1), torch.ones(3))
    assert (lifted.error > 0).all()


@every_network
def test_a_keypoint_is_read_as_its_landmark_wherever_it_stands_in_its_layout(name: str) -> None:
    backwards = make_layout("backwards", {joint: joint for joint in reversed(H36M.names)}, {}, 0.0)
    torch.manual_seed(0)
    model = LiftingModel(NETWORKS[name], 3, (H36M_LAYOUT, backwards))
    keypoints, confidence, scale = inputs(3)
    confidence[:, 1, :5] = 0.3
    one = model(keypoints, confidence, scale, H36M_LAYOUT)
    other = model(keypoints.flip(2), confidence.flip(2), scale, backwards)
    torch.testing.assert_close(other.depth[:, :17], one.depth[:, :17])
    torch.testing.assert_close(other.depth[:, 17:], one.depth[:, 17:].flip(1))
    torch.testing.assert_close(other.correction[:, 17:], one.correction[:, 17:].flip(1))


@every_network
def test_the_layout_is_told(name: str) -> None:
    model, given = tiny_model(3, name), inputs(3)
    tokens = model.network.encoder.tokens
    assert isinstance(tokens, BodyTokens) and tokens.layouts == KNOWN
    joints = [model(*given, layout).depth[:, :17] for layout in (H36M_LAYOUT, LAYOUTS["h36m_from_coco"])]
    assert not torch.allclose(*joints)  # of which one has a nose where the other has a neck
    before = model(*given, H36M_LAYOUT).depth
    torch.nn.init.normal_(tokens.layout_embedding[KNOWN.index(H36M_LAYOUT)])
    assert not torch.allclose(before, model(*given, H36M_LAYOUT).depth)


@every_network
def test_the_root_has_no_relative_depth(name: str) -> None:
    """And a correction, since it may not be seen."""
    lifted = tiny_model(1, name)(*inputs(1), H36M_LAYOUT)
    assert lifted.depth[..., H36M.root].abs().max() == 0
    assert lifted.correction[..., H36M.root, :].abs().max() > 0
    others = [point for point in range(34) if point != H36M.root]
    assert (lifted.depth[..., others].abs().amax(0) > 0).all()  # the keypoint of the root has one


@every_network
def test_every_frame_of_a_window_counts(name: str) -> None:
    model = tiny_model(4, name)
    keypoints, confidence, scale = inputs(4)
    before = model(keypoints, confidence, scale, H36M_LAYOUT).depth
    for frame in range(4):
        moved = keypoints.clone()
        moved[:, frame] += 1
        assert not torch.allclose(before, model(moved, confidence, scale, H36M_LAYOUT).depth)


@every_network
def test_a_joint_hidden_in_a_frame_leaves_the_window_as_it_is(name: str) -> None:
    encoder = tiny_model(3, name).network.encoder
    keypoints, confidence, scale = inputs(3)
    confidence[:, 1, 5] = 0
    moved = keypoints.clone()
    moved[:, 1, 5] += 9
    plain, other = (encoder(points, confidence, scale, H36M_LAYOUT) for points in (keypoints, moved))
    assert torch.equal(plain, other)
    moved[:, 0, 5] += 9
    assert not torch.equal(plain, encoder(moved, confidence, scale, H36M_LAYOUT))


@every_network
def test_one_batch_overfits(name: str) -> None:
    model = tiny_model(1, name)
    batch, target = inputs(1), 0.5 * torch.randn(3, 2 * len(H36M))
    target[..., H36M.root] = 0
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = (model(*batch, H36M_LAYOUT).depth - target).square().mean()
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
    network = Architecture.named(name, size, PARAMS).build(WindowShape(9, 3, KNOWN), outputs=5)
    for layout in (H36M_LAYOUT, SMALL):
        points = torch.randn(2, 9, len(layout), 3)
        assert network(points, torch.ones(2, 9, len(layout)), torch.ones(2, 9), layout).shape == (2, 5)


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
    model = Architecture("vit", params).build(WindowShape(3, 2, KNOWN), outputs=4)
    keypoints, confidence, scale = inputs(3)
    backwards = model(keypoints.flip(1), confidence, scale, H36M_LAYOUT)
    assert not torch.allclose(model(keypoints, confidence, scale, H36M_LAYOUT), backwards, atol=1e-6)


def test_frames_that_fill_the_last_tubelet_are_hidden() -> None:
    model = tiny_model(3, "vit").network  # tubelets of two frames: the fourth is made up
    points, confidence, scale = inputs(3)
    confidence[:, 2] = 0
    moved = points.clone()
    moved[:, 2] += 9  # what the filling repeats
    plain, other = (model(part, confidence, scale, H36M_LAYOUT) for part in (points, moved))
    assert torch.equal(plain, other)


def test_stochastic_depth_skips_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    block, tokens = Block(TINY_VIT, drop_path=0.5), torch.randn(1, 4, 8).expand(4000, -1, -1)
    block.feed_forward = torch.nn.Sequential(torch.nn.Identity())
    change = block._kept(torch.ones(4000, 1, 1))
    assert set(change.flatten().tolist()) == {0.0, 2.0}
    assert change.mean().item() == pytest.approx(1, abs=0.06)
    block.eval()
    assert torch.equal(block(tokens)[0], block(tokens)[1])
