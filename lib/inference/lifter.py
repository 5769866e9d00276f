"""Lifting whole splits with a trained model."""

from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.store import Split
from lib.data.transforms import keypoint_noise
from lib.data.windows import WindowParams, Windows
from lib.models import checkpoints
from lib.models.lifters import LiftingModel, lift_both_ways, lift_crops
from lib.pose.crops import perspective_crops
from lib.pose.geometry import rotate
from lib.runtime.device import resolve_device
from lib.runtime.errors import UserError
from lib.sequences import noise
from lib.sequences.bone_lengths import refine_depths, symmetric, typical_lengths
from lib.sequences.gaps import fill_frames


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
        self.device = device

    @classmethod
    def load(cls, path: Path, device: str = "auto") -> "Lifter":
        """Load a checkpoint onto a device ('auto' picks the fastest); raises UserError where it cannot."""
        return cls(checkpoints.load(path), resolve_device(device))

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
        denoise: bool = True,
    ) -> Float[Tensor, "frame joint 3"]:
        """Lift every frame of a split: root-centred poses in the camera frame, in units of root depth, on the CPU.

        Every frame is lifted in a window of its own, whatever the frame rate or the times of its sequence, which may be
        a single frame. With `flip`, the mirrored view is lifted as well and averaged; with `constant_bone_lengths`,
        bones then get the lengths that they typically have in their sequence (`sequences.bone_lengths`); with
        `denoise`, what looks like noise of the poses over time is taken away (`sequences.noise`). How far depths vary
        and how strong the noise is, is found over the whole split.

        Of frames that show nobody, poses are on straight lines in time between those of the frames that do.
        """
        self._checkpoint.check_skeleton(split.skeleton)
        skeleton, windows = split.skeleton, Windows(replace(split, positions=None), self.window)
        poses, turns = [], []
        for numbers in torch.arange(len(windows)).split(batch_size):
            some = windows[numbers].to(self.device)
            crops = perspective_crops(some.rays, some.confidence, skeleton, self.normalization)
            pose, _ = lift_both_ways(self.model, crops, skeleton) if flip else lift_crops(self.model, crops)
            poses.append(pose.float())
            turns.append(crops.middle().rotation)
        lifted, rotation, timing = torch.cat(poses), torch.cat(turns), split.timing
        detected = split.detected.to(self.device)
        if constant_bone_lengths and lifted.isfinite().all():  # one frame that is not would spoil all others
            sequences = list(zip(timing.split(lifted), timing.split(detected), strict=True))
            typical = [symmetric(typical_lengths(part, skeleton, seen)[0], skeleton) for part, seen in sequences]
            lengths = [one.expand(len(part), -1) for one, (part, _) in zip(typical, sequences, strict=True)]
            ray_noise = keypoint_noise(split, self.noise_correlation_seconds).to(lifted)
            lifted = refine_depths(lifted, torch.cat(lengths), ray_noise, skeleton, detected)
        lifted = fill_frames(rotate(rotation.mT, lifted), detected, timing)
        if denoise:
            lifted = noise.denoise(lifted, timing, self.noise_correlation_seconds, detected)
        return lifted.cpu()
