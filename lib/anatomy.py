"""The anatomical prior: human poses drawn from joint ranges and body tables, never from a data set's 3D.

Single poses, and windows of motion: walking and running, sitting down and getting up, reaching, turning, idling, and
movements between any two poses. Bodies, joint limits and kinematics are those of `lib.kinematics`; samples come out in
the crop frame of `lib.geometry.perspective_crop` (x right, y down, z forward, the root on the optical axis), which is
the frame the model lifts in. Angles are in degrees in the tables, radians in code.
"""

import math
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from lib.geometry import bone_lengths, quaternion_to_matrix, rotation_about
from lib.kinematics import BONE_SEGMENTS, SEGMENTS, TILTS, Angles, Body, forward_kinematics
from lib.params import Section
from lib.skeleton import H36M


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
_PART_OF = (0, 0, 5, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 2, 3, *[4] * 8)
_SWAY = (0.2, 1.2)  # Hz
# Sagittal angles of a stride in tenths from heel strike on, in degrees (rounded from Winter, The Biomechanics and Motor
# Control of Human Gait, 1991, natural cadence).
_STRIDE_HIP = (25, 22, 15, 6, -3, -9, -4, 10, 22, 27)
_STRIDE_KNEE = (4, 16, 15, 8, 5, 14, 40, 62, 50, 15)

Spread = tuple[float, Annotated[float, Field(ge=0)]]


class _Weights(Section):
    """How often each of several kinds is drawn; the weights need not add up to one."""

    @model_validator(mode="after")
    def _some(self) -> "_Weights":
        if not any(self.model_dump().values()):
            raise ValueError("at least one must have a weight above 0")
        return self


class PostureWeights(_Weights):
    """How often each kind of pose is drawn."""

    stand: Annotated[float, Field(ge=0)]
    walk: Annotated[float, Field(ge=0)]
    step: Annotated[float, Field(ge=0)]
    sit: Annotated[float, Field(ge=0)]
    crouch: Annotated[float, Field(ge=0)]
    bend: Annotated[float, Field(ge=0)]


class MotionWeights(_Weights):
    """How often each kind of motion is drawn, for windows of several frames."""

    move: Annotated[float, Field(ge=0)]
    sit: Annotated[float, Field(ge=0)]
    reach: Annotated[float, Field(ge=0)]
    turn: Annotated[float, Field(ge=0)]
    idle: Annotated[float, Field(ge=0)]
    gait: Annotated[float, Field(ge=0)]


class PriorParams(Section):
    """`prior`: what the sampler draws."""

    postures: PostureWeights
    motions: MotionWeights
    tumbling: Annotated[
        float, Field(ge=0, le=1)
    ]  # share of poses with any orientation in space: lying, falling, upside down
    bone_spread: Annotated[float, Field(ge=0, le=0.5)]  # standard deviation of each segment's log length
    tilt_spread_deg: Annotated[float, Field(ge=0, le=45)]  # standard deviation of each rest direction
    bone_learning: Annotated[float, Field(ge=0, le=1)]  # how far the means move an epoch to what the 2D says
    elevation_deg: Spread  # of the camera above the root: mean, standard deviation
    roll_deg: Annotated[float, Field(ge=0)]  # standard deviation of the camera's roll
    distance_m: tuple[Annotated[float, Field(gt=1)], Annotated[float, Field(gt=1)]]  # low, high; log-uniform

    @field_validator("distance_m")
    @classmethod
    def _low_to_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the first distance must not be above the second")
        return value


class PriorSample(NamedTuple):
    """Poses as the lifter should see them."""

    pose: Float[Tensor, "*batch joint 3"]  # root-centred, crop frame, metres
    root_depth: Float[Tensor, "*batch"]  # metres
    elevation: Float[Tensor, "*batch"]  # radians: the camera looks down on the root by this


