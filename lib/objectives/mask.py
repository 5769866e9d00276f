"""Masked modelling: some points of windows are hidden, and the model gives them back.

mask_2d reads keypoints alone; mask_3d reads 3D poses. In the manner of W. Shan et al., P-STMO, ECCV 2022, with the loss
on hidden points alone as in K. He et al., Masked autoencoders are scalable vision learners, CVPR 2022.
"""

import math
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from lib.data.transforms import TransformParams
from lib.data.windows import WindowBatch, WindowParams
from lib.geometry import rotation_about
from lib.masking import MaskingParams, hide
from lib.models.reconstructors import Reconstructor
from lib.objectives.base import REFRESH, Step, Terms, random_windows
from lib.plotting.reconstruction import Reconstruction, reconstruction_rows
from lib.reconstruction import masked, root_centred_points
from lib.skeleton import H36M


class Masked:
    """Reconstruction of hidden points; with a ratio of 0, of noisy ones."""

    def __init__(
        self,
        coords: int,
        masking: MaskingParams,
        transforms: TransformParams,
        window: WindowParams,
        windows: int,
        epochs: int,
    ) -> None:
        self.coords, self.masking, self.transforms = coords, masking, transforms
        self.window, self.windows, self.epochs = window, windows, epochs

    def steps(
        self, teacher: object, clips: Iterator[WindowBatch], epoch: int, generator: torch.Generator
    ) -> Iterator[Step]:
        """Steps on windows of the clips; the teacher makes no difference."""
        ratio = self.masking.ratio_at((epoch - 1) / max(self.epochs - 1, 1))
        for some in clips:
            points = root_centred_points(some, self.coords)
            for _ in range(REFRESH):
                yield partial(self.terms, points=points, ratio=ratio, generator=generator)

    def adapt(self, teacher: object, clips: Iterator[WindowBatch], epoch: int) -> None:
        """Nothing."""

    def afresh(self) -> "Masked":
        """Itself: it remembers nothing."""
        return self

    def terms(
        self,
        model: Reconstructor,
        points: Float[Tensor, "clip frame joint coord"],
        ratio: float,
        generator: torch.Generator,
    ) -> Terms:
        """Mean distance of hidden points from the truth, in units of the window's scale; unknown ones do not count."""
        any_point = points.isfinite().all(-1).any(-1)
        clip, index = random_windows(any_point, self.window, self.windows, 1, generator)
        whole = self._augmented(points[clip, index[:, 0]], generator)
        known = whole.isfinite().all(-1)
        hidden = self._hidden(whole, ratio, generator)
        windows = masked(whole, hidden | ~known)
        noise = self.masking.noise * torch.randn(whole.shape, generator=generator, device=whole.device)
        noise[..., H36M.root, :] = 0
        given = windows.points + noise * windows.confidence[..., None]
        predicted = model(given, windows.confidence, windows.scale)
        counted = (hidden if ratio > 0 else torch.ones_like(hidden)) & known
        counted[..., H36M.root] = False
        distance = torch.linalg.vector_norm(predicted - windows.whole.nan_to_num(0.0), dim=-1)
        return {"reconstruction": (distance * counted).sum() / counted.sum().clamp_min(1)}

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The one term."""
        return terms["reconstruction"]

    @torch.inference_mode()
    def picture(self, model: Reconstructor, clips: WindowBatch) -> Figure:
        """Masked input, output and truth of a few windows."""
        middle = clips.rays.shape[1] // 2 + self.window.offsets.to(clips.rays.device)
        whole = root_centred_points(clips, self.coords)[:, middle]
        generator = torch.Generator(whole.device).manual_seed(0)
        windows = masked(whole, self._hidden(whole, self.masking.ratio[1], generator))
        output = model(windows.points, windows.confidence, windows.scale)
        return reconstruction_rows(Reconstruction.of(windows, output.float()))

    def _hidden(self, whole: Tensor, ratio: float, generator: torch.Generator) -> Tensor:
        masking = self.masking
        return hide(masking.kind, ratio, masking.tubelet_frames, len(whole), whole.shape[1], generator)

    def _augmented(self, windows: Float[Tensor, "window frame joint coord"], generator: torch.Generator) -> Tensor:
        """Flipped, rolled about the optical axis and, where they are 3D, turned about the vertical, at random."""
        count, device = len(windows), windows.device

        def uniform() -> Tensor:
            return torch.rand(count, generator=generator, device=device)

        sign = windows.new_tensor([-1.0, 1.0, 1.0])[: self.coords]
        mirrored = windows[..., torch.tensor(H36M.mirror, device=device), :] * sign
        windows = torch.where((uniform() < self.transforms.flip)[:, None, None, None], mirrored, windows)
        turn = rotation_about("z", math.radians(self.transforms.rotation_deg) * (2 * uniform() - 1))
        if self.coords == 3:
            turn = turn @ rotation_about("y", math.tau * uniform())
        return windows @ turn[:, None, : self.coords, : self.coords].mT
