"""The processes that train one model together, each on a device of its own, numbered as `torchrun` numbers them.

A single process is a group of one, in which nothing is exchanged. Of several, the first one alone speaks and writes.
"""

import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed

from lib.runtime.errors import UserError
from lib.runtime.timing import timed

SUPERVISED = "HPE_SUPERVISED"  # set in processes that `lib.runtime.workers` started and watches
LOST = 75  # the exit code of a process that cannot go on since another one has ended
TIMEOUT = timedelta(minutes=10)  # of waiting for another process that neither answers nor ends
WATCH_SECONDS = 0.5
GRACE_SECONDS = 20.0  # of the first process, to end by itself after what started it has
NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class Group:
    """This process among those that train together."""

    rank: int = 0  # of this process, from 0 on
    size: int = 1
    local_rank: int = 0  # the same, of this machine's processes alone
    local_size: int = 1

    @classmethod
    def of_environment(cls) -> "Group":
        """What torchrun or `lib.runtime.workers` says; a group of one where neither started this process."""
        if not {*NUMBERS, "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
            return cls()
        return cls(*(int(os.environ[name]) for name in NUMBERS))

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes."""
        return self.rank == 0

    def join(self, device: torch.device) -> None:
        """Wait for the others, with whom tensors on the device are exchanged from here on."""
        if self.size == 1 or distributed.is_initialized():
            return
        threading.Thread(target=_end_with_parent, args=(os.getppid(), self.first), daemon=True).start()
        with _losing_nobody():
            if device.type == "cuda":
                torch.cuda.set_device(device)
                distributed.init_process_group("nccl", timeout=TIMEOUT, device_id=device)
            else:
                distributed.init_process_group("gloo", timeout=TIMEOUT)

    def leave(self) -> None:
        """Exchange nothing any more: all are done."""
        if self.size > 1:
            with _losing_nobody():
                distributed.barrier()
            distributed.destroy_process_group()

    def add_up(self, tensor: Tensor) -> None:
        """Put the sum over all processes in place of a tensor."""
        if self.size > 1:
            with _losing_nobody(), timed("exchange"):
                distributed.all_reduce(tensor)

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes in their order, along the first axis."""
        if self.size == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        with _losing_nobody():
            distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def gather_values(self, values: list[ValueT]) -> list[ValueT]:
        """The lists of all processes in their order, as one: of plain values and tensors, which are on the CPU then."""
        if self.size == 1:
            return values
        file = io.BytesIO()
        torch.save(values, file)
        files = [b""] * self.size
        with _losing_nobody():
            distributed.all_gather_object(files, file.getvalue())
        parts = (torch.load(io.BytesIO(part), map_location="cpu", weights_only=True) for part in files)
        return [value for part in parts for value in part]

    def broadcast(self, value: ValueT) -> ValueT:
        """The first process's value, whose tensors are on the CPU."""
        if self.size == 1:
            return value
        box = [value]
        with _losing_nobody():
            distributed.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def _losing_nobody() -> Iterator[None]:
    """End this process if another one is gone: in silence where a supervisor knows which, else in one line."""
    try:
        yield
    except RuntimeError as error:  # of gloo and of NCCL
        if SUPERVISED in os.environ:
            sys.exit(LOST)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UserError(
            f"another process of this run has ended or does not answer ({reason}): its own output says why; "
            "the same command goes on from the last state"
        ) from None


def _end_with_parent(parent: int, first: bool) -> None:
    """End this process when the one that started it is gone: nobody would take the result."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    if first:
        time.sleep(GRACE_SECONDS)
    os._exit(LOST)
