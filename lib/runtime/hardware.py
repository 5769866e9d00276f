"""What a training run computes with. Apart from `lib.runtime.device`, since importing Fabric takes a second."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from lightning_fabric import Fabric

from lib.runtime.device import (
    Precision,
    candidate_threads,
    choose_threads,
    describe_device,
    device_of_rank,
    resolve_device,
    resolve_precision,
    share_of_cores,
)
from lib.runtime.group import Group
from lib.runtime.threads import ThreadTuner

LOG = logging.getLogger(__name__)
# Fabric announces every choice it makes, on stderr and under three names; we announce those that matter.
for _name in ("lightning_fabric", "lightning.fabric", "lightning_utilities"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Hardware:
    """What a run computes with."""

    fabric: Fabric
    description: str  # for the header of the run
    fallback: str | None  # one line to announce if it is not what was asked for
    tuner: ThreadTuner | None = None  # changes the number of threads while training goes on; None: it is fixed
    group: Group = Group()  # the processes that train together

    @classmethod
    def prepare(
        cls, device: str, precision: Precision, threads: int | Literal["auto"], announce: Callable[[str], None]
    ) -> "Hardware":
        """Set the number of threads of this process, and launch fabric; raises UserError as the parts do.

        Of several processes, each has a device of its own, and this one waits for the others. On a CPU, `auto` threads
        are tuned during training, which announces the changes; several processes share the cores.
        """
        group = Group.of_environment()
        found = device_of_rank(resolve_device(device), group.local_rank)
        chosen, fallback = resolve_precision(precision, found)
        alone = group.local_size == 1
        LOG.info("%s", describe_device(found))
        count = choose_threads(threads) if alone or threads != "auto" else share_of_cores(group.local_size)
        torch.set_num_threads(count)
        group.join(found)
        several = f", {group.size} processes" if group.size > 1 else ""
        if found.type != "cpu":
            return cls(make_fabric(found, chosen), f"{found}, {chosen}{several}", fallback, group=group)
        tuner = ThreadTuner(candidate_threads(), count, announce) if threads == "auto" and alone else None
        description = f"{found}, {chosen}, {count} threads" + (" to begin with" if tuner else "") + several
        return cls(make_fabric(found, chosen), description, fallback, tuner, group)


def make_fabric(device: torch.device, precision: str) -> Fabric:
    """A launched Fabric on one device; takes what `resolve_device` and `resolve_precision` return."""
    devices: int | Sequence[int] = [device.index] if device.type == "cuda" else 1
    fabric = Fabric(accelerator=device.type, devices=devices, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    return fabric
