"""The anatomical prior: human poses drawn from joint ranges and body tables, never from a data set's 3D.

Body frame: x to the person's left, y up, z forward; angles in degrees in the tables, radians in code; lengths in
metres. Samples come out in the crop frame of `lib.geometry.perspective_crop` (x right, y down, z forward, the root on
the optical axis), which is the frame the model lifts in.

Sources of the ranges: joint limits from the American Academy of Orthopaedic Surgeons' Joint Motion (1965), as tabled in
Norkin and White, Measurement of Joint Motion; segment lengths from Drillis and Contini (1966), as tabled in Winter,
Biomechanics and Motor Control of Human Movement, for a stature of 1.72 m. Human3.6M's joints are not the tables'
landmarks: hip centres lie closer than the bi-trochanteric breadth (Harrington et al., J. Biomechanics 2007) and
shoulder centres closer than the acromia; its spine joint halves the trunk, and its neck joint lies near the nose.
Because that translation is a guess, every length varies widely and training moves the means (see `lengths`).
"""

import math
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from lib.geometry import bone_lengths, quaternion_to_matrix, rotation_about
from lib.params import Section
from lib.skeleton import H36M

SEGMENTS = {  # metres
    "hip": 0.110,
    "thigh": 0.430,
    "shank": 0.430,
    "lower_spine": 0.240,
    "upper_spine": 0.240,
    "neck": 0.120,
    "head": 0.120,
    "shoulder": 0.165,
    "upper_arm": 0.300,
    "forearm": 0.250,
}
# The segment that ends in each joint.
_SEGMENT_OF = {
    "hip": "hip",
    "knee": "thigh",
    "ankle": "shank",
    "spine": "lower_spine",
    "thorax": "upper_spine",
    "neck": "neck",
    "head": "head",
    "shoulder": "shoulder",
    "elbow": "upper_arm",
    "wrist": "forearm",
}
BONE_SEGMENTS = tuple(
    list(SEGMENTS).index(_SEGMENT_OF[H36M.names[child].removeprefix("left_").removeprefix("right_")])
    for child, _ in H36M.bones
)

# Joint limits (low, high): flexion, abduction, inward rotation; for spine and neck the latter two are to the left.
LIMITS = {
    "spine": ((-30, 85), (-35, 35), (-45, 45)),
    "neck": ((-50, 60), (-45, 45), (-75, 75)),
    "hip": ((-30, 125), (-30, 50), (-45, 45)),
    "shoulder": ((-60, 180), (-45, 180), (-90, 70)),
}
KNEE = (0, 150)
ELBOW = (0, 150)


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

Spread = tuple[float, Annotated[float, Field(ge=0)]]


class PostureWeights(Section):
    """How often each kind of pose is drawn; the weights need not add up to one."""

    stand: Annotated[float, Field(ge=0)]
    walk: Annotated[float, Field(ge=0)]
    step: Annotated[float, Field(ge=0)]
    sit: Annotated[float, Field(ge=0)]
    crouch: Annotated[float, Field(ge=0)]
    bend: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _some_posture(self) -> "PostureWeights":
        if not any(self.model_dump().values()):
            raise ValueError("at least one posture must have a weight above 0")
        return self


class PriorParams(Section):
    """`prior`: what the sampler draws."""

    postures: PostureWeights
    tumbling: Annotated[
        float, Field(ge=0, le=1)
    ]  # share of poses with any orientation in space: lying, falling, upside down
    bone_spread: Annotated[float, Field(ge=0, le=0.5)]  # standard deviation of each segment's log length
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


class Angles(NamedTuple):
    """Joint angles in radians; sides are (left, right), triples (flexion, abduction or lateral, rotation)."""

    pelvis: Float[Tensor, "*batch 3"]  # pitch forward, roll to the left, heading
    spine: Float[Tensor, "*batch 3"]
    neck: Float[Tensor, "*batch 3"]
    shoulder: Float[Tensor, "*batch 2 3"]
    elbow: Float[Tensor, "*batch 2"]
    hip: Float[Tensor, "*batch 2 3"]
    knee: Float[Tensor, "*batch 2"]


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
        angles = self.sample_angles(count, generator)
        pose = forward_kinematics(angles, self.sample_lengths(count, generator))
        return self.view(pose, generator)

    def sample_motion(self, count: int, frames: int, fps: float, generator: torch.Generator) -> PriorSample:
        """Draw `count` windows of smooth motion: from one pose towards another, somewhere on the way.

        Joints follow minimum-jerk trajectories (Flash and Hogan, J. Neuroscience 1985) of 0.4 to 2 seconds.
        """
        if frames == 1:
            return PriorSample(*(part[:, None] for part in self.sample(count, generator)))
        begin, end = self.sample_angles(count, generator), self.sample_angles(count, generator)
        duration = 0.4 + 1.6 * self._uniform(count, 1, generator=generator)
        phase = self._uniform(count, 1, generator=generator) * 1.6 - 0.3  # some windows begin or end at rest
        time = (torch.arange(frames, device=duration.device) / fps / duration + phase).clamp(0, 1)
        progress = time**3 * (10 - 15 * time + 6 * time**2)
        extent = self._uniform(count, 1, generator=generator)  # most movements are small ones
        path = progress * extent
        angles = Angles(*(_between(*ends, path) for ends in zip(begin, end, strict=True)))
        # People seldom turn as far as two independent headings are apart.
        turn = math.radians(60) * self._normal(count, 1, generator=generator)
        heading = begin.pelvis[:, None, 2] + turn * path
        pelvis = torch.cat([angles.pelvis[..., :2], heading[..., None]], dim=-1)
        lengths = self.sample_lengths(count, generator)
        return self.view(forward_kinematics(angles._replace(pelvis=pelvis), lengths[:, None]), generator)

    def sample_lengths(self, count: int, generator: torch.Generator) -> Float[Tensor, "batch segment"]:
        """Segment lengths of `count` people; left equals right by construction."""
        noise = self._normal(count, len(SEGMENTS), generator=generator)
        return self.lengths * (self.params.bone_spread * noise).exp()

    def sample_angles(self, count: int, generator: torch.Generator) -> Angles:
        """Draw joint angles: a posture for legs and trunk, a kind of reach for each arm, then the joints' limits."""
        row = self.postures[torch.multinomial(self.weights, count, replacement=True, generator=generator)]
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
        return Angles(
            pelvis=pelvis,
            spine=_limit(spine, "spine"),
            neck=_limit(neck, "neck"),
            shoulder=_limit(shoulder, "shoulder"),
            elbow=elbow.clamp(*map(math.radians, ELBOW)),
            hip=_limit(hip, "hip"),
            knee=knees.clamp(*map(math.radians, KNEE)),
        )

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


