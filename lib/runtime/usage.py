"""What this process takes of memory, and how busy its device is, where the system tells without being waited for."""

import os
import sys
from pathlib import Path

import torch

STATM = Path("/proc/self/statm")


def resident_memory() -> int | None:
    """Bytes of memory that this process has now; elsewhere than on Linux the most that it had, or None."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource  # noqa: PLC0415  # Windows has none
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def device_memory(device: torch.device) -> int | None:
    """The most bytes of an accelerator that this process had in tensors; of MPS, what it has now; None of a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.current_allocated_memory()
    return None


def device_utilization(device: torch.device) -> float | None:
    """The share of the last second or less in which a CUDA device worked, if NVIDIA's nvidia-ml-py is installed."""
    if device.type != "cuda":
        return None
    try:
        return torch.cuda.utilization(device) / 100
    except Exception:  # without the package, and whatever its library raises: nothing but a figure is lost
        return None
