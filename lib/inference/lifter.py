"""Lifting whole splits with a trained model."""

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from lib.data.split import Split
from lib.data.transforms import noise_in, seen_rays
from lib.data.windows import WindowParams, Windows
from lib.models import checkpoints
from lib.models.lifters import LiftingModel, Poses, lift_poses
from lib.pose.crops import perspective_crops
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout
from lib.pose.layouts import H36M_LAYOUT
from lib.pose.skeleton import H36M
from lib.runtime.device import resolve_device
from lib.runtime.errors import UserError
from lib.sequences import noise
from lib.sequences.bone_lengths import sequence_lengths, symmetric
from lib.sequences.depth_signs import with_constant_signs
from lib.sequences.depths import joint_noise, refine_depths, with_joints
from lib.sequences.gaps import fill_frames
from lib.sequences.rows import Tree, points_of, rows_of, sizes


class LiftedSplit(NamedTuple):
    """A split's poses, root-centred, in the camera frame, in units of the root's distance or in metres, on the CPU."""

    joints: Float[Tensor, "frame joint 3"]  # of Human3.6M's skeleton
    keypoints: Float[Tensor, "frame keypoint 3"]  # as the split's layout marks them
    joint_error: Float[Tensor, "frame joint"]  # how far off each is expected to be
    keypoint_error: Float[Tensor, "frame keypoint"]
    root: Float[Tensor, "frame 3"]  # where the root is
    up: Float[Tensor, "frame 3"]  # the direction against gravity, of length 1

    def scaled(self, factor: Float[Tensor, " frame"]) -> "LiftedSplit":
        """The same in another unit."""
        lengths = {name: part for name, part in self._asdict().items() if name != "up"}
        return self._replace(**{name: part * factor.view(-1, *[1] * (part.ndim - 1)) for name, part in lengths.items()})


