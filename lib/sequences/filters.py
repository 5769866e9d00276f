"""Filters that know the past alone, for streams."""

import math

import torch
from torch import Tensor

CUTOFF = 2.0  # Hz: what is kept of a still body
SPEED_GAIN = 3.0  # Hz more for each metre a second
SPEED_CUTOFF = 2.0  # Hz, of the speed itself


class OneEuroFilter:
    """Smooths what is slow and follows what is fast: a low-pass whose cutoff grows with the speed.

    Source: G. Casiez, N. Roussel, D. Vogel, 1 Euro Filter: a simple speed-based low-pass filter for noisy input in
    interactive systems, CHI 2012. A point's speed is that of all its coordinates together.
    """

    def __init__(self) -> None:
        self._value: Tensor | None = None
        self._speed = torch.zeros(())

    def __call__(self, value: Tensor, seconds: float) -> Tensor:
        """The next values, (point, coord) in metres, `seconds` after the last ones."""
        if self._value is None:
            self._value, self._speed = value, torch.zeros_like(value)
            return value
        share = _share(torch.tensor(SPEED_CUTOFF), seconds)
        self._speed = self._speed + share * ((value - self._value) / seconds - self._speed)
        cutoff = CUTOFF + SPEED_GAIN * torch.linalg.vector_norm(self._speed, dim=-1, keepdim=True)
        self._value = self._value + _share(cutoff, seconds) * (value - self._value)
        return self._value


def _share(cutoff: Tensor, seconds: float) -> Tensor:
    """What a new value counts for in a low-pass of first order with a cutoff in Hz."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * seconds))
