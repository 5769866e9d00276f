"""Where hidden points probably are, against the formula written out for one joint."""

import numpy as np
import torch

from lib.models.completion import JITTER, Completion


def windows(frames: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, frames, 17, 3, generator=generator).cumsum(1)
    seen = torch.rand(4, frames, 17, generator=generator) > 0.4
    seen[:, 0] = True
    seen[:, :, 5] = False
    return points, seen.float()


def test_it_is_the_conditional_mean() -> None:
    points, confidence = windows()
    model = Completion(6)
    whole = model(points, confidence).detach().numpy()
    factor = model.factor.detach().double().numpy()
    covariance = factor @ factor.T
    seen, path = confidence[1, :, 3].numpy() > 0, points[1, :, 3].double().numpy()
    mean = path[seen].mean(0)
    among = covariance[np.ix_(seen, seen)] + JITTER * np.eye(seen.sum())
    expected = mean + covariance[:, seen] @ np.linalg.solve(among, path[seen] - mean)
    assert 0 < seen.sum() < 6
    np.testing.assert_allclose(whole[1, ~seen, 3], expected[~seen], rtol=1e-3, atol=1e-3)


def test_visible_points_stay_and_hidden_coordinates_reach_nothing() -> None:
    points, confidence = windows()
    model = Completion(6)
    whole = model(points, confidence)
    assert torch.equal(whole[confidence > 0], points[confidence > 0])
    moved = torch.where(confidence[..., None] > 0, points, points.new_tensor(torch.nan))
    assert torch.equal(model(moved, confidence), whole)
    assert whole[:, :, 5].abs().max() == 0  # never seen: at the root


def test_how_frames_vary_together_is_learned() -> None:
    points, confidence = windows()
    model = Completion(6)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        error = (model(points, confidence) - points)[(confidence == 0) & (confidence > 0).any(1, keepdim=True)]
        optimizer.zero_grad()
        error.square().mean().backward()
        optimizer.step()
        losses.append(float(error.square().mean().detach()))
    assert losses[-1] < 0.95 * losses[0]
