"""The anatomical prior: human poses drawn from joint ranges and body tables, never from a data set's 3D.

People of `lib.prior.bodies` in postures and motions, before cameras on any side of them. Samples come out in the crop
frame of `lib.pose.crops` (x right, y down, z forward, the root on the optical axis), in which the model lifts.
"""

import math
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field, field_validator
from torch import Tensor, nn

from lib.pose.geometry import bone_lengths, quaternion_to_matrix, rotation_about
from lib.pose.skeleton import Skeleton
from lib.prior.bodies import BONE_SEGMENTS, SEGMENTS, SKELETON, TILTS, Body
from lib.prior.kinematics import Angles, forward_kinematics
from lib.prior.motions import MotionSampler, MotionWeights
from lib.prior.postures import PostureSampler, PostureWeights
from lib.prior.random import normal, uniform
from lib.runtime.params import Section

Elevation = Annotated[float, Field(ge=-90, le=90)]
ElevationStd = Annotated[float, Field(ge=0, le=90)]
Distance = Annotated[float, Field(gt=1, le=100)]


class PriorParams(Section):
    """`prior`: what the sampler draws."""

    postures: PostureWeights
    motions: MotionWeights
    tumbling_probability: Annotated[
        float, Field(ge=0, le=1)
    ]  # share of poses with any orientation in space: lying, falling, upside down
    bone_length_std: Annotated[float, Field(ge=0, le=0.5)]  # standard deviation of each segment's log length
    rest_direction_std_deg: Annotated[float, Field(ge=0, le=45)]  # standard deviation of each rest direction
    bone_length_update: Annotated[float, Field(ge=0, le=1)]  # how far the means move an epoch to what the 2D says
    elevation_deg: tuple[Elevation, ElevationStd]  # of the camera above the root: mean, standard deviation
    roll_std_deg: Annotated[float, Field(ge=0, le=180)]  # standard deviation of the camera's roll
    distance_m: tuple[Distance, Distance]  # low, high; log-uniform

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

    def __init__(self, params: PriorParams) -> None:
        super().__init__()
        self.params = params
        self.register_buffer("lengths", torch.tensor(list(SEGMENTS.values())))
        self.postures = PostureSampler(params.postures)
        self.motions = MotionSampler(params.motions, self.postures)

    @property
    def skeleton(self) -> Skeleton:
        """The joints of the poses."""
        return SKELETON

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
        bones = bone_lengths(poses, self.skeleton).flatten(0, -2)
        relative = (bones / bones.mean(-1, keepdim=True)).median(0).values
        segment = torch.tensor(BONE_SEGMENTS, device=bones.device)
        total = torch.zeros_like(self.lengths).index_add_(0, segment, relative)
        seen = total / torch.zeros_like(self.lengths).index_add_(0, segment, torch.ones_like(relative))
        size = self.bones.sum()
        seen = seen * self.bones.mean()
        self.lengths.mul_((seen / self.lengths).log().mul(self.params.bone_length_update).exp())
        self.lengths.mul_(size / self.bones.sum())

    def sample(self, count: int, generator: torch.Generator) -> PriorSample:
        """Draw `count` single poses."""
        pose = forward_kinematics(self.postures.sample(count, generator), self.sample_body(count, generator))
        return self.view(pose, generator)

    def sample_motion(self, count: int, frames: int, interval: float, generator: torch.Generator) -> PriorSample:
        """Draw `count` windows of motion, one person and one camera each, with frames `interval` seconds apart."""
        if frames == 1:
            return PriorSample(*(part[:, None] for part in self.sample(count, generator)))
        time = interval * torch.arange(frames, device=self.lengths.device)
        angles, speed = self.motions.sample(count, time, generator)
        body = Body(*(part[:, None] for part in self.sample_body(count, generator)))
        pose = forward_kinematics(Angles.from_vector(angles).limited(), body)
        return self._approach(self.view(pose, generator), speed, time)

    def sample_body(self, count: int, generator: torch.Generator) -> Body:
        """Bodies of `count` people; left equals right by construction."""
        noise = normal(count, len(SEGMENTS), generator=generator)
        tilts = math.radians(self.params.rest_direction_std_deg) * normal(count, len(TILTS), generator=generator)
        return Body(self.lengths * (self.params.bone_length_std * noise).exp(), tilts)

    def _approach(self, sample: PriorSample, speed: Tensor, time: Tensor) -> PriorSample:
        """The same windows of people who walk the way they face, at a speed: those who face the camera come nearer."""
        hips = (
            sample.pose[..., self.skeleton.index("left_hip"), :] - sample.pose[..., self.skeleton.index("right_hip"), :]
        )
        away = -hips[..., 0] / hips[..., ::2].norm(dim=-1).clamp_min(1e-6)  # left times up is forward
        walked = (away.mean(1) * speed)[:, None] * (time - time.mean())
        nearest = 0.5 - sample.pose[..., 2].amin(-1)
        return sample._replace(root_depth=torch.maximum(sample.root_depth + walked, nearest))

    def view(self, pose: Float[Tensor, "batch *frame joint 3"], generator: torch.Generator) -> PriorSample:
        """Put root-centred poses of the body frame, a share of them tumbling, before cameras."""
        count = len(pose)
        tumble = quaternion_to_matrix(normal(count, 4, generator=generator))
        tumbling = uniform(count, generator=generator) < self.params.tumbling_probability
        turned = torch.where(tumbling[:, None, None], tumble, torch.eye(3, device=pose.device))
        # The body's up is a level camera's -y, its forward the way to the camera, -z.
        level = pose.new_tensor([1.0, -1.0, -1.0]).diag() @ turned
        return self._before_camera(_turn(level, pose), generator)

    def random_view(self, level: Float[Tensor, "batch *frame joint 3"], generator: torch.Generator) -> PriorSample:
        """Put poses as a level camera sees them (y down along gravity) before cameras on other sides of them."""
        heading = rotation_about("y", math.tau * uniform(len(level), generator=generator))
        return self._before_camera(_turn(heading, level), generator)

    def _before_camera(self, level: Float[Tensor, "batch *frame joint 3"], generator: torch.Generator) -> PriorSample:
        """One camera a batch element, with an elevation, a roll and a distance from the params' ranges."""
        count = len(level)
        mean, std = map(math.radians, self.params.elevation_deg)
        elevation = mean + std * normal(count, generator=generator)
        roll = math.radians(self.params.roll_std_deg) * normal(count, generator=generator)
        low, high = map(math.log, self.params.distance_m)
        distance = (low + (high - low) * uniform(count, generator=generator)).exp()
        pose = _turn(rotation_about("z", roll) @ rotation_about("x", elevation), level)
        distance = torch.maximum(distance, 0.5 - pose[..., 2].flatten(1).amin(1))  # every joint well in front
        shape = pose.shape[:-2]
        of_window = (count, *[1] * (len(shape) - 1))
        return PriorSample(pose, distance.view(of_window).expand(shape), elevation.view(of_window).expand(shape))


def _turn(rotation: Float[Tensor, "batch 3 3"], pose: Float[Tensor, "batch *frame joint 3"]) -> Tensor:
    """Rotate all frames of each batch element alike."""
    return (pose.flatten(1, -2) @ rotation.mT).view_as(pose)
