"""How fast the parts are, each beside what bounds it: in turn, on one thread, in one run.

Machines are shared and noisy, so that times are the process's own on the CPU, and a ratio is the median of those of
neighbours in time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lib.data.split import Split
from lib.evaluation import metrics
from lib.experiments.contention import ENDLESS, Finished, MeteredConsole, MeterOfSteps
from lib.inference.lifter import Lifter
from lib.models.checkpoints import Checkpoint
from lib.models.lifters import LiftingModel
from lib.pose.geometry import root_centred
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.console import Console
from lib.runtime.hardware import Hardware
from lib.runtime.paths import Paths
from lib.runtime.tensorboard import Board
from lib.training.optimization import build_optimizer
from lib.training.pretraining import PretrainParams, pretrain

MATRIX = 1024  # rows and columns of the matrices whose product says how fast the machine computes
MM = 1000.0


class Measured(NamedTuple):
    """A figure beside its bound."""

    name: str
    unit: str
    value: float
    bound: float
    ratio: float  # of speeds: 1 is as fast as the bound


def training(params: PretrainParams, paths: Paths, seconds: float, rounds: int) -> list[Measured]:
    """The training loop beside the model's step alone, and that step's arithmetic beside a matrix product's.

    The step is forward, backward, clip and optimizer, on windows that stay the same.
    """
    chosen = params.training.model_copy(update={"device": "cpu", "threads": 1, "patience": 0, "epochs": ENDLESS})
    params = replace(params, training=chosen.model_copy(update={"prior_epochs": 0, "validate_every": ENDLESS}))
    windows = chosen.batches.real + chosen.batches.drawn
    step = _model_step(params, windows)
    with FlopCounterMode(display=False) as counter:
        step()
    flops, loops, arithmetic = counter.get_total_flops(), [], []
    for _ in range(rounds):
        alone = _seconds(step, seconds)
        arithmetic.append((flops / alone / 1e9, _product_rate(seconds / 4)))
        loops.append((_loop_speed(params, paths, seconds), windows / alone))
    return [
        _measured("training loop beside the model's step alone", "windows/s", loops),
        _measured("that step's arithmetic beside a bfloat16 matrix product's", "GFLOP/s", arithmetic),
    ]


def lifting(lifter: Lifter, split: Split, batch_size: int, seconds: float, rounds: int) -> list[Measured]:
    """Lifting a split plainly, with flips and with all that evaluation does, and one frame beside the model alone."""
    off = {"constant_bone_lengths": False, "depth_signs": False, "denoise": False}
    ways: tuple[dict[str, bool], ...] = ({"flip": False, **off}, off, {})
    calls = [partial(lifter.lift, split, batch_size=batch_size, **way) for way in ways]
    one = torch.tensor([len(split.rays) // 2])
    frame = partial(lifter.lift_windows, split, 1, False, one)
    alone = partial(_lifted, lifter.model, _inputs(1, lifter.window.frames))
    speeds, times = [], []
    for _ in range(rounds):
        speeds.append([len(split.rays) / _seconds(call, 0.0) for call in calls])
        times.append((1 / _seconds(frame, seconds / 4), 1 / _seconds(alone, seconds / 4)))
    return [
        _measured("lifting with flips beside plainly", "poses/s", [(flips, plain) for plain, flips, _ in speeds]),
        _measured("lifting with everything beside flips", "poses/s", [(whole, flips) for _, flips, whole in speeds]),
        _measured("one frame beside the model alone", "frames/s", times),
    ]


def alignment(poses: int, rounds: int) -> list[Measured]:
    """P-MPJPE beside the same by NumPy's batched singular value decomposition, in float32."""
    generator = torch.Generator().manual_seed(0)
    target = 300 * torch.randn(poses, len(H36M), 3, generator=generator)
    predicted = target + 50 * torch.randn(target.shape, generator=generator)
    pairs = []
    for _ in range(rounds):
        own = _seconds(lambda: metrics.p_mpjpe(predicted, target), 0.0)
        pairs.append((poses / own, poses / _seconds(lambda: _p_mpjpe(predicted.numpy(), target.numpy()), 0.0)))
    return [_measured("P-MPJPE beside NumPy's", "poses/s", pairs)]


