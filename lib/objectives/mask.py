"""Masked modelling: some points of windows are hidden, and the model gives them back.

mask_2d reads keypoints alone; mask_3d reads 3D poses. In the manner of W. Shan et al., P-STMO, ECCV 2022, with the loss
on hidden points alone as in K. He et al., Masked autoencoders are scalable vision learners, CVPR 2022.
"""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.masked_windows import Reconstruction, masked, root_centred_points
from lib.data.masking import MaskingParams, check_masking, hide
from lib.data.transforms import InputPipeline
from lib.data.windows import WindowBatch
from lib.models.reconstructors import Reconstructor
from lib.objectives.base import REFRESH, ObjectiveContext, Step, Terms, random_windows
from lib.pose.geometry import rotation_about


class Masked:
    """Reconstruction of hidden points; with a ratio of 0, of noisy ones."""

    def __init__(self, coords: int, inputs: InputPipeline, masking: MaskingParams, windows: int, epochs: int) -> None:
        self.coords, self.inputs, self.masking, self.windows, self.epochs = coords, inputs, masking, windows, epochs

    @classmethod
    def make(cls, coords: int, given: ObjectiveContext) -> "Masked":
        """The objective for points with so many coordinates."""
        assert given.masking is not None
        check_masking(given.masking, given.inputs.window.frames)
        windows = given.batches.real + given.batches.drawn
        return cls(coords, given.inputs, given.masking, windows, given.epochs)

    def steps(
        self, teacher: object, clips: Iterator[WindowBatch], epoch: int, generator: torch.Generator
    ) -> Iterator[Step]:
        """Steps on windows of the clips; the teacher makes no difference."""
        ratio = self.masking.ratio_at((epoch - 1) / max(self.epochs - 1, 1))
        for some in clips:
            points = root_centred_points(some, self.coords, self.inputs.layout.skeleton)
            for _ in range(REFRESH):
                yield partial(self.terms, points=points, ratio=ratio, generator=generator)

    def before_epoch(self, teacher: object, clips: Iterator[WindowBatch], epoch: int) -> None:
        """Nothing."""

    def for_validation(self) -> "Masked":
        """Itself: it remembers nothing."""
        return self

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""

    def terms(
        self,
        model: Reconstructor,
        points: Float[Tensor, "clip frame joint coord"],
        ratio: float,
        generator: torch.Generator,
    ) -> Terms:
        """Mean distance of hidden points from the truth, in units of the window's scale; unknown ones do not count."""
        clip, index = random_windows(points.isfinite().all(-1).any(-1), self.inputs.window, self.windows, 1, generator)
        whole = self._augmented(points[clip, index[:, 0]], generator)
        known = whole.isfinite().all(-1)
        hidden = self._hidden(whole, ratio, generator)
        windows = masked(whole, hidden | ~known)
        noise = self.masking.noise_std * torch.randn(whole.shape, generator=generator, device=whole.device)
        noise[..., self.inputs.layout.skeleton.root, :] = 0
        given = windows.points + noise * windows.confidence[..., None]
        predicted = model(given, windows.confidence, windows.scale)
        counted = (hidden if ratio > 0 else torch.ones_like(hidden)) & known
        counted[..., self.inputs.layout.skeleton.root] = False
        distance = torch.linalg.vector_norm(predicted - windows.whole.nan_to_num(0.0), dim=-1)
        return {"reconstruction": (distance * counted).sum() / counted.sum().clamp_min(1)}

    def learned_together(self) -> list[Tensor]:
        """Nothing."""
        return []

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The one term."""
        return terms["reconstruction"]

    @torch.inference_mode()
    def examples(self, model: Reconstructor, clips: WindowBatch) -> Reconstruction:
        """Masked input, output and truth of a few windows."""
        middle = clips.rays.shape[1] // 2 + self.inputs.window.offsets.to(clips.rays.device)
        whole = root_centred_points(clips, self.coords, self.inputs.layout.skeleton)[:, middle]
        generator = torch.Generator(whole.device).manual_seed(0)
        windows = masked(whole, self._hidden(whole, self.masking.ratio[1], generator))
        output = model(windows.points, windows.confidence, windows.scale)
        return Reconstruction.of(windows, output, self.inputs.layout.skeleton)

    def _hidden(self, whole: Tensor, ratio: float, generator: torch.Generator) -> Tensor:
        masking, (windows, frames) = self.masking, whole.shape[:2]
        return hide(
            masking.kind, ratio, masking.tubelet_frames, (windows, frames), self.inputs.layout.skeleton, generator
        )

    def _augmented(self, windows: Float[Tensor, "window frame joint coord"], generator: torch.Generator) -> Tensor:
        """Flipped, rolled about the optical axis and, where they are 3D, turned about the vertical, at random."""
        count, device = len(windows), windows.device

        def uniform() -> Tensor:
            return torch.rand(count, generator=generator, device=device)

        sign = windows.new_tensor([-1.0, 1.0, 1.0])[: self.coords]
        mirrored = windows[..., torch.tensor(self.inputs.layout.skeleton.mirror, device=device), :] * sign
        windows = torch.where(
            (uniform() < self.inputs.transforms.flip_probability)[:, None, None, None], mirrored, windows
        )
        turn = rotation_about("z", math.radians(self.inputs.transforms.rotation_deg) * (2 * uniform() - 1))
        if self.coords == 3:
            turn = turn @ rotation_about("y", math.tau * uniform())
        return windows @ turn[:, None, : self.coords, : self.coords].mT
