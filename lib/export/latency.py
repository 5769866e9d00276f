"""How long one call takes: a lifter in onnxruntime beside the same in torch, each with one thread."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from lib.export.onnx import WindowLifter, required


class Latency(NamedTuple):
    """Medians, in seconds, of calls that take turns."""

    windows: int  # of a call
    torch: float
    onnxruntime: float


def latency(path: Path, lifter: WindowLifter, windows: int, seconds: float) -> Latency:
    """Time a file that `write_onnx` wrote of a lifter, for about so many seconds.

    Raises:
        UserError: onnxruntime is not installed.
    """
    runtime = required("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    rays, std = lifter.example(windows)
    inputs = {"rays": rays.numpy(), "std": std.numpy()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            calls = (lambda: lifter(rays, std)), (lambda: session.run(None, inputs))
            return Latency(windows, *_medians(calls, seconds))
    finally:
        torch.set_num_threads(threads)


def _medians(calls: tuple[Callable[[], object], ...], seconds: float) -> list[float]:
    times: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    started = time.perf_counter()
    while time.perf_counter() - started < seconds or len(times[-1]) < 3:
        for call, taken in zip(calls, times, strict=True):
            before = time.perf_counter()
            call()
            taken.append(time.perf_counter() - before)
    return [statistics.median(taken) for taken in times]
