"""Lifting whole splits with a trained model."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checkpoints
from lib.data.store import Split
from lib.data.transforms import CropBatch, mirror, normalize
from lib.data.windows import WindowBatch, WindowParams, Windows
from lib.device import resolve_device
from lib.geometry import rotate
from lib.models.lifters import lift_crops
from lib.skeleton import H36M


class Lifter:
    """A trained model with what it takes to lift calibrated keypoints."""

    def __init__(self, checkpoint: checkpoints.Checkpoint, device: torch.device) -> None:
        self._checkpoint = checkpoint
        self.model = checkpoint.build().to(device)
        self.window = WindowParams(frames=checkpoint.frames, dilation=checkpoint.dilation, stride=1)
        self.normalization = checkpoint.normalization
        self.body_size = checkpoint.body_size
        self.device = device

    @classmethod
    def load(cls, path: Path, device: str = "auto") -> "Lifter":
        """Load a checkpoint onto a device ('auto' picks the fastest); raises UserError where it cannot."""
        return cls(checkpoints.load(path), resolve_device(device))

    def untrained(self) -> "Lifter":
        """The same lifter with new random weights, to compare with."""
        lifter = Lifter(self._checkpoint, self.device)
        lifter.model = self._checkpoint.build_untrained().to(self.device)
        return lifter

    @torch.inference_mode()
    def lift(self, split: Split, batch_size: int, flip: bool) -> Float[Tensor, "frame joint 3"]:
        """Lift every frame of a split: root-centred poses in the camera frame, in units of root depth, on the CPU.

        Windows do not overlap, but for the last one of a sequence; a frame in two windows gets the mean of both. With
        `flip`, the mirrored view is lifted as well and averaged.
        """
        windows = Windows(split, self.window, covering=True)
        total = torch.zeros(len(split.rays), len(H36M), 3)
        count = torch.zeros(len(split.rays), 1, 1)
        for numbers in torch.arange(len(windows)).split(max(1, batch_size // self.window.frames)):
            batch = WindowBatch(*(part.to(self.device) for part in windows[numbers]))
            poses = self._lift_windows(normalize(batch, self.normalization), flip)
            flat = windows.frame_index(numbers).flatten()
            total.index_add_(0, flat, poses.flatten(0, 1).float().cpu())
            count.index_add_(0, flat, torch.ones(len(flat), 1, 1))
        return total / count

    def _lift_windows(self, crops: CropBatch, flip: bool) -> Tensor:
        poses = lift_crops(self.model, crops)
        if flip:
            order = torch.tensor(H36M.mirror, device=poses.device)
            mirrored = lift_crops(self.model, mirror(crops))[..., order, :]
            poses = (poses + mirrored * poses.new_tensor([-1.0, 1.0, 1.0])) / 2
        return rotate(crops.rotation.mT, poses)
