"""Postures that the prior draws: joint angles of a mixture of standing, walking, sitting, crouching and bending.

Angles are in degrees in the tables, radians in code.
"""

import math
from typing import Annotated, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from lib.prior.kinematics import Angles
from lib.prior.random import normal, uniform
from lib.runtime.params import Section


class Posture(NamedTuple):
    """Mean and standard deviation of what the legs and the trunk do; `split` is half the difference left - right."""

    thigh: tuple[float, float]  # forward from the vertical
    thigh_split: float
    knee: tuple[float, float]
    knee_split: float
    abduction: tuple[float, float]
    pelvis: tuple[float, float]  # forward pitch of the pelvis
    spine: tuple[float, float]


POSTURES = {
    "stand": Posture((3, 8), 7, (6, 10), 8, (4, 6), (2, 6), (4, 10)),
    "walk": Posture((6, 10), 24, (28, 18), 20, (2, 5), (5, 6), (4, 9)),
    "step": Posture((30, 22), 32, (50, 32), 28, (8, 12), (12, 14), (10, 14)),
    "sit": Posture((84, 14), 9, (84, 22), 14, (8, 11), (-6, 14), (12, 17)),
    "crouch": Posture((80, 30), 22, (110, 28), 18, (12, 14), (22, 20), (18, 18)),
    "bend": Posture((2, 12), 9, (14, 16), 9, (5, 7), (45, 26), (32, 22)),
}


class Reach(NamedTuple):
    """Mean and standard deviation of what one arm does."""

    flexion: tuple[float, float]
    abduction: tuple[float, float]
    rotation: tuple[float, float]
    elbow: tuple[float, float]


ARMS = {
    "hang": Reach((2, 16), (10, 9), (5, 25), (18, 18)),
    "front": Reach((38, 28), (12, 16), (20, 30), (75, 35)),
    "forward": Reach((80, 25), (8, 20), (0, 35), (30, 28)),
    "side": Reach((10, 25), (65, 28), (0, 35), (45, 40)),
    "up": Reach((140, 28), (15, 20), (0, 35), (45, 38)),
    "face": Reach((55, 25), (20, 18), (25, 30), (125, 18)),
    "back": Reach((-25, 15), (12, 10), (15, 25), (40, 30)),
}
_ARM_WEIGHTS = (0.28, 0.26, 0.14, 0.10, 0.08, 0.09, 0.05)
_SAME_ARMS = 0.6  # how often both arms do the same kind of thing


Weight = Annotated[float, Field(ge=0, le=1000)]


class Weights(Section):
    """How often each of several kinds is drawn; the weights need not add up to one."""

    @model_validator(mode="after")
    def _some(self) -> "Weights":
        if max(self.model_dump().values()) < 1e-3:  # whose sum a float can still tell from 0
            raise ValueError("at least one must have a weight of 0.001 or more")
        return self


class PostureWeights(Weights):
    """How often each kind of pose is drawn."""

    stand: Weight
    walk: Weight
    step: Weight
    sit: Weight
    crouch: Weight
    bend: Weight


class PostureSampler(nn.Module):
    """Draws joint angles on the device its buffers are on."""

    weights: Tensor
    postures: Tensor
    arms: Tensor
    arm_weights: Tensor

    def __init__(self, weights: PostureWeights) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor([getattr(weights, name) for name in POSTURES]), persistent=False)
        table = [
            [*p.thigh, p.thigh_split, *p.knee, p.knee_split, *p.abduction, *p.pelvis, *p.spine]
            for p in POSTURES.values()
        ]
        self.register_buffer("postures", torch.tensor(table, dtype=torch.float32).deg2rad(), persistent=False)
        arms = torch.tensor([list(sum(reach, ())) for reach in ARMS.values()], dtype=torch.float32)
        self.register_buffer("arms", arms.deg2rad().unflatten(-1, (4, 2)), persistent=False)
        self.register_buffer("arm_weights", torch.tensor(_ARM_WEIGHTS), persistent=False)

    def sample(self, count: int, generator: torch.Generator, posture: Tensor | None = None) -> Angles:
        """Draw joint angles: a posture for legs and trunk, a kind of reach for each arm, then the joints' limits.

        `posture` (batch) chooses among POSTURES; without it, their weights do.
        """
        if posture is None:
            posture = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        row = self.postures[posture]
        (thigh, thigh_std, thigh_split, knee, knee_std, knee_split, *rest) = row.unbind(-1)
        abduction, abduction_std, pitch, pitch_std, flexion, flexion_std = rest
        sides = torch.tensor([1.0, -1.0], device=row.device)

        def deviation(*shape: int) -> Tensor:
            return normal(count, *shape, generator=generator)

        def both(mean: Tensor, std: Tensor, split: Tensor) -> Tensor:
            return (mean + std * deviation())[:, None] + (split * deviation())[:, None] * sides

        pelvis = torch.stack(
            [pitch + pitch_std * deviation(), 0.09 * deviation(), math.tau * uniform(count, generator=generator)],
            -1,
        )
        thighs = both(thigh, thigh_std, thigh_split) + 0.08 * deviation(2)
        knees = both(knee, knee_std, knee_split).abs() + 0.08 * deviation(2)
        sideways = abduction[:, None] + abduction_std[:, None] * deviation(2)
        hip = torch.stack([thighs + pelvis[:, :1], sideways, 0.22 * deviation(2)], -1)
        spine = torch.stack([flexion + flexion_std * deviation(), 0.12 * deviation(), 0.2 * deviation()], -1)
        neck = torch.stack([0.05 + 0.3 * deviation(), 0.15 * deviation(), 0.4 * deviation()], -1)
        shoulder, elbow = self._sample_arms(count, generator)
        ankle = 0.05 + 0.22 * deviation(2)
        wrist = torch.stack([0.3 * deviation(2), 0.2 + 0.7 * deviation(2)], -1)
        angles = Angles(pelvis, spine, neck, shoulder, elbow, hip, knees, ankle, wrist)
        return angles.limited()

    def _sample_arms(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        kind = torch.multinomial(self.arm_weights, 2 * count, replacement=True, generator=generator).view(count, 2)
        same = uniform(count, generator=generator) < _SAME_ARMS
        kind[:, 1] = torch.where(same, kind[:, 0], kind[:, 1])
        mean, std = self.arms[kind].unbind(-1)
        # Arms that do the same thing share some of the variation, too.
        noise = normal(count, 2, 4, generator=generator)
        shared = normal(count, 1, 4, generator=generator)
        noise = torch.where(same[:, None, None], 0.6 * shared + 0.8 * noise, noise)
        arms = mean + std * noise
        return arms[..., :3], arms[..., 3].abs()
