"""What the pictures show: a split's keypoints, its predictions and, where there is 3D, the truth."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from lib.data.split import Split
from lib.evaluation import metrics
from lib.evaluation.lifting import CHUNK, MM
from lib.inference.predictions import Predictions
from lib.plotting.animation import frame_indices, motion_images
from lib.plotting.figures import Example
from lib.plotting.selection import sequence_names, typical_frames
from lib.plotting.skeletons import SkeletonStyle
from lib.pose.geometry import root_centred
from lib.pose.layout import Layout
from lib.pose.skeleton import Skeleton
from lib.runtime.errors import UserError


@dataclass(frozen=True)
class Results:
    """Keypoints (pixels) and poses (metres, root-centred, camera frame) of all frames of a split."""

    layout: Layout
    table: pd.DataFrame  # a row a sequence, with lib.data.tables.COLUMNS
    keypoints: Float[Tensor, "frame joint 2"]  # not a number where hidden: not drawn
    predicted: Float[Tensor, "frame joint 3"]
    target: Float[Tensor, "frame joint 3"] | None  # not a number in sequences without 3D

    @property
    def skeleton(self) -> Skeleton:
        """The tree of the keypoints."""
        return self.layout.skeleton

    @classmethod
    def of(cls, split: Split, predictions: Predictions) -> "Results":
        """Put predictions beside the split that they were made from.

        Raises:
            UserError: they were made from other sequences.
        """
        same = predictions.predicted.shape[1] == len(split.layout) and predictions.table.equals(split.table)
        if not same:
            raise UserError("the predictions belong to other sequences than the store: run `dvc repro evaluate` first")
        target = None if split.positions is None else root_centred(split.positions, split.skeleton)
        keypoints = torch.where((split.confidence > 0)[..., None], split.keypoints, torch.nan)
        return cls(split.layout, split.table, keypoints, predictions.predicted, target)

    def example(self, frame: int, label: str = "") -> Example:
        """A frame of the split, labelled with its sequence and its place in it."""
        row = int(self.table["start"].searchsorted(frame, side="right")) - 1
        place = f"{sequence_names(self.table)[row]}, frame {frame - int(self.table['start'].iloc[row])}"
        return Example(
            f"{label}\n{place}" if label else place, self.keypoints[frame], self.predicted[frame], self._truth(frame)
        )

    def typical_examples(self) -> list[Example]:
        """A good, a median and a bad frame by P-MPJPE over the whole split; none without 3D."""
        if self.target is None:
            return []
        labelled = self.target.isfinite().flatten(1).all(1)
        pairs = (self.predicted[labelled] * MM, self.target[labelled] * MM)
        chunks = zip(*(part.split(CHUNK) for part in pairs), strict=True)
        errors = torch.cat([metrics.p_mpjpe(predicted, target).mean(-1) for predicted, target in chunks])
        frames = labelled.nonzero()[:, 0]
        return [self.example(int(frames[number]), label) for label, number in typical_frames(errors).items()]

    def middle_examples(self, sequences: pd.DataFrame) -> list[Example]:
        """The middle frame of each of these sequences."""
        return [self.example(int(start + length // 2)) for start, length in _ranges(sequences)]

    def motion(self, sequence: "pd.Series[Any]", frames: int, fps: float, style: SkeletonStyle) -> list[Image.Image]:
        """The images of a sequence in motion, at its real speed."""
        shown = int(sequence["start"]) + frame_indices(sequence["length"], sequence["fps"], frames, fps)
        target = self._truth(shown)
        title = f"{sequence['subject']}/{sequence['action']}/{sequence['camera']}"
        if target is not None:
            error = metrics.p_mpjpe(self.predicted[shown] * MM, target * MM).mean()
            title += f"\nmean P-MPJPE: {float(error):.0f} mm"
        return motion_images(self.keypoints[shown], self.predicted[shown], target, title, style)

    def hidden(self) -> dict[str, float]:
        """The share of the frames that show somebody in which each keypoint is hidden; nothing if none ever is."""
        hidden = self.keypoints.isnan().any(-1)
        hidden = hidden[~hidden.all(1)]
        shares: list[float] = hidden.float().mean(0).tolist() if len(hidden) else []
        return dict(zip(self.layout.keypoints, shares, strict=True)) if any(shares) else {}

    def _truth(self, frames: int | Tensor) -> Tensor | None:
        """The true poses of frames of one sequence, if it has any."""
        if self.target is None or not self.target[frames].isfinite().all():
            return None
        return self.target[frames]


def _ranges(sequences: pd.DataFrame) -> list[tuple[int, int]]:
    return list(zip(sequences["start"].astype(int), sequences["length"].astype(int), strict=True))