def forward_kinematics(angles: Angles, lengths: Float[Tensor, "*#batch segment"]) -> Float[Tensor, "*batch joint 3"]:
    """Root-centred poses of H36M's skeleton in the body frame, turned by the pelvis's pitch, roll and heading."""
    length = dict(zip(SEGMENTS, lengths.unbind(-1), strict=True))
    pelvis = rotation_about("y", angles.pelvis[..., 2]) @ rotation_about("x", angles.pelvis[..., 0])
    pelvis = pelvis @ rotation_about("z", -angles.pelvis[..., 1])
    half = _bend(angles.spine / 2)
    lower = pelvis @ half
    chest = lower @ half
    nod = chest @ _bend(angles.neck)
    joints = {
        "pelvis": torch.zeros_like(angles.pelvis),
    }
    joints["spine"] = _step(lower, (0.0, 1.0, 0.0), length["lower_spine"])
    joints["thorax"] = joints["spine"] + _step(chest, (0.0, 1.0, 0.0), length["upper_spine"])
    joints["neck"] = joints["thorax"] + _step(nod, (0.0, 0.80, 0.60), length["neck"])
    joints["head"] = joints["neck"] + _step(nod, (0.0, 0.96, -0.28), length["head"])
    for index, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        hip, knee = _limb(pelvis, angles.hip[..., index, :], sign), angles.knee[..., index]
        joints[f"{side}_hip"] = _step(pelvis, (sign, 0.0, 0.0), length["hip"])
        joints[f"{side}_knee"] = joints[f"{side}_hip"] + _step(hip, (0.0, -1.0, 0.0), length["thigh"])
        shank = hip @ rotation_about("x", knee)
        joints[f"{side}_ankle"] = joints[f"{side}_knee"] + _step(shank, (0.0, -1.0, 0.0), length["shank"])

        shoulder, elbow = angles.shoulder[..., index, :], angles.elbow[..., index]
        # The shoulder girdle follows a raised arm: about a quarter of its elevation above 40 degrees.
        raised = (shoulder[..., :2].norm(dim=-1) - math.radians(40)).clamp(0, math.radians(120)) / 4
        girdle = chest @ rotation_about("z", sign * (raised - 0.12))
        joints[f"{side}_shoulder"] = joints["thorax"] + _step(girdle, (sign, 0.0, 0.0), length["shoulder"])
        arm = _limb(chest, shoulder, sign)
        joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] + _step(arm, (0.0, -1.0, 0.0), length["upper_arm"])
        forearm = arm @ rotation_about("x", -elbow)
        joints[f"{side}_wrist"] = joints[f"{side}_elbow"] + _step(forearm, (0.0, -1.0, 0.0), length["forearm"])
    return torch.stack([joints[name] for name in H36M.names], dim=-2)


def _bend(angles: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Flexion, bending to the left and turning to the left of a trunk segment."""
    flexion, lateral, turn = angles.unbind(-1)
    return rotation_about("y", turn) @ rotation_about("z", -lateral) @ rotation_about("x", flexion)


def _limb(parent: Tensor, angles: Float[Tensor, "*batch 3"], sign: float) -> Float[Tensor, "*batch 3 3"]:
    """Flexion forward, abduction away from the body and inward rotation of a limb that hangs at rest."""
    flexion, abduction, rotation = angles.unbind(-1)
    swing = rotation_about("z", sign * abduction) @ rotation_about("x", -flexion)
    return parent @ swing @ rotation_about("y", -sign * rotation)


def _turn(rotation: Float[Tensor, "batch 3 3"], pose: Float[Tensor, "batch *frame joint 3"]) -> Tensor:
    """Rotate all frames of each batch element alike."""
    return (pose.flatten(1, -2) @ rotation.mT).view_as(pose)


def _between(begin: Tensor, end: Tensor, path: Float[Tensor, "batch frame"]) -> Tensor:
    """Angles on the way from `begin` to `end`, a frame axis after the batch."""
    path = path.view(*path.shape, *[1] * (begin.ndim - 1))
    return begin[:, None] + (end - begin)[:, None] * path


def _step(rotation: Tensor, direction: tuple[float, float, float], length: Tensor) -> Float[Tensor, "*batch 3"]:
    """A bone: `direction` (a unit vector of the rotated frame) times its length."""
    return (rotation @ rotation.new_tensor(direction)) * length[..., None]


def _limit(angles: Float[Tensor, "*batch 3"], joint: str) -> Float[Tensor, "*batch 3"]:
    low, high = angles.new_tensor(LIMITS[joint]).deg2rad().unbind(-1)
    return angles.clamp(low, high)
