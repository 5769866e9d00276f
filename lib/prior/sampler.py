"""The anatomical prior: human poses drawn from joint ranges and body tables, never from a data set's 3D.

People of `lib.prior.bodies` in postures and motions, before cameras on any side of them. Samples come out in the
frame of a camera that looks at the root (x right, y down, z forward).
"""

import math
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field, field_validator
from torch import Tensor, nn

from lib.pose.geometry import bone_lengths, quaternion_to_matrix, rotation_about
from lib.pose.landmarks import JOINTS, side_of
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT
from lib.pose.skeleton import Skeleton
from lib.prior.bodies import (
    ATTACHED_LANDMARKS,
    ATTACHED_STD,
    BONE_SEGMENTS,
    HEAD_STD,
    SEGMENTS,
    SKELETON,
    TILTS,
    Body,
    attached_offset,
    part_of,
)
from lib.prior.kinematics import Angles, Posed, forward_kinematics, posed_of
from lib.prior.motions import MotionSampler, MotionWeights
from lib.prior.postures import PostureSampler, PostureWeights
from lib.prior.random import normal, uniform
from lib.runtime.params import Section
from lib.runtime.timing import timed

NEAREST = 0.5  # metres from the camera to the nearest point
BOTH_SIDES, ONE_SIDE = 0.8, 0.6  # of how far keypoints are from what they mark; squares add up to 1

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
    other_layouts_probability: Annotated[
        float, Field(ge=0, le=1)
    ]  # share of steps whose bodies and real motion another layout than the data's marks
    elevation_deg: tuple[Elevation, ElevationStd]  # of the camera above the root: mean, standard deviation
    any_elevation_probability: Annotated[float, Field(ge=0, le=1)]  # share of cameras anywhere from below to above
    roll_std_deg: Annotated[float, Field(ge=0, le=180)]  # standard deviation of the camera's roll
    distance_m: tuple[Distance, Distance]  # low, high; log-uniform

    @field_validator("distance_m")
    @classmethod
    def _low_to_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the first distance must not be above the second")
        return value


class PriorSample(NamedTuple):
    """Poses as the lifter should see them: joints of Human3.6M, the root first, then the keypoints of a layout."""

    points: Float[Tensor, "*batch point 3"]  # root-centred, metres, in the frame of a camera that looks at the root
    root_depth: Float[Tensor, "*batch"]  # metres
    up: Float[Tensor, "*batch 3"]  # the direction against gravity, of length 1

    @property
    def joints(self) -> Float[Tensor, "*batch joint 3"]:
        """The poses."""
        return self.points[..., :JOINTS, :]

    @property
    def keypoints(self) -> Float[Tensor, "*batch keypoint 3"]:
        """What the layout marks."""
        return self.points[..., JOINTS:, :]


