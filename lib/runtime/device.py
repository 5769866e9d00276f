"""Where and how to compute: device, precision and threads, found out or measured rather than assumed."""

import logging
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from lib.runtime.errors import UserError

LOG = logging.getLogger(__name__)
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class DeviceInfo:
    """What `describe_devices` finds out about a device."""

    device: torch.device
    hardware: str
    memory: int | None  # bytes; None where the system does not say
    bfloat16: bool

    def __str__(self) -> str:
        """Plain words, for a log."""
        memory = "memory not known" if self.memory is None else f"{self.memory / 2**30:.1f} GiB of memory"
        return f"{self.device}: {self.hardware}, {memory}, {'with' if self.bfloat16 else 'without'} bfloat16"


def available_devices() -> list[torch.device]:
    """Every device of this machine, the one that `auto` picks first."""
    devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count() if _has_cuda() else 0)]
    if torch.backends.mps.is_available():
        devices.append(torch.device("mps"))
    return [*devices, torch.device("cpu")]


def resolve_device(name: str) -> torch.device:
    """The device called `name` (auto, cpu, mps, cuda or cuda:INDEX); auto takes CUDA, then MPS, then the CPU.

    Raises:
        UserError: this machine has no such device.
    """
    available = available_devices()
    named = {str(device): device for device in available}
    wanted = {"auto": str(available[0]), "cuda": "cuda:0"}.get(name, name)
    if wanted not in named:
        raise UserError(f"device {name!r} is not available: this machine has {', '.join(named)}; auto picks the first")
    LOG.info("device: %s", wanted)
    return named[wanted]


def device_of_rank(device: torch.device, local_rank: int) -> torch.device:
    """The device of one of the processes that train together on this machine: CUDA devices from `device` on in turn.

    Raises:
        UserError: there are fewer.
    """
    if local_rank == 0 or device.type == "cpu":
        return device
    return resolve_device(f"{device.type}:{(device.index or 0) + local_rank}")


def most_processes(device: torch.device) -> int:
    """How many processes can have a device of this kind of their own; 1 on a CPU, whose cores one can use."""
    return torch.cuda.device_count() - (device.index or 0) if device.type == "cuda" else 1


def resolve_precision(name: Precision, device: torch.device) -> tuple[str, str | None]:
    """Fabric's precision for a device, and one line to announce if it is not the one asked for.

    auto takes bfloat16 where the hardware computes in it, float16 on older CUDA devices, and float32 elsewhere.
    """
    mixed = ["bf16-mixed"] if has_bfloat16(device) else []
    if device.type == "cuda":
        mixed.append("16-mixed")
    if name == "auto":
        return (mixed or ["32-true"])[0], None
    if name == "32-true" or name in mixed:
        return name, None
    return "32-true", f"precision {name} is not available on {device}: using 32-true"


def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware itself computes in bfloat16; emulation is slower than float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = _cpu_capabilities()
        return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16"))
    return False


def choose_threads(requested: int | Literal["auto"]) -> int:
    """The number of CPU threads to begin with; auto measures, and takes the fewest within 10 % of the fastest."""
    if requested != "auto":
        if requested > (os.cpu_count() or 1):
            raise UserError(f"{requested} threads are more than this machine's {os.cpu_count()} cores: name fewer")
        return requested
    return fewest_fast_threads(measure_threads())


def fewest_fast_threads(speeds: Mapping[int, float]) -> int:
    """The fewest threads within 10 % of the fastest, from speeds by number of threads."""
    return min(threads for threads, speed in speeds.items() if speed >= 0.9 * max(speeds.values()))


def candidate_threads() -> list[int]:
    """The numbers of threads that auto chooses from: 1, 2, 4, ... and all that this process may use."""
    return _thread_counts(_usable_cores())


def share_of_cores(processes: int) -> int:
    """The threads of each of several processes on the cores that they may use together."""
    return max(1, _usable_cores() // processes)


def measure_threads(seconds: float = 0.2) -> dict[int, float]:
    """GFLOP/s of float32 matmuls by number of threads, for all that auto chooses from.

    On a busy machine two threads can be slower than one, because each matmul waits for its slowest thread.
    """
    counts = candidate_threads()
    left, right = torch.rand(2048, 256), torch.rand(256, 256)  # the size of a linear layer's work on a small batch
    operations = 2 * left.shape[0] * left.shape[1] * right.shape[1]
    before = torch.get_num_threads()
    try:
        return {count: operations * _rate(left, right, count, seconds / len(counts)) / 1e9 for count in counts}
    finally:
        torch.set_num_threads(before)


def describe_devices() -> list[DeviceInfo]:
    """Everything found on this machine, the device that `auto` picks first."""
    return [describe_device(device) for device in available_devices()]


def describe_device(device: torch.device) -> DeviceInfo:
    """What there is to know of a device."""
    return DeviceInfo(device, _hardware(device), _memory(device), has_bfloat16(device))


def _has_cuda() -> bool:
    return torch.cuda.is_available()


def _cpu_capabilities() -> dict[str, object]:
    """The instruction sets of the CPU; empty before torch 2.11, which a system's own build may be."""
    query = getattr(torch.cpu, "get_capabilities", None)
    return dict(query()) if query else {}


def _usable_cores() -> int:
    """The cores this process may run on: on shared machines fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _thread_counts(cores: int) -> list[int]:
    """1, 2, 4, ... and `cores` itself."""
    return sorted({*(1 << power for power in range(cores.bit_length())), cores})


def _rate(left: torch.Tensor, right: torch.Tensor, threads: int, seconds: float) -> float:
    """Matmuls per second; the mean and not the best, so that waiting for busy cores counts."""
    torch.set_num_threads(threads)
    left @ right  # the first one starts the threads
    start, done, elapsed = time.perf_counter(), 0, 0.0
    while elapsed < seconds:
        left @ right
        done, elapsed = done + 1, time.perf_counter() - start
    return done / elapsed


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = _cpu_capabilities().get("cpu_name") or platform.processor() or platform.machine()
    return f"{name} GPU" if device.type == "mps" else str(name)


def _memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows has no sysconf, and not every system these names
        return None
