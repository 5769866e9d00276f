"""Which parameters decay, and what the rate is at each step, against written-out formulas."""

import copy
import math
import warnings

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from lib.runtime.errors import UserError
from lib.runtime.params import section
from lib.training.optimization import OptimizerName, Schedule, ScheduleParams, build_optimizer, build_schedule

LR = 0.1


class Net(nn.Module):
    """One of everything that a model has."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.norm = nn.LayerNorm(3)
        self.table = nn.Embedding(4, 3)
        self.position = nn.Parameter(torch.ones(5, 3))
        self.frozen = nn.Linear(3, 3).requires_grad_(False)
        self.tied = self.linear


def params(**changes: object) -> ScheduleParams:
    content = {
        "name": "cosine",
        "warmup_steps": 0,
        "final_fraction": 0.0,
        "step_every": 10,
        "factor": 0.5,
        "patience": 1,
    }
    return section(ScheduleParams, "training.schedule", {"training": {"schedule": {**content, **changes}}})


def rates(schedule_params: ScheduleParams, steps: int) -> list[float]:
    """The rate that each of `steps` optimizer steps uses."""
    optimizer, schedule = build(schedule_params, steps)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def build(schedule_params: ScheduleParams, steps: int) -> tuple[Optimizer, Schedule]:
    optimizer = build_optimizer(Net(), "adamw", LR, 0.01)
    return optimizer, build_schedule(optimizer, schedule_params, steps)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_only_matrices_decay(name: OptimizerName) -> None:
    net = Net()
    optimizer = build_optimizer(net, name, LR, 0.01)
    assert type(optimizer).__name__.lower() == name
    decayed, free = optimizer.param_groups
    assert (decayed["weight_decay"], free["weight_decay"], decayed["lr"], free["lr"]) == (0.01, 0.0, LR, LR)
    names = {parameter: name for name, parameter in net.named_parameters()}
    assert {names[p] for p in decayed["params"]} == {"linear.weight"}
    assert {names[p] for p in free["params"]} == {
        "linear.bias",
        "norm.weight",
        "norm.bias",
        "table.weight",
        "position",
    }


def test_rates_by_parameter_keep_their_ratio_over_the_schedule() -> None:
    net = Net()
    named = dict(net.named_parameters())
    optimizer = build_optimizer(
        net, "adamw", LR, 0.01, rates={named[name]: 0.5 for name in ("position", "linear.weight")}
    )
    names = {parameter: name for name, parameter in named.items()}
    members = {(g["lr"], g["weight_decay"]): {names[p] for p in g["params"]} for g in optimizer.param_groups}
    assert members == {
        (LR, 0.0): {"linear.bias", "norm.weight", "norm.bias", "table.weight"},
        (LR / 2, 0.01): {"linear.weight"},
        (LR / 2, 0.0): {"position"},
    }
    for name in ("cosine", "step", "one_cycle"):
        optimizer = build_optimizer(net, "adamw", LR, 0.01, rates={net.position: 0.5})
        schedule = build_schedule(optimizer, params(name=name, warmup_steps=4, final_fraction=0.1), 20)
        for _ in range(20):
            full, *_, halved = sorted((group["lr"] for group in optimizer.param_groups), reverse=True)
            assert halved == pytest.approx(full / 2)
            optimizer.step()
            schedule.step()


def test_weight_decay_shrinks_what_has_no_gradient() -> None:
    net = Net()
    before = copy.deepcopy(net.state_dict())
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    build_optimizer(net, "adamw", LR, 0.01).step()
    torch.testing.assert_close(net.linear.weight, before["linear.weight"] * (1 - LR * 0.01))
    torch.testing.assert_close(net.position, before["position"], rtol=0, atol=0)


@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine(warmup: int, final: float) -> None:
    seen = rates(params(warmup_steps=warmup, final_fraction=final), 40)
    for step, rate in enumerate(seen):
        if step < warmup:
            expected = (step + 1) / (warmup + 1)
        else:  # Loshchilov and Hutter, SGDR, 2017, equation 5
            expected = final + (1 - final) * (1 + math.cos(math.pi * (step - warmup) / (40 - warmup))) / 2
        assert rate == pytest.approx(LR * expected, rel=1e-9)


def test_step() -> None:
    seen = rates(params(name="step", warmup_steps=4, step_every=10, factor=0.5), 30)
    assert seen[:4] == pytest.approx([LR * i / 5 for i in (1, 2, 3, 4)])
    assert seen[4:] == pytest.approx([LR * 0.5 ** (i // 10) for i in range(26)])


@pytest.mark.parametrize("warmup", [0, 1, 2, 10])
@pytest.mark.parametrize("final", [0.0, 0.01])
def test_one_cycle(warmup: int, final: float) -> None:
    seen = rates(params(name="one_cycle", warmup_steps=warmup, final_fraction=final), 40)
    peak = max(warmup - 1, 0)
    assert max(seen) == pytest.approx(LR, rel=0.01)
    assert seen.index(max(seen)) == (peak if warmup > 1 else 0)
    assert seen[peak:] == sorted(seen[peak:], reverse=True)
    assert seen[: peak + 1] == sorted(seen[: peak + 1])
    assert seen[-1] == pytest.approx(LR * final, abs=1e-12)


def test_plateau_falls_after_validations_without_a_lower_loss() -> None:
    optimizer, schedule = build(params(name="plateau", warmup_steps=2, patience=1, factor=0.5), 100)
    seen = []
    for loss in (None, None, 1.0, None, None, 0.9, 0.9, None, 0.95, None, 0.8):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(loss)
    assert seen == pytest.approx([LR / 3, LR * 2 / 3, *[LR] * 7, LR / 2, LR / 2])


@pytest.mark.parametrize("name", ["cosine", "step", "plateau", "one_cycle"])
def test_a_warmup_longer_than_the_run_takes_half_of_it(name: str) -> None:
    seen = rates(params(name=name, warmup_steps=1000), 6)
    assert max(seen) == pytest.approx(LR)
    assert seen.index(max(seen)) in (2, 3)
    assert seen[0] < LR
    assert rates(params(name=name, warmup_steps=1000), 1) == pytest.approx([LR], rel=0.01) or name == "one_cycle"


def test_steps_that_float16_skips_raise_no_warning() -> None:
    _, schedule = build(params(warmup_steps=2), 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule.step()  # no optimizer step before it


def test_params_out_of_range() -> None:
    with pytest.raises(
        UserError, match=r"training.schedule.name = 'cosin': must be cosine, step, plateau or one_cycle$"
    ):
        params(name="cosin")
    with pytest.raises(UserError, match=r"training.schedule.factor = 1.5: must be a number above 0 and below 1"):
        params(factor=1.5)
