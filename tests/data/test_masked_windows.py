import pytest
import torch

from lib.data.masked_windows import masked, root_centred_points
from lib.data.windows import Windows
from lib.pose.crops import turn_to
from lib.pose.geometry import rotate
from lib.pose.skeleton import H36M
from lib.sequences.gaps import interpolated
from tests.settings import NETWORKS, synthetic_split, tiny_reconstructor, window

WRIST = H36M.index("left_wrist")


def windows(coords: int) -> torch.Tensor:
    return root_centred_points(Windows(synthetic_split(60), window(5))[torch.arange(10)], coords, H36M)


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
        assert torch.equal(tiny_reconstructor(name, coords)(*one[:3]), tiny_reconstructor(name, coords)(*other[:3]))
    seen = masked(moved, torch.zeros_like(hidden))
    assert not torch.equal(tiny_reconstructor(name, coords)(*seen[:3]), tiny_reconstructor(name, coords)(*one[:3]))


def test_the_scale_is_that_of_what_is_visible() -> None:
    whole = windows(3)
    hidden = torch.zeros(whole.shape[:-1], dtype=torch.bool)
    hidden[:, 0] = True
    given = masked(whole, hidden)
    expected = whole[:, 1:].square().sum(-1).mean((1, 2)).sqrt()
    torch.testing.assert_close(given.scale, expected[:, None].expand(-1, 5))
    torch.testing.assert_close(given.whole * given.scale[..., None, None], whole)


def test_points_of_2d_are_rays_and_of_3d_metres() -> None:
    batch = Windows(synthetic_split(60), window(5).clip)[torch.arange(5, 60, 5)]
    assert batch.positions is not None
    flat, solid = root_centred_points(batch, 2, H36M), root_centred_points(batch, 3, H36M)
    turned = rotate(turn_to(*batch.rays[..., H36M.root, :].unbind(-1)), batch.positions)
    torch.testing.assert_close(flat, solid[..., :2] / turned[..., 2:], atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="need positions"):
        root_centred_points(batch._replace(positions=None), 3, H36M)


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
