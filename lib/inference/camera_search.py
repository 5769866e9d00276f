"""A static camera from the motion before it: its focal length, and where up is.

Under a wrong focal length people are lifted well one by one, but the space in which they move is stretched along the
optical axis. Two things are right under the true one alone:

- bones keep their lengths over a sequence, near and far, in all poses;
- feet stand at one height, wherever on the floor they are.

Sequences are lifted under each of a few focal lengths. How much the two are violated adds up, with weights, to a
negative log-likelihood; what is known beforehand is that assumed focal lengths are about right. Where motion says
little, the result is near the assumed focal length, and as uncertain.

Up is where people are balanced: on average their centre of mass is above their feet. The lifter says where up is, too.

Weights and standard deviations were chosen on motion capture of people on a floor, before virtual cameras, so that
stated uncertainties are those of the errors; of climbing, focal lengths are less certain than they say.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.data.split import Split
from lib.inference.lifter import Lifter
from lib.inference.uprightness import ANKLE_JOINTS, Stance, middle, stance, up_direction
from lib.pose.geometry import rotate
from lib.pose.landmarks import JOINTS
from lib.pose.skeleton import H36M
from lib.sequences.bone_lengths import typical_lengths
from lib.sequences.noise import smoothed

FACTORS = tuple(math.exp(0.23 * step) for step in range(-4, 5))  # of the assumed focal length, that are tried
ASSUMED_STD, SAME_STD = 0.35, 0.07  # of logarithms: of true focal lengths over assumed ones; of shared errors
TELLS, LEAST_SECONDS = 0.2, 5.0  # a focal length is found below this one, from so much motion
BONES_WEIGHT, BONE_NOISE = 55.0, 0.05  # in a sequence's negative log-likelihood; of logarithms of bones' lengths
FLOOR_WEIGHT, FLOOR_NOISE = 2.8, 0.06  # the same; metres, of the heights of feet
SHORTEST, LONGEST = 1.0, 20.0  # seconds: what says something, and what longer sequences are cut into
MOST_PARTS = 20  # that are looked at of a camera
RATE, SIZE_SECONDS = 25.0, 0.15  # frames a second are enough; size is smoothed by a Gaussian of this deviation
LEAST_ACROSS = 0.02  # weight of a bone along the line of sight, where 1 is one across

_CHILDREN, _PARENTS = (list(ends) for ends in zip(*H36M.bones, strict=True))


class FoundCamera(NamedTuple):
    """What motion says about a camera; standard deviations are honest for people who stand and walk on a floor."""

    focal_factor: float  # the focal length over the assumed one
    focal_std: float  # of its logarithm
    up: tuple[float, float, float]  # the direction against gravity in the camera frame, of length 1
    elevation_deg: float  # by which the camera looks down
    elevation_std: float
    roll_deg: float  # by which up leans to the right in the picture
    roll_std: float
    seconds: float  # of motion that was looked at

    @property
    def tells(self) -> bool:
        """Whether motion says enough of the focal length; if not, the assumed one stays."""
        return self.focal_std < TELLS and self.seconds >= LEAST_SECONDS


class _Motion(NamedTuple):
    """A sequence as it was lifted under one focal length."""

    off: Float[Tensor, "frame bone"]  # logarithms of bones' lengths over their typical ones
    across: Float[Tensor, "frame bone"]  # how far they lie across the line of sight: weights
    ankles: Float[Tensor, "frame side 3"]  # metres, camera frame
    stance: Stance


def find_cameras(split: Split, lifter: Lifter) -> dict[str, FoundCamera]:
    """What the sequences of each camera say, by the cameras' names in the table; cameras stand still."""
    found = {}
    for name in split.table["camera"].unique():
        table = split.table[split.table["camera"] == name]
        frames = torch.cat([torch.arange(row.start, row.start + row.length) for row in table.itertuples()])
        table = table.assign(start=table["length"].cumsum() - table["length"])
        found[str(name)] = find_camera(split.take(frames, table.reset_index(drop=True)), lifter)
    return found