class PosePrior(nn.Module):
    """Draws poses on the device its buffers are on.

    `lengths` are the mean segment lengths; training may move them to what the 2D says about the people in it.
    """

    lengths: Tensor
    attached: Tensor
    attached_std: Tensor
    on_head: Tensor

    def __init__(self, params: PriorParams) -> None:
        super().__init__()
        self.params = params
        self.register_buffer("lengths", torch.tensor(list(SEGMENTS.values())))
        table = {name: attached_offset(name) for name in ATTACHED_LANDMARKS}
        self.register_buffer("attached", torch.tensor(list(table.values())), persistent=False)
        std = [ATTACHED_STD[side_of(name)[1]] for name in ATTACHED_LANDMARKS]
        self.register_buffer("attached_std", torch.tensor(std), persistent=False)
        on_head = torch.tensor([part_of(name) == "head" for name in ATTACHED_LANDMARKS])
        self.register_buffer("on_head", on_head, persistent=False)
        self.postures = PostureSampler(params.postures)
        self.motions = MotionSampler(params.motions, self.postures)

    @property
    def skeleton(self) -> Skeleton:
        """The joints of a pose."""
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
        factor = (seen / self.lengths).log().mul(self.params.bone_length_update).exp()
        self.lengths.mul_(factor.where(factor.isfinite().all(), 1.0))
        self.lengths.mul_(size / self.bones.sum())

    def sample(self, count: int, generator: torch.Generator, layout: Layout = H36M_LAYOUT) -> PriorSample:
        """Draw `count` single poses."""
        body = self.sample_body(count, generator)
        posed = forward_kinematics(self.postures.sample(count, generator), body)
        return self.view(self._mark(posed, body, layout, generator), generator)

    @timed("prior")
    def sample_motion(
        self, count: int, frames: int, interval: float, generator: torch.Generator, layout: Layout = H36M_LAYOUT
    ) -> PriorSample:
        """Draw `count` windows of motion, one person and one camera each, with frames `interval` seconds apart."""
        if frames == 1:
            return PriorSample(*(part[:, None] for part in self.sample(count, generator, layout)))
        time = interval * torch.arange(frames, device=self.lengths.device)
        angles, speed = self.motions.sample(count, time, generator)
        body = Body(*(part[:, None] for part in self.sample_body(count, generator)))
        posed = forward_kinematics(Angles.from_vector(angles).limited(), body)
        return self._approach(self.view(self._mark(posed, body, layout, generator), generator), speed, time)

    def sample_body(self, count: int, generator: torch.Generator) -> Body:
        """Bodies of `count` people; the segments' left equals right by construction."""
        noise = normal(count, len(SEGMENTS), generator=generator)
        tilts = math.radians(self.params.rest_direction_std_deg) * normal(count, len(TILTS), generator=generator)
        own = self.attached_std[:, None] * normal(count, len(self.attached), 3, generator=generator)
        face = HEAD_STD * self.on_head[:, None] * normal(count, 1, 3, generator=generator)
        lengths = self.lengths * (self.params.bone_length_std * noise).exp()
        return Body(lengths, tilts, self.attached + own + face)

    def marked(
        self, joints: Float[Tensor, "batch frame joint 3"], layout: Layout, generator: torch.Generator
    ) -> Float[Tensor, "batch frame point 3"]:
        """Windows of poses in metres, in any frame, and what a layout marks on them: people's own face, feet, hands."""
        body = Body(*(part[:, None] for part in self.sample_body(len(joints), generator)))
        return self._mark(posed_of(joints), body, layout, generator)

    def _mark(
        self, posed: Posed, body: Body, layout: Layout, generator: torch.Generator
    ) -> Float[Tensor, "*batch point 3"]:
        """The joints of bodies, and what a layout marks on them, a little off as `Layout.spreads` has it."""
        joints = posed.joints
        if layout.exact:
            return torch.cat([joints, joints], -2)
        # What is systematic about a detector is so on both sides, and not sideways in the middle; the rest is this
        # person's.
        shared, own = normal(len(joints), 2, len(layout), 3, generator=generator).unbind(1)
        mirror = torch.tensor(layout.skeleton.mirror, device=shared.device)
        shared = shared + shared[:, mirror] * shared.new_tensor([-1.0, 1.0, 1.0])
        in_middle = mirror == torch.arange(len(mirror), device=mirror.device)
        shared = shared / torch.where(in_middle, 2.0, math.sqrt(2))[:, None]
        off = shared.new_tensor(layout.spreads)[:, None] * (BOTH_SIDES * shared + ONE_SIDE * own)
        off = off.view(len(joints), *[1] * (joints.ndim - 3), len(layout), 3)
        marked = layout.mixing.to(joints) @ posed.landmarks(body)
        return torch.cat([joints, marked + posed.moved(off, layout)], -2)

    def _approach(self, sample: PriorSample, speed: Tensor, time: Tensor) -> PriorSample:
        """The same windows of people who walk the way they face, at a speed: those who face the camera come nearer."""
        left, right = (sample.points[..., self.skeleton.index(f"{side}_hip"), :] for side in ("left", "right"))
        away = (right - left)[..., 0] / (left - right)[..., ::2].norm(dim=-1).clamp_min(
            1e-6
        )  # left times up is forward
        walked = (away.mean(1) * speed)[:, None] * (time - time.mean())
        nearest = NEAREST - sample.points[..., 2].amin(-1)
        return sample._replace(root_depth=torch.maximum(sample.root_depth + walked, nearest))

    def view(self, points: Float[Tensor, "batch *frame point 3"], generator: torch.Generator) -> PriorSample:
        """Put root-centred points of the body frame, a share of them tumbling, before cameras."""
        count = len(points)
        tumble = quaternion_to_matrix(normal(count, 4, generator=generator))
        tumbling = uniform(count, generator=generator) < self.params.tumbling_probability
        turned = torch.where(tumbling[:, None, None], tumble, torch.eye(3, device=points.device))
        # The body's up is a level camera's -y, its forward the way to the camera, -z.
        level = points.new_tensor([1.0, -1.0, -1.0]).diag() @ turned
        return self._before_camera(level, points, generator)

    def random_view(self, level: Float[Tensor, "batch *frame point 3"], generator: torch.Generator) -> PriorSample:
        """Put points as a level camera sees them (y down along gravity) before cameras on other sides of them."""
        heading = rotation_about("y", math.tau * uniform(len(level), generator=generator))
        return self._before_camera(heading, level, generator)

    def _before_camera(
        self,
        to_level: Float[Tensor, "batch 3 3"],
        points: Float[Tensor, "batch *frame point 3"],
        generator: torch.Generator,
    ) -> PriorSample:
        """One camera a batch element, with an elevation, a roll and a distance from the params' ranges."""
        count = len(points)
        mean, std = map(math.radians, self.params.elevation_deg)
        elevation = mean + std * normal(count, generator=generator)
        if self.params.any_elevation_probability > 0:
            anywhere = math.pi * (uniform(count, generator=generator) - 0.5)
            chosen = uniform(count, generator=generator) < self.params.any_elevation_probability
            elevation = torch.where(chosen, anywhere, elevation)
        roll = math.radians(self.params.roll_std_deg) * normal(count, generator=generator)
        low, high = map(math.log, self.params.distance_m)
        distance = (low + (high - low) * uniform(count, generator=generator)).exp()
        from_level = rotation_about("z", roll) @ rotation_about("x", elevation)
        seen = _turn(from_level @ to_level, points)
        distance = torch.maximum(distance, NEAREST - seen[..., 2].flatten(1).amin(1))  # every joint well in front
        shape = seen.shape[:-2]
        of_window = (count, *[1] * (len(shape) - 1))
        up = (-from_level[..., 1]).view(*of_window, 3).expand(*shape, 3)
        return PriorSample(seen, distance.view(of_window).expand(shape), up)


def _turn(rotation: Float[Tensor, "batch 3 3"], points: Float[Tensor, "batch *frame point 3"]) -> Tensor:
    """Rotate all frames of each batch element alike."""
    return (points.flatten(1, -2) @ rotation.mT).view_as(points)
