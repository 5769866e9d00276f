"""Motions that the prior draws: joint angles over windows of time.

Walking and running, sitting down and getting up, reaching, turning, idling, and movements between any two postures.
Angles are in degrees in the tables, radians in code.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.prior.kinematics import Angles
from lib.prior.postures import POSTURES, PostureSampler, Weight, Weights
from lib.prior.random import normal, uniform


class Motion(NamedTuple):
    """Which parts of the body go from one pose to another in a kind of motion (1, or 0 for staying)."""

    trunk: float
    neck: float
    left_arm: float
    right_arm: float
    legs: float
    heading: float
    turn: float  # degrees: standard deviation of how far the heading goes


MOTIONS = {
    "move": Motion(1, 1, 1, 1, 1, 1, 60),
    "sit": Motion(1, 1, 1, 1, 1, 1, 30),  # down or up: between standing and sitting
    "reach": Motion(0.3, 1, 1, 0, 0, 0, 0),
    "turn": Motion(0, 1, 0, 0, 0, 1, 120),
    "idle": Motion(0, 1, 0, 0, 0, 0, 0),
    "gait": Motion(0, 1, 1, 1, 0, 1, 40),
}
# The part that each of an Angles vector's entries belongs to, as an index into Motion.
_PART_OF = (0, 0, 5, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 2, 3, *[4] * 10, 2, 2, 3, 3)
_SWAY = (0.2, 1.2)  # Hz
# Sagittal angles of a stride in tenths from heel strike on, in degrees (rounded from Winter, The Biomechanics and Motor
# Control of Human Gait, 1991, natural cadence).
_STRIDE_HIP = (25, 22, 15, 6, -3, -9, -4, 10, 22, 27)
_STRIDE_KNEE = (4, 16, 15, 8, 5, 14, 40, 62, 50, 15)


class MotionWeights(Weights):
    """How often each kind of motion is drawn, for windows of several frames."""

    move: Weight
    sit: Weight
    reach: Weight
    turn: Weight
    idle: Weight
    gait: Weight


class MotionSample(NamedTuple):
    """Windows of joint angles."""

    angles: Float[Tensor, "batch frame angle"]  # of `Angles.from_vector`, within the joints' limits or not
    speed: Float[Tensor, " batch"]  # metres a second, forward


class MotionSampler(nn.Module):
    """Draws joint angles over time, on the device its buffers are on."""

    motion_weights: Tensor
    motions: Tensor
    stride: Tensor

    def __init__(self, weights: MotionWeights, postures: PostureSampler) -> None:
        super().__init__()
        self.postures = postures
        motion_weights = [getattr(weights, name) for name in MOTIONS]
        self.register_buffer("motion_weights", torch.tensor(motion_weights), persistent=False)
        self.register_buffer("motions", torch.tensor(list(MOTIONS.values())), persistent=False)
        stride = torch.tensor([_STRIDE_HIP, _STRIDE_KNEE], dtype=torch.float32).deg2rad()
        self.register_buffer("stride", torch.fft.rfft(stride, norm="forward"), persistent=False)

    def sample(self, count: int, time: Float[Tensor, " frame"], generator: torch.Generator) -> MotionSample:
        """Draw `count` windows of frames at these times, in seconds."""
        kind = torch.multinomial(self.motion_weights, count, replacement=True, generator=generator)
        angles = self._movement(kind, time, generator) + self._sway(count, time, generator)
        strides, speed = self._gait(count, time, generator)
        walking = kind == list(MOTIONS).index("gait")
        angles = torch.where(walking[:, None, None], angles + strides, angles)
        return MotionSample(angles, speed * walking)

    def _movement(self, kind: Tensor, time: Tensor, generator: torch.Generator) -> Float[Tensor, "batch frame angle"]:
        """From one pose towards another, somewhere on the way, by the parts that the kind of motion moves.

        Parts follow minimum-jerk trajectories (Flash and Hogan, J. Neuroscience 1985) of 0.4 to 2 seconds and begin a
        little apart from each other.
        """
        count, names = len(kind), list(MOTIONS)
        postures = torch.multinomial(self.postures.weights, 2 * count, replacement=True, generator=generator).view(
            2, count
        )
        first, last = postures.unbind()
        stand, sit = (list(POSTURES).index(name) for name in ("stand", "sit"))
        seats = torch.where(uniform(count, generator=generator) < 0.5, stand, sit)
        sitting, walking = kind == names.index("sit"), kind == names.index("gait")
        first = torch.where(walking, stand, torch.where(sitting, seats, first))
        last = torch.where(sitting, stand + sit - seats, last)
        begin = self.postures.sample(count, generator, first).vector()
        end = self.postures.sample(count, generator, last).vector()
        motion = self.motions[kind]
        end[:, 2] = begin[:, 2] + motion[:, -1].deg2rad() * normal(count, generator=generator)

        duration = 0.4 + 1.6 * uniform(count, 1, 1, generator=generator)
        phase = 1.6 * uniform(count, 1, 1, generator=generator) - 0.3  # some windows begin or end at rest
        lag = 0.15 * normal(count, 1, len(Motion._fields) - 1, generator=generator)
        progress = (time[:, None] / duration + phase + lag).clamp(0, 1)
        progress = progress**3 * (10 - 15 * progress + 6 * progress**2)
        extent = uniform(count, 1, 1, generator=generator)  # most movements are small ones
        path = progress * extent * motion[:, None, :-1]
        part = torch.tensor(_PART_OF, device=kind.device)
        return begin[:, None] + (end - begin)[:, None] * path[..., part]

    def _sway(self, count: int, time: Tensor, generator: torch.Generator) -> Float[Tensor, "batch frame angle"]:
        """What nobody holds still: slow oscillations of every angle, of up to a few degrees."""
        size = math.radians(4) * uniform(count, 1, generator=generator) ** 2
        amplitude = size * normal(count, len(_PART_OF), generator=generator)
        low, high = _SWAY
        frequency = low + (high - low) * uniform(count, len(_PART_OF), generator=generator)
        phase = uniform(count, len(_PART_OF), generator=generator)
        return amplitude[:, None] * (math.tau * (frequency[:, None] * time[:, None] + phase[:, None])).sin()

    def _gait(
        self, count: int, time: Tensor, generator: torch.Generator
    ) -> tuple[Float[Tensor, "batch frame angle"], Float[Tensor, " batch"]]:
        """What walking or running adds to standing, and its speed in metres a second."""
        speed = 0.5 + 2.5 * uniform(count, generator=generator) ** 2
        cadence = 0.85 * (speed / 1.3).sqrt() * (0.1 * normal(count, generator=generator)).exp()  # strides
        extent = (speed / 1.3).sqrt()[:, None, None]
        phase = cadence[:, None] * time + uniform(count, 1, generator=generator)
        phase = torch.stack([phase, phase + 0.5], -1)  # the right leg is half a stride behind
        order = torch.arange(self.stride.shape[-1], device=time.device)
        turn = math.tau * phase[..., None] * order
        weight = torch.where(order == 0, 1.0, 2.0)
        hip, knee = (
            (weight * (part.real * turn.cos() - part.imag * turn.sin())).sum(-1) * extent for part in self.stride
        )
        # Arms swing with the other side's leg, and bend as people run.
        nothing = torch.zeros_like(hip)
        rest = self.stride[0, 0].real * extent  # the mean over a whole stride, each person's own
        swing = torch.stack([0.7 * (hip.flip(-1) - rest), nothing, nothing], -1)
        elbow = (math.radians(30) * (speed - 0.5)[:, None, None]).expand_as(hip)
        counter = torch.stack([nothing[..., 0], nothing[..., 0], 0.15 * (hip[..., 0] - hip[..., 1])], -1)
        still, nothing_of_hands = torch.zeros_like(counter), torch.zeros_like(swing[..., :2])
        legs = torch.stack([hip, nothing, nothing], -1)
        strides = Angles(still, counter, still, swing, elbow, legs, knee, torch.zeros_like(knee), nothing_of_hands)
        return strides.vector(), speed
