"""What a teacher makes of real 2D, for a student to learn from."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from lib.data.transforms import InputPipeline
from lib.data.windows import WindowBatch
from lib.models.lifters import LifterModel, Poses, lift_poses
from lib.pose.crops import Rays
from lib.pose.geometry import bone_lengths, levelling, rotate
from lib.pose.landmarks import JOINTS
from lib.pose.layouts import H36M_LAYOUT
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from lib.sequences.bone_lengths import BoneLengthMemory
from lib.sequences.depths import joint_noise, refine_depths, with_joints

CHUNK = 2048  # windows that a teacher lifts at once


class PseudoLabels(NamedTuple):
    """Clips of real 2D and the points that a teacher lifts them to."""

    rays: Rays  # (clip, frame, ...)
    level: Float[Tensor, "clip frame point 3"]  # root-centred, of the prior's body size, as a level camera sees them
    error: Float[Tensor, "clip frame point"]  # metres: how far off the teacher expects them to be

    @property
    def detected(self) -> Bool[Tensor, "clip frame"]:
        """The frames that show somebody."""
        return self.rays.std.isfinite().any(-1)


def label_clips(
    teacher: LifterModel,
    clips: WindowBatch,
    inputs: InputPipeline,
    prior: PosePrior,
    memory: BoneLengthMemory | None,
) -> PseudoLabels:
    """Lift every frame of clips, each in a window of its own, averaged with the mirrored view.

    With a `memory`, bones are constant over all that it knows of a sequence. Of frames that show nobody, poses are
    guesses, and no window of training has them in its middle.
    """
    rays, layout = inputs.rays(clips), inputs.layout
    count, length = rays.std.shape[:2]
    index = (torch.arange(length)[:, None] + inputs.window.offsets).clamp(0, length - 1)
    clip = torch.arange(count)[:, None, None].expand(-1, *index.shape)
    chunks = zip(clip.flatten(0, 1).split(CHUNK), index.expand(count, -1, -1).flatten(0, 1).split(CHUNK), strict=True)
    parts = [lift_poses(teacher, inputs.crops(rays.take(chunk))) for chunk in chunks]
    poses = Poses(*(torch.cat(part) for part in zip(*parts, strict=True)))
    detected = rays.std.isfinite().any(-1)
    points, error = poses.points, poses.error
    if memory is not None:
        joints = points[:, :JOINTS].unflatten(0, (count, length))
        bones = memory.update(clips.sequence, joints, detected)[:, None].expand(-1, length, -1)
        noise = points.new_tensor(inputs.corruption.noise_of(H36M_LAYOUT))
        metre = bone_lengths(points[:, :JOINTS], H36M).sum(-1) / prior.body_size
        noise = joint_noise(noise, error[:, :JOINTS], rays.std.isfinite().flatten(0, 1), metre, layout)
        refined = refine_depths(points[:, :JOINTS], bones.flatten(0, 1), noise, H36M, detected.flatten())
        points = with_joints(points, refined, layout)
    size = (prior.bones.sum() / bone_lengths(points[:, :JOINTS], H36M).sum(-1).clamp_min(1e-6))[:, None]
    points, error = points * size[..., None], error * size
    # All frames of a clip as the camera would see them if it were level.
    rotation, up = (part.unflatten(0, (count, length)) for part in (poses.rotation, poses.up))
    counted = (detected | ~detected.any(1, keepdim=True))[..., None]
    vertical = normalize((counted * (rotation.mT @ up[..., None])[..., 0]).sum(1), dim=-1)
    level = rotate(levelling(vertical)[:, None] @ rotation.mT, points.unflatten(0, (count, length)))
    return PseudoLabels(rays, level, error.unflatten(0, (count, length)))
