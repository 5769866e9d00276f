"""Masked modelling: it learns to fill in, and counts what is known alone."""

import pytest
import torch

from lib.data.windows import WindowBatch, Windows
from lib.objectives.mask import Masked
from lib.plotting.examples import draw_examples
from lib.pose.skeleton import H36M
from tests.settings import MASKING, NETWORKS, NO_TRANSFORMS, pipeline, synthetic_split, tiny_reconstructor, window

WRIST = H36M.index("left_wrist")


def clips(frames: int = 5) -> WindowBatch:
    return Windows(synthetic_split(60), window(frames).clip)[torch.arange(5, 60, 5)]


def objective(coords: int, ratio: tuple[float, float] = (0.2, 0.4)) -> Masked:
    masking = MASKING.model_copy(update={"ratio": ratio})
    return Masked(coords, pipeline(5, transforms=NO_TRANSFORMS), masking, windows=32, epochs=2)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("coords", [2, 3])
def test_training_learns_to_fill_in(name: str, coords: int) -> None:
    network = tiny_reconstructor(name, coords)
    mask = objective(coords, (0.3, 0.3))
    steps = mask.steps(None, iter([clips()] * 3), 1, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _, terms_of in zip(range(200), steps, strict=False):
        loss = mask.total(terms_of(network))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert draw_examples(mask.examples(network, clips())).get_axes()


def test_joints_that_nobody_saw_do_not_count() -> None:
    batch, mask = clips(), objective(2)
    confidence = batch.confidence.clone()
    confidence[..., WRIST] = 0
    unseen = batch._replace(confidence=confidence)
    moved = unseen._replace(rays=torch.where((confidence > 0)[..., None], batch.rays, batch.rays + 3))
    losses = [
        next(mask.steps(None, iter([some]), 1, torch.Generator().manual_seed(0)))(tiny_reconstructor("transformer", 2))
        for some in (unseen, moved)
    ]
    assert losses[0]["reconstruction"].isfinite()
    assert losses[0] == losses[1]
