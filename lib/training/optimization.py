"""The optimizer and the schedule of its learning rate."""

import math
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    LambdaLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from lib.runtime.params import Section

OptimizerName = Literal["adamw", "adam", "sgd"]


class ScheduleParams(Section):
    """`training.schedule`: how the learning rate changes; steps are optimizer steps."""

    name: Literal["cosine", "step", "plateau", "one_cycle"]
    warmup_steps: Annotated[int, Field(ge=0, le=10_000_000)]  # linearly to the full rate; at most half of the run
    final_fraction: Annotated[float, Field(ge=0, le=1)]  # cosine, one_cycle: the last rate over the full one
    step_every: Annotated[int, Field(ge=1, le=10_000_000)]  # step: how often the rate falls
    factor: Annotated[float, Field(gt=0, lt=1)]  # step, plateau: what the rate is multiplied by
    patience: Annotated[int, Field(ge=0, le=10_000)]  # plateau: validations without a lower loss before the rate falls

    @property
    def depends_on_length(self) -> bool:
        """Whether its rates depend on how long the run is."""
        return self.name in ("cosine", "one_cycle")


class Schedule:
    """The learning rate from step to step; made by `build_schedule`."""

    def __init__(self, by_step: LRScheduler | None, by_validation: ReduceLROnPlateau | None) -> None:
        self._by_step, self._by_validation = by_step, by_validation

    def step(self, validation_loss: float | None = None) -> None:
        """Set the rate of the next optimizer step; called once after each, with the loss if one was just validated."""
        if self._by_step is not None:
            with warnings.catch_warnings():
                # Float16 skips the optimizer's first steps while it looks for its loss scale, which torch takes for
                # calls in the wrong order.
                warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
                self._by_step.step()
        if self._by_validation is not None and validation_loss is not None:
            self._by_validation.step(validation_loss)


Rates = Mapping[nn.Parameter, float]  # factors of the learning rate; 1 for parameters that are not in it


def build_optimizer(
    model: nn.Module,
    name: OptimizerName,
    lr: float,
    weight_decay: float,
    fused: bool = False,
    rates: Rates | None = None,
) -> Optimizer:
    """An optimizer that decays the weights of linear layers alone: no bias, norm or embedding.

    Parameters that need no gradient are left out; `rates` are factors of single parameters' learning rates. `fused`
    updates all weights in one pass, three times as fast on a CPU; fabric cannot clip gradients beside it where it
    scales them (16-mixed).
    """
    matrices = {module.weight for module in model.modules() if isinstance(module, nn.Linear)}
    members: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            members.setdefault(((rates or {}).get(parameter, 1.0), parameter in matrices), []).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": parameters, "lr": rate * lr, "weight_decay": weight_decay if decays else 0.0}
        for (rate, decays), parameters in sorted(members.items(), key=lambda item: item[0], reverse=True)
    ]
    match name:
        case "adamw":
            return AdamW(groups, lr=lr, fused=fused)
        case "adam":
            return Adam(groups, lr=lr, fused=fused)
        case "sgd":
            return SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=fused)


def build_schedule(optimizer: Optimizer, params: ScheduleParams, total_steps: int) -> Schedule:
    """The schedule of a run of `total_steps` optimizer steps, from the optimizer's rates, which are full ones."""
    warmup = min(params.warmup_steps, total_steps // 2)
    if params.name == "one_cycle":
        return Schedule(_one_cycle(optimizer, params.final_fraction, warmup, total_steps), None)
    # Step i of the warm-up runs at (i + 1) / (warmup + 1) of the full rate: never at 0.
    rise = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup) if warmup else None
    if params.name == "plateau":
        # A validation during the warm-up counts too, so a rate that falls there rises from its lower level.
        return Schedule(rise, ReduceLROnPlateau(optimizer, factor=params.factor, patience=params.patience))
    fall: LRScheduler
    if params.name == "cosine":
        fall = LambdaLR(optimizer, partial(_cosine, steps=max(total_steps - warmup, 1), final=params.final_fraction))
    else:
        fall = StepLR(optimizer, step_size=params.step_every, gamma=params.factor)
    return Schedule(SequentialLR(optimizer, [rise, fall], milestones=[warmup]) if rise else fall, None)


def _cosine(step: int, steps: int, final: float) -> float:
    """I. Loshchilov and F. Hutter, SGDR, ICLR 2017, equation 5, as a factor; torch's own has one last rate for all."""
    return final + (1 - final) * (1 + math.cos(math.pi * min(step / steps, 1.0))) / 2


def _one_cycle(optimizer: Optimizer, final_fraction: float, warmup: int, total_steps: int) -> OneCycleLR:
    """Cosine up during the warm-up and cosine down after it."""
    first_fraction = 1 / 25
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total_steps,
        pct_start=warmup / total_steps if warmup > 1 else 0.0,  # torch divides by the warm-up's steps less one
        div_factor=1 / first_fraction,
        final_div_factor=first_fraction / final_fraction if final_fraction else math.inf,
        cycle_momentum=False,
    )
