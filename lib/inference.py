"""Lifting whole splits with a trained model."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checkpoints, noise
from lib.data.store import Split
from lib.data.transforms import CropBatch, keypoint_noise, normalize
from lib.data.windows import WindowParams, Windows
from lib.device import resolve_device
from lib.errors import UserError
from lib.gaps import fill_frames
from lib.geometry import rotate
from lib.limbs import steadied, symmetric, typical_lengths
from lib.models.lifters import LiftingModel, lift_both_ways, lift_crops


class Lifter:
    """A trained model with what it takes to lift calibrated keypoints."""

    def __init__(self, checkpoint: checkpoints.Checkpoint, device: torch.device) -> None:
        model = checkpoint.build()
        if not isinstance(model, LiftingModel):
            raise UserError(f"the checkpoint reconstructs ({checkpoint.objective}) and does not lift: pretrain another")
        self._checkpoint = checkpoint
        self.model = model.to(device)
        self.window = WindowParams(frames=checkpoint.frames, dilation=checkpoint.dilation, stride=1)
        self.normalization = checkpoint.normalization
        self.noise_seconds = checkpoint.noise_seconds
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
        self, split: Split, batch_size: int, flip: bool = True, steady: bool = True, smooth: bool = True
    ) -> Float[Tensor, "frame joint 3"]:
        """Lift every frame of a split: root-centred poses in the camera frame, in units of root depth, on the CPU.

        Every frame is lifted in a window of its own. With `flip`, the mirrored view is lifted as well and averaged;
        with `steady`, bones then get the lengths that they typically have in their sequence (see `lib.limbs`); with
        `smooth`, what looks like noise of the poses over time is taken away (see `lib.noise`). How far depths vary and
        how strong the noise is, is found over the whole split.

        Of frames that show nobody, poses are on straight lines in time between those of the frames that do.
        """
        windows, lift = Windows(split, self.window), lift_both_ways if flip else lift_crops
        # Crops are made once a frame and not once a window.
        frames = Windows(split, WindowParams(frames=1, dilation=1, stride=1))
        crops = [
            normalize(frames[some].to(self.device), self.normalization)
            for some in torch.arange(len(frames)).split(batch_size)
        ]
        whole = CropBatch(*(torch.cat(parts)[:, 0] for parts in zip(*crops, strict=True)))
        poses = []
        for numbers in torch.arange(len(windows)).split(batch_size):
            index = windows.frame_index(numbers).to(self.device)
            pose, _ = lift(self.model, CropBatch(*(part[index] for part in whole)))
            poses.append(pose.float())
        lifted = torch.cat(poses)
        frames_of, shown = split.table["length"].tolist(), whole.shown
        if steady and lifted.isfinite().all():  # one frame that is not would spoil all others
            sequences = zip(lifted.split(frames_of), shown.split(frames_of), strict=True)
            lengths = [symmetric(typical_lengths(part, seen)[0]).expand(len(part), -1) for part, seen in sequences]
            deviations = keypoint_noise(split, self.noise_seconds).to(lifted)
            lifted = steadied(lifted, torch.cat(lengths), deviations, shown)
        lifted = fill_frames(rotate(whole.rotation.mT, lifted), shown, frames_of)
        if smooth:
            fps = float(split.table["fps"].median())
            lifted = noise.without(lifted, frames_of, self.noise_seconds, fps, shown)
        return lifted.cpu()