@torch.inference_mode()
def find_camera(split: Split, lifter: Lifter) -> FoundCamera:
    """What sequences say that are all of one camera, whose rays were made with an assumed focal length."""
    parts = _parts(split)
    cost = [sum((_violations(_lifted(split, part, factor, lifter)) for part in parts), 0.0) for factor in FACTORS]
    focal, focal_std = _posterior(cost)
    likely = math.exp(focal) if focal_std < TELLS else 1.0
    up, std = up_direction([_lifted(split, part, likely, lifter).stance for part in parts])
    (x, y, z), level = up.tolist(), float(up[:2].norm())
    return FoundCamera(
        focal_factor=math.exp(focal),
        focal_std=focal_std,
        up=(x, y, z),
        elevation_deg=math.degrees(math.atan2(-z, level)),
        elevation_std=std,
        roll_deg=math.degrees(math.atan2(x, -y)),
        roll_std=min(180.0, std / max(level, 1e-3)),
        seconds=sum(len(part.frames) / part.fps for part in parts),
    )


class _Part(NamedTuple):
    """A stretch of a sequence."""

    frames: Int[Tensor, " frame"]  # their numbers in the split
    fps: float


def _parts(split: Split) -> list[_Part]:
    """What is looked at, evenly chosen."""
    found = []
    for start, length, fps in zip(split.table["start"], split.table["length"], split.timing.fps, strict=True):
        step = max(1, int(fps / RATE))
        for piece in torch.arange(start, start + length).tensor_split(math.ceil(length / fps / LONGEST)):
            if len(piece) / fps >= SHORTEST:
                found.append(_Part(piece[::step], fps / step))
    return [found[int(number)] for number in np.linspace(0, len(found) - 1, min(len(found), MOST_PARTS)).round()]


def _lifted(split: Split, part: _Part, factor: float, lifter: Lifter) -> _Motion:
    """A part under a focal length; how far off somebody is is found by the body's size."""
    poses = lifter.lift_windows(replace(split, rays=split.rays / factor), frames=part.frames)
    points, turned = poses.points[:, :JOINTS].cpu(), poses.rotation.mT.cpu()  # over the root's distance, crop frame
    told = rotate(turned, poses.up.cpu()[:, None])[:, 0]
    visible = split.confidence[part.frames] > 0
    bone = points[:, _CHILDREN] - points[:, _PARENTS]
    length = torch.linalg.vector_norm(bone, dim=-1).clamp_min(1e-6)
    across = (1 - (bone[..., 2] / length).square()).clamp_min(LEAST_ACROSS)
    off = (length / typical_lengths(points, H36M, visible.any(-1))[0]).log()
    size = (across * off).sum(-1, keepdim=True) / across.sum(-1, keepdim=True)
    distance = lifter.body_size / smoothed(size[..., None], SIZE_SECONDS * part.fps).exp()
    joints = distance * rotate(turned, points + points.new_tensor([0.0, 0.0, 1.0]))
    stood = stance(joints, told, visible, split.layout, part.fps)
    return _Motion(off - size, across, joints[:, list(ANKLE_JOINTS)], stood)


def _violations(motion: _Motion) -> float:
    """How much a sequence violates what is right under the true focal length; both terms are robust, as Cauchy's."""
    seen, standing = motion.stance.seen, motion.stance.standing
    weight = motion.across[seen]
    bones = weight * (1 + (motion.off[seen] / BONE_NOISE).square()).log()
    cost = BONES_WEIGHT * float(bones.sum() / weight.sum().clamp_min(1e-9))
    if standing.any():
        height = (motion.ankles[standing] @ middle(motion.stance.balance[standing])).amin(-1)
        cost += FLOOR_WEIGHT * float((1 + ((height - height.median()) / FLOOR_NOISE).square()).log().mean())
    return cost


def _posterior(cost: list[float]) -> tuple[float, float]:
    """The mean and standard deviation of the focal length's logarithm, over the assumed one, by the cost of FACTORS."""
    tried = np.log(FACTORS)
    fine = np.linspace(tried[0], tried[-1], 201)
    log = -np.interp(fine, tried, cost) - (fine / ASSUMED_STD) ** 2 / 2
    share = np.exp(log - log.max())
    share /= share.sum()
    mean = float(share @ fine)
    return mean, math.sqrt(float(share @ (fine - mean) ** 2) + SAME_STD**2)