class Lifter:
    """A trained model with what it takes to lift calibrated keypoints."""

    def __init__(self, checkpoint: checkpoints.Checkpoint, device: torch.device) -> None:
        model = checkpoint.build()
        if not isinstance(model, LiftingModel):
            raise UserError(f"the checkpoint is for {checkpoint.task} and does not lift: pretrain another")
        self._checkpoint = checkpoint
        self.model = model.to(device)
        self.window = WindowParams(frames=checkpoint.frames, interval_seconds=checkpoint.interval_seconds)
        self.normalization = checkpoint.normalization
        self.noise_correlation_seconds = checkpoint.noise_correlation_seconds
        self.body_size = checkpoint.body_size
        self.layout = checkpoint.layout  # of the data that it was trained on
        self.layouts = checkpoint.layouts  # that it knows
        self.device = device
        self.name = ""  # of its file

    @classmethod
    def load(cls, path: Path, device: str = "auto") -> "Lifter":
        """Load a checkpoint onto a device ('auto' picks the fastest); raises UserError where it cannot."""
        checkpoint = checkpoints.load(path, "finetune")
        if not checkpoint.lifts:
            raise UserError(f"{path} is for {checkpoint.task} and does not lift: name one that does")
        lifter = cls(checkpoint, resolve_device(device))
        lifter.name = path.name
        return lifter

    def known(self, layout: Layout) -> tuple[Layout, list[int] | None]:
        """The largest layout that it knows of those that are a part of this one, and which keypoints that has.

        None: all as they are, also where no layout that it knows is a part.
        """
        if layout in self.layouts:
            return layout, None
        parts = [(own, part) for own in self.layouts if (part := own.within(layout)) is not None]
        return max(parts, key=lambda pair: len(pair[1])) if parts else (layout, None)

    def untrained(self) -> "Lifter":
        """The same lifter with new random weights, to compare with."""
        lifter = Lifter(self._checkpoint, self.device)
        model = self._checkpoint.build_untrained()
        assert isinstance(model, LiftingModel)
        lifter.model = model.to(self.device)
        return lifter

    @torch.inference_mode()
    def lift(
        self,
        split: Split,
        batch_size: int = 4096,
        flip: bool = True,
        constant_bone_lengths: bool = True,
        depth_signs: bool = True,
        denoise: bool = True,
    ) -> LiftedSplit:
        """Lift every frame of a split, whatever its layout: Human3.6M's joints, and the layout's own keypoints.

        Every frame is lifted in a window of its own, whatever the frame rate or the times of its sequence, which may be
        a single frame. With `flip`, the mirrored view is lifted as well and averaged; with `constant_bone_lengths`,
        bones then get the lengths that they typically have in their sequence (`sequences.bone_lengths`), and with
        `depth_signs` then limbs the signs of depth that are most probable over the sequence (`sequences.depth_signs`);
        with `denoise`, what looks like noise of the poses over time is taken away (`sequences.noise`). How far depths
        vary and how strong the noise is, is found over the whole split.

        Of frames that show nobody, poses are on straight lines in time between those of the frames that do.

        Raises:
            UserError: the checkpoint does not know the layout.
        """
        poses = self.lift_windows(split, batch_size, flip)
        return self.refined(split, poses, constant_bone_lengths, depth_signs, denoise)

    @torch.inference_mode()
    def refined(
        self,
        split: Split,
        poses: Poses,
        constant_bone_lengths: bool = True,
        depth_signs: bool = True,
        denoise: bool = True,
    ) -> LiftedSplit:
        """What `lift` makes of what `lift_windows` gives of every frame of a split."""
        timing, detected = split.timing, split.detected.to(poses.points.device)
        points, error, up, rotation = poses
        if split.layout.exact:  # keypoints mark the joints, and are the same
            points, error = points[:, :JOINTS], error[:, :JOINTS]
        rows = rows_of(points)
        if constant_bone_lengths and rows.sum().isfinite():  # one frame that is not would spoil all others
            rows = rows_of(self._refined(points_of(rows), error, split, depth_signs))
        # In the camera frame; the root is one unit away along the axis of the crop.
        root = torch.zeros_like(rows[:, :1])
        root[2] = 1.0
        x, y, z = torch.cat([rows, root, up.mT[:, None]], 1)
        placed = points_of(torch.stack([x * to[0] + y * to[1] + z * to[2] for to in rotation.permute(2, 1, 0)]))
        placed = fill_frames(placed, detected, timing)
        if denoise:
            placed = noise.denoise(placed, timing, self.noise_correlation_seconds, detected)
        placed, error = placed.contiguous().cpu(), error.cpu()
        points, root, up = placed[:, :-2], normalize(placed[:, -2], dim=-1), normalize(placed[:, -1], dim=-1)
        of_layout = slice(JOINTS) if split.layout.exact else slice(JOINTS, None)
        of_points = points[:, :JOINTS], points[:, of_layout], error[:, :JOINTS], error[:, of_layout]
        return LiftedSplit(*of_points, root, up)

    @torch.inference_mode()
    def lift_windows(
        self,
        split: Split,
        batch_size: int = 4096,
        flip: bool = True,
        frames: Int[Tensor, " some"] | None = None,
        live: bool = False,
    ) -> Poses:
        """What the model says about every frame, or some by their numbers, each in a window of its own; on its device.

        `live` windows end with their frame, as where the next one is still to come.

        Raises:
            UserError: the checkpoint does not know the layout.
        """
        self._checkpoint.check_layout(split.layout)
        windows, parts = Windows(split.unlabelled(), self.window, live=live), []
        for numbers in (torch.arange(len(windows)) if frames is None else frames).split(batch_size):
            rays = seen_rays(windows[numbers].to(self.device), split.layout)
            poses = lift_poses(self.model, perspective_crops(rays, self.normalization), flip)
            parts.append(Poses(*(part.float() for part in poses)))
        return parts[0] if len(parts) == 1 else Poses(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _refined(
        self,
        points: Float[Tensor, "frame point 3"],
        error: Float[Tensor, "frame point"],
        split: Split,
        depth_signs: bool,
    ) -> Float[Tensor, "frame point 3"]:
        """The same with bones that have their typical lengths."""
        timing, detected = split.timing, split.detected.to(points.device)
        typical = symmetric(sequence_lengths(points[:, :JOINTS], H36M, detected, timing.lengths), H36M)
        lengths = typical.repeat_interleave(torch.tensor(timing.lengths, device=points.device), 0)
        of_keypoints = split.keypoint_noise(self.noise_correlation_seconds)
        of_joints = points.new_tensor(noise_in(H36M_LAYOUT, split.layout, of_keypoints.tolist()))
        visible = split.confidence > 0
        metre = sizes(rows_of(points[:, :JOINTS]), Tree.of(H36M, points.device)) / self.body_size
        rays_noise = joint_noise(of_joints, error[:, :JOINTS], visible.to(points.device), metre, split.layout)
        joints = refine_depths(points[:, :JOINTS], lengths, rays_noise, H36M, detected)
        if depth_signs:
            seen = split.layout.of_joints(visible.float()[..., None])[..., 0] > 0
            joints = with_constant_signs(joints, timing, seen.to(points.device))
        return joints if split.layout.exact else with_joints(points, joints, split.layout)
