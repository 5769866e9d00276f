"""Random numbers on a generator's device."""

import torch
from torch import Tensor


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, generator=generator, device=generator.device)


def uniform(*shape: int, generator: torch.Generator) -> Tensor:
    """Numbers from 0 to 1."""
    return torch.rand(shape, generator=generator, device=generator.device)