def seconds_to(error: float, params: PretrainParams, paths: Paths, validation: Split) -> tuple[float, float]:
    """CPU seconds of this process until a pre-training's P-MPJPE on a split (mm) is no more, and what it then is.

    With all that comes before the training, and without what measuring the errors takes. Infinite if it never is.
    """
    assert validation.positions is not None
    target, measuring, found = root_centred(validation.positions, H36M) * MM, 0.0, [torch.inf, torch.inf]

    def measure(checkpoint: Checkpoint) -> None:
        nonlocal measuring
        now = time.process_time()
        joints = Lifter(checkpoint, torch.device("cpu")).lift(validation).joints
        found[:] = now - measuring, float(metrics.p_mpjpe(joints, target).mean())
        measuring += time.process_time() - now
        if found[1] <= error:
            raise Finished

    chosen = params.training.model_copy(update={"device": "cpu", "threads": 1})
    with suppress(Finished):
        pretrain(replace(params, training=chosen), paths.poses, _board(paths), Console(quiet=True), measure)
        return torch.inf, found[1]
    return found[0], found[1]


class _Meter(MeterOfSteps):
    """Counts the windows of steps, from the end of the first one on."""

    def __init__(self, seconds: float) -> None:
        self.rate, self._least, self._began, self._counted = 0.0, seconds, 0.0, 0

    def step(self, poses: int, losses: Mapping[str, float] | None = None) -> None:
        """Count a step; raises Finished after so many seconds."""
        del losses
        now = time.process_time()
        if self._began == 0.0:
            self._began = now
            return
        self._counted += poses
        if now - self._began >= self._least:
            self.rate = self._counted / (now - self._began)
            raise Finished


def _loop_speed(params: PretrainParams, paths: Paths, seconds: float) -> float:
    meter = _Meter(seconds)
    with suppress(Finished):
        pretrain(params, paths.poses, _board(paths), MeteredConsole(meter))
    return meter.rate


def _board(paths: Paths) -> Board:
    return Board(paths.root / "data" / "scratch" / "speed", "pretrain")


def _model_step(params: PretrainParams, windows: int) -> Callable[[], None]:
    """A training step of the model on windows of noise, in the precision of training."""
    chosen = params.training
    fabric = Hardware.prepare("cpu", chosen.precision, 1, Console(quiet=True).announce).fabric
    model = LiftingModel(params.model, params.window.frames, tuple(LAYOUTS.values()))
    optimizer = build_optimizer(model, chosen.optimizer, chosen.lr, chosen.weight_decay, fused=True)
    student, optimizer = fabric.setup(model, optimizer)
    inputs = _inputs(windows, params.window.frames)

    def step() -> None:
        lifted = student(*inputs, H36M_LAYOUT)
        loss = sum((part.float().square().mean() for part in lifted), torch.zeros(()))
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(student, optimizer, max_norm=1.0, error_if_nonfinite=False)
        optimizer.step()

    return step


def _inputs(windows: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    keypoints = torch.randn(windows, frames, len(H36M), 2)
    return keypoints, torch.ones_like(keypoints[..., 0]), torch.full((windows, frames), 0.1)


@torch.inference_mode()
def _lifted(model: LiftingModel, inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    model(*inputs, H36M_LAYOUT)


def _product_rate(seconds: float) -> float:
    """GFLOP/s of a product of two square matrices in bfloat16."""
    matrix = torch.randn(MATRIX, MATRIX, dtype=torch.bfloat16)
    return 2 * MATRIX**3 / _seconds(lambda: matrix @ matrix, seconds) / 1e9


def _p_mpjpe(predicted: "np.ndarray", target: "np.ndarray") -> float:  # type: ignore[type-arg]
    """Alignment as Umeyama's equations 39 to 43 say, with all poses in each call of NumPy, and the mean error."""
    p, t = (part - part.mean(1, keepdims=True) for part in (predicted, target))
    u, singular, vh = np.linalg.svd(t.transpose(0, 2, 1) @ p)
    sign = np.sign(np.linalg.det(u @ vh))
    u[:, :, -1] *= sign[:, None]
    singular[:, -1] *= sign
    factor = singular.sum(-1) / np.square(p).sum((1, 2))
    moved = factor[:, None, None] * (p @ (u @ vh).transpose(0, 2, 1))
    return float(np.linalg.norm(moved - t, axis=-1).mean())


def _seconds(work: Callable[[], object], least: float) -> float:
    """CPU seconds of some work, a mean over at least so many; once before, not counted, unless that is 0."""
    if least > 0:
        work()
    count, began = 0, time.process_time()
    while count == 0 or time.process_time() - began < least:
        work()
        count += 1
    return (time.process_time() - began) / count


def _measured(name: str, unit: str, pairs: Sequence[tuple[float, float]]) -> Measured:
    value, bound = (median(part) for part in zip(*pairs, strict=True))
    return Measured(name, unit, value, bound, median(one / other for one, other in pairs))
