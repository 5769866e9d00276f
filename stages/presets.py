"""What each size of the model costs on this machine: python -m stages.presets."""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lib.console import Console
from lib.data.windows import WindowParams
from lib.device import choose_threads, resolve_device
from lib.models.lifters import ModelParams, build_model
from lib.params import section
from lib.paths import Paths
from lib.skeleton import H36M
from lib.stage import main

BATCH = 256  # windows


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print parameters, arithmetic and speed of every size of the chosen model."""
    del paths
    model, frames = section(ModelParams, "model", params), section(WindowParams, "data.window", params).frames
    device = resolve_device(arguments.device)
    if device.type == "cpu":
        torch.set_num_threads(choose_threads("auto"))
    rows = []
    for size in getattr(model, model.name):
        built = build_model(model.model_copy(update={"size": size}), frames).to(device)
        inputs = _inputs(BATCH, frames, device)
        one = tuple(part[:1] for part in inputs)
        with torch.no_grad(), FlopCounterMode(display=False) as flops:
            built(*one)
        rows.append(
            (
                f"{model.name}, {size}",
                f"{sum(parameter.numel() for parameter in built.parameters()):,}",
                f"{flops.get_total_flops() / 1e6:.1f}",
                f"{BATCH / _seconds(partial(_lift, built, inputs), device, arguments.seconds):,.0f}",
                f"{BATCH / _seconds(partial(_train, built, inputs), device, arguments.seconds):,.0f}",
            )
        )
    Console().table(("model", "parameters", "MFLOP a pose", "poses/s lifted", "poses/s trained"), rows)


def _inputs(batch: int, frames: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    keypoints = torch.randn(batch, frames, len(H36M), 2, device=device)
    return keypoints, torch.ones_like(keypoints[..., 0]), torch.full((batch, frames), 0.1, device=device)


@torch.inference_mode()
def _lift(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    model(*inputs)


def _train(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    model.zero_grad()
    model(*inputs).depth.square().mean().backward()


def _seconds(work: Callable[[], None], device: torch.device, budget: float) -> float:
    """The mean time of some work, over about so many seconds."""
    work()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < budget:
        work()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        count += 1
    return (time.perf_counter() - started) / count


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.presets", description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring, for each figure")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
