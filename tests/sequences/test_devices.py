"""Sequence-level refinement on devices that this machine may lack: tensors that know their device and no numbers."""

from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from lib.sequences import noise, rows


class NoFloat64(TorchDispatchMode):
    """Refuses what Apple's GPUs refuse."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.device.type == "mps" and made.dtype == torch.float64:
            raise TypeError("MPS has no float64")
        return made


def test_lengths_need_no_float64_where_there_is_none() -> None:
    with FakeTensorMode(), NoFloat64():  # type: ignore[no-untyped-call]  # torch annotates no constructor
        length = rows.norm(*torch.empty(3, 16, 40, device="mps"))
    assert (length.device.type, length.dtype) == ("mps", torch.float32)


@pytest.mark.parametrize("times", [None, torch.arange(40, dtype=torch.float64) / 50])
def test_bands_are_found_on_the_device_of_their_values(times: torch.Tensor | None) -> None:
    columns = torch.empty(6, 40, device="meta")
    ((whole, bands, at),) = noise._bands(columns, noise.Timing([40], [50.0], times))
    assert {part.device.type for part in (whole, *bands, at)} == {"meta"}
