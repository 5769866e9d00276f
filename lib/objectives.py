"""What pre-training minimises, from 2D alone.

`Lift` needs no 3D label: it is handed windows of rays (`lib.data.windows.WindowBatch` has no 3D in it) and the
anatomical prior. Every term is a number of its own, weighed by `losses` in params.yaml.
"""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from lib import losses
from lib.anatomy import PosePrior, PriorSample
from lib.data.transforms import Corruption, CropBatch, TransformParams, augment, corrupt, normalize
from lib.data.windows import WindowBatch
from lib.geometry import bone_lengths, project, rotate, rotation_about, unproject_crop
from lib.losses import LossParams
from lib.models.lifters import corrected, lift_crops
from lib.models.transformer import Lifted, LifterModel

REAL_TERMS = ("reconstruction", "symmetry", "constancy", "proportions", "smoothness")
PartsT = TypeVar("PartsT", Lifted, CropBatch, PriorSample)


class Lift:
    """Lifting without labels: the prior's pairs of 2D and 3D, and what real 2D can say by itself.

    - prior, elevation: lift what a camera sees of drawn poses, and tell how far it looks down on them;
    - distillation: a slowly averaged teacher lifts real 2D, a virtual camera sees the result from another side, and the
      student lifts that view back (a cycle as in Chen et al., CVPR 2019, with the teacher in place of an adversary);
    - the terms of `lib.losses` on the student's poses of real 2D.
    """

    def __init__(
        self,
        prior: PosePrior,
        weights: LossParams,
        transforms: TransformParams,
        corruption: Corruption,
        frames: int,
        fps: float,
    ) -> None:
        self.prior, self.transforms, self.corruption = prior, transforms, corruption
        self.weights: dict[str, float] = weights.model_dump()
        self.frames, self.fps = frames, fps

    def prior_terms(self, model: LifterModel, windows: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The unweighted terms of a step that sees the prior alone."""
        sample = self.prior.sample_motion(windows, self.frames, self.fps, generator)
        drawn = see(sample, self.transforms.normalization)
        given = corrupt(drawn, self.corruption, generator)
        lifted = model(given.keypoints, given.confidence, given.scale)
        return self._weighed(self._drawn_terms(lifted, drawn, given, sample, windows))

    def terms(
        self,
        model: LifterModel,
        teacher: LifterModel,
        batch: WindowBatch,
        prior_windows: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """The unweighted terms of one training step on a batch of real windows and as many prior windows as asked.

        Terms whose weight is 0 are left out, with the work they would cost.
        """
        sample = self.prior.sample_motion(prior_windows, self.frames, self.fps, generator)
        real = augment(normalize(batch, self.transforms.normalization), self.transforms, generator)
        if self.weights["distillation"] > 0:
            sample = _join(sample, self._novel_view(teacher, real, generator))
        drawn = see(sample, self.transforms.normalization)
        seen = _join(drawn, real) if self._needs_real else drawn
        given = corrupt(seen, self.corruption, generator)
        lifted = model(given.keypoints, given.confidence, given.scale)
        drawn_windows = slice(None, len(sample.pose))
        terms = self._drawn_terms(
            _take(lifted, drawn_windows), drawn, _take(given, drawn_windows), sample, prior_windows
        )
        if self._needs_real:
            real_windows = slice(len(sample.pose), None)
            terms |= self._real_terms(_take(lifted, real_windows), real, _take(given, real_windows))
        return self._weighed(terms)

    @torch.no_grad()
    def learn_proportions(self, teacher: LifterModel, batch: WindowBatch) -> None:
        """Move the prior's body towards that of the people in the 2D, as the teacher sees them."""
        if self.prior.params.bone_learning > 0:
            self.prior.learn_lengths(lift_crops(teacher, normalize(batch, self.transforms.normalization)))

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()

    def _weighed(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value for name, value in terms.items() if self.weights[name] > 0}

    @property
    def _needs_real(self) -> bool:
        return any(self.weights[name] > 0 for name in REAL_TERMS)

    @torch.no_grad()
    def _novel_view(self, teacher: LifterModel, real: CropBatch, generator: torch.Generator) -> PriorSample:
        """Real poses as the teacher sees them, of the prior's body size, before a camera on another side of them."""
        lifted = teacher(real.keypoints, real.confidence, real.scale)
        pose = unproject_crop(corrected(real, lifted), real.scale, lifted.depth)
        pose = pose * (self.prior.bones.sum() / bone_lengths(pose).sum(-1).clamp_min(1e-6))[..., None, None]
        level = rotate(rotation_about("x", -lifted.elevation), pose)
        return self.prior.look(level, generator)

    def _drawn_terms(
        self, lifted: Lifted, drawn: CropBatch, given: CropBatch, sample: PriorSample, prior_windows: int
    ) -> dict[str, Tensor]:
        pose = unproject_crop(corrected(given, lifted), drawn.scale, lifted.depth) * sample.root_depth[..., None, None]
        terms: dict[str, Tensor] = {
            "prior": losses.pose_distance(pose[:prior_windows], sample.pose[:prior_windows]),
            "elevation": (lifted.elevation - sample.elevation)[:prior_windows].abs().mean(),
        }
        if len(sample.pose) > prior_windows:
            terms["distillation"] = losses.pose_distance(pose[prior_windows:], sample.pose[prior_windows:])
        return terms

    def _real_terms(self, lifted: Lifted, real: CropBatch, given: CropBatch) -> dict[str, Tensor]:
        keypoints = corrected(given, lifted)
        pose = unproject_crop(keypoints, real.scale, lifted.depth)
        lengths = losses.relative_bone_lengths(pose)
        return {
            "reconstruction": losses.reconstruction(keypoints, real.keypoints, real.confidence),
            "symmetry": losses.symmetry(lengths),
            "constancy": losses.constancy(lengths),
            "proportions": losses.proportions(lengths, self.prior.bones, self.prior.params.bone_spread),
            "smoothness": losses.smoothness(rotate(real.rotation.mT, pose)),
        }


def see(sample: PriorSample, normalization: str) -> CropBatch:
    """The crops in which a camera sees the prior's poses, every joint with confidence 1."""
    from_root = sample.pose.new_tensor([0.0, 0.0, 1.0]) * sample.root_depth[..., None, None]
    rays = project(sample.pose + from_root)
    return normalize(WindowBatch(rays, torch.ones_like(rays[..., 0])), normalization)


def _take(parts: PartsT, windows: slice) -> PartsT:
    return type(parts)(*(part[windows] for part in parts))


def _join(first: PartsT, second: PartsT) -> PartsT:
    return type(first)(*(torch.cat(parts) for parts in zip(first, second, strict=True)))
