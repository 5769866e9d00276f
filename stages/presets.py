"""What each size of each network costs on this machine: python -m stages.presets."""

import argparse
import itertools
import math
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lib.data.windows import WindowParams
from lib.models.lifters import Lifted, LiftingModel
from lib.models.networks import NETWORKS, Architecture, Size
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.arguments import Parser
from lib.runtime.console import Console
from lib.runtime.device import choose_threads, resolve_device
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive

BATCH = 256  # windows
Inputs = tuple[Tensor, Tensor, Tensor, Layout]


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print parameters, arithmetic and speed of every network and size, and of plain MLPs of as many parameters."""
    del paths
    frames = section(WindowParams, "data.window", params).frames
    device = resolve_device(arguments.device)
    if device.type == "cpu":
        torch.set_num_threads(choose_threads("auto"))
    rows = []
    for name, size in itertools.product(NETWORKS, get_args(Size)):
        if size not in params["model"].get(name, {}):
            continue  # a network need not have every size
        built = LiftingModel(Architecture.named(name, size, params), frames, tuple(LAYOUTS.values()))
        plain = _mlp(frames, _parameters(built))
        for label, model in ((f"{name}, {size}", built), ("an MLP of that size", plain)):
            rows.append((label, *_measured(model.to(device), frames, device, arguments.seconds)))
    Console().table(("model", "parameters", "MFLOP a pose", "poses/s lifted", "poses/s trained"), rows)


def _measured(model: nn.Module, frames: int, device: torch.device, seconds: float) -> tuple[str, ...]:
    inputs = _inputs(BATCH, frames, device)
    one = _inputs(1, frames, device)
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        model(*one)
    speeds = (BATCH / _seconds(partial(work, model, inputs), device, seconds) for work in (_lift, _train))
    return f"{_parameters(model):,}", f"{flops.get_total_flops() / 1e6:.1f}", *(f"{speed:,.0f}" for speed in speeds)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


class _Mlp(nn.Module):
    """Keypoints and confidence of a window -> depths, by two hidden layers."""

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        joints = len(H36M)
        widths = (3 * frames * joints, width, width, 8 * joints + 3)
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.GELU())]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, keypoints: Tensor, confidence: Tensor, scale: Tensor, layout: Layout) -> Lifted:
        """Scale and layout are not looked at."""
        numbers = self.layers(torch.cat([keypoints, confidence[..., None]], -1).flatten(1))
        points = numbers[:, 3:].unflatten(1, (-1, 4))
        return Lifted(points[..., 0], points[..., 1:3], points[..., 3], numbers[:, :3])


def _mlp(frames: int, parameters: int) -> _Mlp:
    """A plain MLP of about so many parameters: width^2 + sides * width of them."""
    sides = 3 * frames * len(H36M) + 8 * len(H36M) + 3
    return _Mlp(frames, round((math.sqrt(sides**2 + 4 * parameters) - sides) / 2))


def _inputs(batch: int, frames: int, device: torch.device) -> Inputs:
    keypoints = torch.randn(batch, frames, len(H36M), 2, device=device)
    scale = torch.full((batch, frames), 0.1, device=device)
    return keypoints, torch.ones_like(keypoints[..., 0]), scale, H36M_LAYOUT


@torch.inference_mode()
def _lift(model: nn.Module, inputs: Inputs) -> None:
    model(*inputs)


def _train(model: nn.Module, inputs: Inputs) -> None:
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
    parser = Parser(prog="python -m stages.presets", description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=positive(float), default=3.0, help="of measuring, for each figure")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
