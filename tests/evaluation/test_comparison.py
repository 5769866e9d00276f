import numpy as np
import pytest
import torch

from lib.evaluation.comparison import Sums, differences, draw_counts, mean_differences


def sums(*models: tuple[list[float], list[float]]) -> Sums:
    """One metric of models, by the totals and weights of their sequences."""
    total, weight = (torch.tensor(part, dtype=torch.float64)[..., None] for part in zip(*models, strict=True))
    return Sums(total, weight)


def random_sums(models: int, sequences: int, seed: int = 0) -> Sums:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(1, 100, (1, sequences, 1), generator=generator).double().expand(models, -1, 3)
    error = torch.randn(models, sequences, 3, generator=generator, dtype=torch.float64) + 5
    return Sums(error * weight, weight)


def test_sequences_weigh_as_much_as_their_frames() -> None:
    one = sums(([10.0, 90.0], [1.0, 3.0]))
    assert one.values.tolist() == [[25.0]]


def test_each_resample_has_as_many_sequences_as_there_are() -> None:
    counts = draw_counts(7, seed=0)
    assert counts.shape == (2000, 7) and torch.equal(counts.sum(1), torch.full((2000,), 7.0, dtype=torch.float64))
    assert (counts.mean(0) - 1).abs().max() < 0.1 and counts.max() > 2
    assert torch.equal(counts, draw_counts(7, seed=0)) and not torch.equal(counts, draw_counts(7, seed=1))


def test_the_same_model_differs_by_nothing_for_sure() -> None:
    one = random_sums(1, 9)
    twice = Sums(*(torch.cat([part, part]) for part in one))
    for part in differences(twice, draw_counts(9, seed=0)):
        assert torch.equal(part, torch.zeros(2, 3, dtype=torch.float64))


def test_a_constant_shift_is_certain_however_different_sequences_are() -> None:
    one = random_sums(1, 9)
    shifted = Sums(torch.cat([one.total, one.total + 2.5 * one.weight]), torch.cat([one.weight, one.weight]))
    for part in differences(shifted, draw_counts(9, seed=0)):
        torch.testing.assert_close(part[1], torch.full((3,), 2.5, dtype=torch.float64))


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    """Sequences of the same length: the difference is a mean, whose distribution is nearly normal."""
    off = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ones = torch.ones_like(off)
    found = differences(sums((ones.tolist(), ones.tolist()), ((1 + off).tolist(), ones.tolist())), draw_counts(400, 0))
    error = 1.96 * float(off.std(correction=0)) / 20
    assert float(found.value[1]) == pytest.approx(float(off.mean()))
    assert float(found.low[1]) == pytest.approx(float(off.mean()) - error, abs=0.1 * error)
    assert float(found.high[1]) == pytest.approx(float(off.mean()) + error, abs=0.1 * error)


def test_resampling_is_that_of_a_loop() -> None:
    some, counts = random_sums(2, 6), draw_counts(6, seed=3)
    off = []
    for row in counts.long():
        drawn = np.repeat(np.arange(6), row.numpy())
        means = [some.total[model, drawn, 0].sum() / some.weight[model, drawn, 0].sum() for model in (0, 1)]
        off.append(float(means[1] - means[0]))
    found = differences(some, counts)
    low, high = np.percentile(off, (2.5, 97.5))
    assert float(found.low[1, 0]) == pytest.approx(low) and float(found.high[1, 0]) == pytest.approx(high)


def test_a_mean_over_actions_leaves_out_those_that_were_not_drawn() -> None:
    first = sums(([1.0, 1.0, 0.0], [1.0, 1.0, 0.0]), ([2.0, 2.0, 0.0], [1.0, 1.0, 0.0]))
    second = sums(([0.0, 0.0, 5.0], [0.0, 0.0, 1.0]), ([0.0, 0.0, 8.0], [0.0, 0.0, 1.0]))
    found = mean_differences([first, second], draw_counts(3, seed=0))
    # 1 to 2 in one action, 5 to 8 in the other: 2 where both were drawn, 1 or 3 where one was
    assert [float(part[1]) for part in found] == [2.0, 1.0, 3.0]


def test_one_sequence_says_nothing_of_others() -> None:
    found = differences(sums(([1.0], [1.0]), ([2.0], [1.0])), draw_counts(1, seed=0))
    assert float(found.value[1]) == 1.0 and found.low.isnan().all() and found.high.isnan().all()
    together = draw_counts(2, seed=0)[:, [0, 0, 1]]  # two cameras of one take, and another take that lacks the metric
    found = differences(sums(([1.0, 2.0, 0.0], [1.0, 1.0, 0.0]), ([2.0, 9.0, 0.0], [1.0, 1.0, 0.0])), together)
    assert float(found.value[1]) == 4.0 and found.low.isnan().all()