class PosePrior(nn.Module):
    """Draws poses on the device its buffers are on.

    `lengths` are the mean segment lengths; training may move them to what the 2D says about the people in it.
    """

    lengths: Tensor
    weights: Tensor
    postures: Tensor
    arms: Tensor
    arm_weights: Tensor
    motion_weights: Tensor
    motions: Tensor
    stride: Tensor

    def __init__(self, params: PriorParams) -> None:
        super().__init__()
        self.params = params
        self.register_buffer("lengths", torch.tensor(list(SEGMENTS.values())))
        weights = [getattr(params.postures, name) for name in POSTURES]
        self.register_buffer("weights", torch.tensor(weights), persistent=False)
        table = [
            [*p.thigh, p.thigh_split, *p.knee, p.knee_split, *p.abduction, *p.pelvis, *p.spine]
            for p in POSTURES.values()
        ]
        self.register_buffer("postures", torch.tensor(table, dtype=torch.float32).deg2rad(), persistent=False)
        arms = torch.tensor([list(sum(reach, ())) for reach in ARMS.values()], dtype=torch.float32)
        self.register_buffer("arms", arms.deg2rad().unflatten(-1, (4, 2)), persistent=False)
        self.register_buffer("arm_weights", torch.tensor(_ARM_WEIGHTS), persistent=False)
        motion_weights = [getattr(params.motions, name) for name in MOTIONS]
        self.register_buffer("motion_weights", torch.tensor(motion_weights), persistent=False)
        self.register_buffer("motions", torch.tensor(list(MOTIONS.values())), persistent=False)
        stride = torch.tensor([_STRIDE_HIP, _STRIDE_KNEE], dtype=torch.float32).deg2rad()
        self.register_buffer("stride", torch.fft.rfft(stride, norm="forward"), persistent=False)

    @property
    def body_size(self) -> float:
        """The mean total bone length in metres, which gives a scale-free pose a size."""
        return float(self.bones.sum())

    @property
    def bones(self) -> Float[Tensor, " bone"]:
        """The mean length of every bone of the skeleton, in metres."""
        return self.lengths[torch.tensor(BONE_SEGMENTS, device=self.lengths.device)]

    @torch.no_grad()
    def learn_lengths(self, poses: Float[Tensor, "*batch joint 3"]) -> None:
        """Move the mean lengths towards the median proportions of lifted poses (any unit); the body keeps its size."""
        bones = bone_lengths(poses).flatten(0, -2)
        relative = (bones / bones.mean(-1, keepdim=True)).median(0).values
        segment = torch.tensor(BONE_SEGMENTS, device=bones.device)
        total = torch.zeros_like(self.lengths).index_add_(0, segment, relative)
        seen = total / torch.zeros_like(self.lengths).index_add_(0, segment, torch.ones_like(relative))
        size = self.bones.sum()
        seen = seen * self.bones.mean()
        self.lengths.mul_((seen / self.lengths).log().mul(self.params.bone_learning).exp())
        self.lengths.mul_(size / self.bones.sum())

    def sample(self, count: int, generator: torch.Generator) -> PriorSample:
        """Draw `count` single poses."""
        pose = forward_kinematics(self.sample_angles(count, generator), self.sample_body(count, generator))
        return self.view(pose, generator)

    def sample_motion(self, count: int, frames: int, fps: float, generator: torch.Generator) -> PriorSample:
        """Draw `count` windows of motion, one person and one camera each."""
        if frames == 1:
            return PriorSample(*(part[:, None] for part in self.sample(count, generator)))
        kind = torch.multinomial(self.motion_weights, count, replacement=True, generator=generator)
        time = torch.arange(frames, device=kind.device) / fps
        angles = self._movement(kind, time, generator) + self._sway(count, time, generator)
        strides, speed = self._gait(count, time, generator)
        walking = kind == list(MOTIONS).index("gait")
        angles = torch.where(walking[:, None, None], angles + strides, angles)
        body = Body(*(part[:, None] for part in self.sample_body(count, generator)))
        pose = forward_kinematics(Angles.from_vector(angles).limited(), body)
        return self._approach(self.view(pose, generator), speed * walking, time)

    def sample_body(self, count: int, generator: torch.Generator) -> Body:
        """Bodies of `count` people; left equals right by construction."""
        noise = self._normal(count, len(SEGMENTS), generator=generator)
        tilts = math.radians(self.params.tilt_spread_deg) * self._normal(count, len(TILTS), generator=generator)
        return Body(self.lengths * (self.params.bone_spread * noise).exp(), tilts)

    def _movement(self, kind: Tensor, time: Tensor, generator: torch.Generator) -> Float[Tensor, "batch frame angle"]:
        """From one pose towards another, somewhere on the way, by the parts that the kind of motion moves.

        Parts follow minimum-jerk trajectories (Flash and Hogan, J. Neuroscience 1985) of 0.4 to 2 seconds and begin a
        little apart from each other.
        """
        count, names = len(kind), list(MOTIONS)
        postures = torch.multinomial(self.weights, 2 * count, replacement=True, generator=generator).view(2, count)
        first, last = postures.unbind()
        stand, sit = (list(POSTURES).index(name) for name in ("stand", "sit"))
        seats = torch.where(self._uniform(count, generator=generator) < 0.5, stand, sit)
        sitting, walking = kind == names.index("sit"), kind == names.index("gait")
        first = torch.where(walking, stand, torch.where(sitting, seats, first))
        last = torch.where(sitting, stand + sit - seats, last)
        begin = self.sample_angles(count, generator, first).vector()
        end = self.sample_angles(count, generator, last).vector()
        motion = self.motions[kind]
        end[:, 2] = begin[:, 2] + motion[:, -1].deg2rad() * self._normal(count, generator=generator)

        duration = 0.4 + 1.6 * self._uniform(count, 1, 1, generator=generator)
        phase = 1.6 * self._uniform(count, 1, 1, generator=generator) - 0.3  # some windows begin or end at rest
        lag = 0.15 * self._normal(count, 1, len(Motion._fields) - 1, generator=generator)
        progress = (time[:, None] / duration + phase + lag).clamp(0, 1)
        progress = progress**3 * (10 - 15 * progress + 6 * progress**2)
        extent = self._uniform(count, 1, 1, generator=generator)  # most movements are small ones
        path = progress * extent * motion[:, None, :-1]
        part = torch.tensor(_PART_OF, device=kind.device)
        return begin[:, None] + (end - begin)[:, None] * path[..., part]

    def _sway(self, count: int, time: Tensor, generator: torch.Generator) -> Float[Tensor, "batch frame angle"]:
        """What nobody holds still: slow oscillations of every angle, of up to a few degrees."""
        size = math.radians(4) * self._uniform(count, 1, generator=generator) ** 2
        amplitude = size * self._normal(count, len(_PART_OF), generator=generator)
        low, high = _SWAY
        frequency = low + (high - low) * self._uniform(count, len(_PART_OF), generator=generator)
        phase = self._uniform(count, len(_PART_OF), generator=generator)
        return amplitude[:, None] * (math.tau * (frequency[:, None] * time[:, None] + phase[:, None])).sin()

    def _gait(
        self, count: int, time: Tensor, generator: torch.Generator
    ) -> tuple[Float[Tensor, "batch frame angle"], Float[Tensor, " batch"]]:
        """What walking or running adds to standing, and its speed in metres a second."""
        speed = 0.5 + 2.5 * self._uniform(count, generator=generator) ** 2
        cadence = 0.85 * (speed / 1.3).sqrt() * (0.1 * self._normal(count, generator=generator)).exp()  # strides
        extent = (speed / 1.3).sqrt()[:, None, None]
        phase = cadence[:, None] * time + self._uniform(count, 1, generator=generator)
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
        still = torch.zeros_like(counter)
        legs = torch.stack([hip, nothing, nothing], -1)
        strides = Angles(still, counter, still, swing, elbow, legs, knee)
        return strides.vector(), speed

    def _approach(self, sample: PriorSample, speed: Tensor, time: Tensor) -> PriorSample:
        """The same windows of people who walk the way they face, at a speed: those who face the camera come nearer."""
        hips = sample.pose[..., H36M.index("left_hip"), :] - sample.pose[..., H36M.index("right_hip"), :]
        away = -hips[..., 0] / hips[..., ::2].norm(dim=-1).clamp_min(1e-6)  # left times up is forward
        walked = (away.mean(1) * speed)[:, None] * (time - time.mean())
        nearest = 0.5 - sample.pose[..., 2].amin(-1)
        return sample._replace(root_depth=torch.maximum(sample.root_depth + walked, nearest))

    def sample_angles(self, count: int, generator: torch.Generator, posture: Tensor | None = None) -> Angles:
        """Draw joint angles: a posture for legs and trunk, a kind of reach for each arm, then the joints' limits.

        `posture` (batch) chooses among POSTURES; without it, their weights do.
        """
        if posture is None:
            posture = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        row = self.postures[posture]
        (thigh, thigh_spread, thigh_split, knee, knee_spread, knee_split, *rest) = row.unbind(-1)
        abduction, abduction_spread, pitch, pitch_spread, flexion, flexion_spread = rest
        sides = torch.tensor([1.0, -1.0], device=row.device)

        def normal(*shape: int) -> Tensor:
            return self._normal(count, *shape, generator=generator)

        def both(mean: Tensor, spread: Tensor, split: Tensor) -> Tensor:
            return (mean + spread * normal())[:, None] + (split * normal())[:, None] * sides

        pelvis = torch.stack(
            [pitch + pitch_spread * normal(), 0.09 * normal(), math.tau * self._uniform(count, generator=generator)],
            -1,
        )
        thighs = both(thigh, thigh_spread, thigh_split) + 0.08 * normal(2)
        knees = both(knee, knee_spread, knee_split).abs() + 0.08 * normal(2)
        sideways = abduction[:, None] + abduction_spread[:, None] * normal(2)
        hip = torch.stack([thighs + pelvis[:, :1], sideways, 0.22 * normal(2)], -1)
        spine = torch.stack([flexion + flexion_spread * normal(), 0.12 * normal(), 0.2 * normal()], -1)
        neck = torch.stack([0.05 + 0.3 * normal(), 0.15 * normal(), 0.4 * normal()], -1)
        shoulder, elbow = self._sample_arms(count, generator)
        angles = Angles(pelvis, spine, neck, shoulder, elbow, hip, knees)
        return angles.limited()

    def _sample_arms(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        kind = torch.multinomial(self.arm_weights, 2 * count, replacement=True, generator=generator).view(count, 2)
        same = self._uniform(count, generator=generator) < _SAME_ARMS
        kind[:, 1] = torch.where(same, kind[:, 0], kind[:, 1])
        mean, spread = self.arms[kind].unbind(-1)
        # Arms that do the same thing share some of the variation, too.
        noise = self._normal(count, 2, 4, generator=generator)
        shared = self._normal(count, 1, 4, generator=generator)
        noise = torch.where(same[:, None, None], 0.6 * shared + 0.8 * noise, noise)
        arms = mean + spread * noise
        return arms[..., :3], arms[..., 3].abs()

    def view(self, pose: Float[Tensor, "batch *frame joint 3"], generator: torch.Generator) -> PriorSample:
        """Put root-centred poses of the body frame, a share of them tumbling, before cameras."""
        count = len(pose)
        tumble = quaternion_to_matrix(self._normal(count, 4, generator=generator))
        tumbling = self._uniform(count, generator=generator) < self.params.tumbling
        turned = torch.where(tumbling[:, None, None], tumble, torch.eye(3, device=pose.device))
        # The body's up is a level camera's -y, its forward the way to the camera, -z.
        level = pose.new_tensor([1.0, -1.0, -1.0]).diag() @ turned
        return self._photograph(_turn(level, pose), generator)

    def look(self, level: Float[Tensor, "batch *frame joint 3"], generator: torch.Generator) -> PriorSample:
        """Put poses as a level camera sees them (y down along gravity) before cameras on other sides of them."""
        heading = rotation_about("y", math.tau * self._uniform(len(level), generator=generator))
        return self._photograph(_turn(heading, level), generator)

    def _photograph(self, level: Float[Tensor, "batch *frame joint 3"], generator: torch.Generator) -> PriorSample:
        """One camera a batch element, with an elevation, a roll and a distance from the params' ranges."""
        count = len(level)
        mean, spread = map(math.radians, self.params.elevation_deg)
        elevation = mean + spread * self._normal(count, generator=generator)
        roll = math.radians(self.params.roll_deg) * self._normal(count, generator=generator)
        low, high = map(math.log, self.params.distance_m)
        distance = (low + (high - low) * self._uniform(count, generator=generator)).exp()
        pose = _turn(rotation_about("z", roll) @ rotation_about("x", elevation), level)
        distance = torch.maximum(distance, 0.5 - pose[..., 2].flatten(1).amin(1))  # every joint well in front
        shape = pose.shape[:-2]
        of_window = (count, *[1] * (len(shape) - 1))
        return PriorSample(pose, distance.view(of_window).expand(shape), elevation.view(of_window).expand(shape))

    def _normal(self, *shape: int, generator: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=generator, device=self.lengths.device)

    def _uniform(self, *shape: int, generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator, device=self.lengths.device)


def _turn(rotation: Float[Tensor, "batch 3 3"], pose: Float[Tensor, "batch *frame joint 3"]) -> Tensor:
    """Rotate all frames of each batch element alike."""
    return (pose.flatten(1, -2) @ rotation.mT).view_as(pose)
