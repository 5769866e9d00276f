import pytest
import torch

from lib.data.masked_windows import hidden_error, interpolated, masked, root_centred_points
from lib.data.windows import WindowBatch, Windows
from lib.evaluation.reconstruction import hidden_error
from lib.models.reconstructors import ReconstructionModel
from lib.objectives.mask import Masked
from lib.pose.crops import perspective_crops
from lib.pose.skeleton import H36M
from lib.sequences.gaps import interpolated
from tests.settings import MASKING, NETWORKS, NO_TRANSFORMS, synthetic_split, window

WRIST = H36M.index("left_wrist")


def clips(frames: int = 5) -> WindowBatch:
    return Windows(synthetic_split(60), window(frames).clip)[torch.arange(5, 60, 5)]


def model(name: str, coords: int, frames: int = 5) -> ReconstructionModel:
    torch.manual_seed(0)
    return ReconstructionModel(NETWORKS[name], frames, coords)


def windows(coords: int) -> torch.Tensor:
    return root_centred_points(Windows(synthetic_split(60), window(5))[torch.arange(10)], coords)


@pytest.mark.parametrize("coords", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_hidden_reaches_nothing(name: str, coords: int) -> None:
    whole = windows(coords)
    hidden = torch.zeros(whole.shape[:-1], dtype=torch.bool)
    hidden[:, 1:3, WRIST] = True
    moved = torch.where(hidden[..., None], whole + 5, whole)
    unknown = torch.where(hidden[..., None], torch.nan, whole)
    one, *others = (masked(points, hidden) for points in (whole, moved, unknown))
    for other in others:
        for mine, theirs in zip(one[:3], other[:3], strict=True):
            assert torch.equal(mine, theirs)
        assert torch.equal(model(name, coords)(*one[:3]), model(name, coords)(*other[:3]))
    seen = masked(moved, torch.zeros_like(hidden))
    assert not torch.equal(model(name, coords)(*seen[:3]), model(name, coords)(*one[:3]))


def test_the_scale_is_that_of_what_is_visible() -> None:
    whole = windows(3)
    hidden = torch.zeros(whole.shape[:-1], dtype=torch.bool)
    hidden[:, 0] = True
    given = masked(whole, hidden)
    expected = whole[:, 1:].square().sum(-1).mean((1, 2)).sqrt()
    torch.testing.assert_close(given.scale, expected[:, None].expand(-1, 5))
    torch.testing.assert_close(given.whole * given.scale[..., None, None], whole)


def test_points_of_2d_are_rays_and_of_3d_metres() -> None:
    batch = clips()
    assert batch.positions is not None
    flat, solid = root_centred_points(batch, 2), root_centred_points(batch, 3)
    depth = perspective_crop(batch.rays).rotation[..., 2, :][..., None, :] @ batch.positions.mT
    torch.testing.assert_close(flat, solid[..., :2] / depth.mT, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="need positions"):
        root_centred_points(batch._replace(positions=None), 3)


def test_a_line_in_time_is_exact_for_steady_motion_and_constant_at_the_ends() -> None:
    start, step = torch.randn(4, 1, 17, 3), torch.randn(4, 1, 17, 3)
    whole = start + step * torch.arange(5.0)[:, None, None]
    hidden = torch.zeros(4, 5, 17, dtype=torch.bool)
    hidden[:, 2:4] = True
    given = masked(whole, hidden)
    torch.testing.assert_close(interpolated(given.points, given.confidence, torch.zeros(17, 3)), given.whole)
    hidden[:, 4] = True
    given = masked(whole, hidden)
    line = interpolated(given.points, given.confidence, torch.zeros(17, 3))
    torch.testing.assert_close(line[:, 4], given.whole[:, 1])
    hidden[:, :, WRIST] = True
    fallback = torch.ones(17, 3)
    given = masked(whole, hidden)
    guess = interpolated(given.points, given.confidence, fallback)
    assert torch.equal(guess[:, :, WRIST], torch.ones(4, 5, 3))


def test_the_error_of_hidden_points_by_hand() -> None:
    whole = windows(3)
    hidden = torch.zeros(whole.shape[:-1], dtype=torch.bool)
    hidden[:, :, WRIST] = True
    given = masked(whole, hidden)
    off = given.whole + torch.tensor([3.0, 4.0, 0.0]) / given.scale[..., None, None]
    error = hidden_error(off, given, torch.full((10,), 1000.0))
    assert error[WRIST].item() == pytest.approx(5000, rel=1e-4)
    assert error.isfinite().nonzero().tolist() == [[WRIST]]  # no other joint is hidden anywhere


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("coords", [2, 3])
def test_training_learns_to_fill_in(name: str, coords: int) -> None:
    network = model(name, coords)
    masking = MASKING.model_copy(update={"ratio": (0.3, 0.3)})
    objective = Masked(coords, masking, NO_TRANSFORMS, window(5), 32, epochs=2)
    steps = objective.steps(None, iter([clips()] * 3), 1, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _, terms_of in zip(range(200), steps, strict=False):
        loss = objective.total(terms_of(network))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert objective.picture(network, clips()).get_axes()


def test_joints_that_nobody_saw_do_not_count() -> None:
    batch, objective = clips(), Masked(2, MASKING, NO_TRANSFORMS, window(5), 32, epochs=2)
    confidence = batch.confidence.clone()
    confidence[..., WRIST] = 0
    unseen = batch._replace(confidence=confidence)
    moved = unseen._replace(rays=torch.where((confidence > 0)[..., None], batch.rays, batch.rays + 3))
    losses = [
        next(objective.steps(None, iter([some]), 1, torch.Generator().manual_seed(0)))(model("transformer", 2))
        for some in (unseen, moved)
    ]
    assert losses[0]["reconstruction"].isfinite()
    assert losses[0] == losses[1]
