"""Lifting from 2D alone.

No 3D label is read: the objective is handed clips of rays (`lib.data.windows.WindowBatch` without positions) and the
anatomical prior. Every term is a number of its own, weighed by `losses` in params.yaml.
"""

import copy
import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.data.transforms import InputPipeline
from lib.data.windows import WindowBatch
from lib.models.lifters import Lifted, LifterModel, corrected, lift_both_ways
from lib.objectives import losses
from lib.objectives.base import (
    REFRESH,
    Batches,
    LiftedExamples,
    ObjectiveContext,
    Step,
    Terms,
    lifted_examples,
    random_windows,
)
from lib.objectives.losses import LossParams
from lib.objectives.plausibility import Plausibility, fit_plausibility
from lib.pose.crops import Crops, Normalization, crop_scale, unproject_crop
from lib.pose.geometry import bone_lengths, mirror_pose, project, rotate, rotation_about
from lib.prior.sampler import PosePrior, PriorSample
from lib.sequences.bone_lengths import BoneLengthMemory, refine_depths

REAL_TERMS = ("reconstruction", "symmetry", "constancy", "proportions", "smoothness")
DRAWS = 8  # steps that one draw of the prior serves
RUN = 4  # successive windows, over which bones are constant and motion smooth
CHUNK = 2048  # windows that a teacher lifts at once
PartsT = TypeVar("PartsT", Lifted, Crops, PriorSample)


class LiftParams(NamedTuple):
    """How much of what a step minimises."""

    losses: LossParams
    batches: Batches
    constant_bone_lengths: bool = True  # of the teacher's poses, over all that it saw of a sequence


class PseudoLabels(NamedTuple):
    """Clips of real 2D and the poses that a teacher lifts them to."""

    crops: Crops  # (clip, frame, ...)
    level: Float[Tensor, "clip frame joint 3"]  # root-centred, of the prior's body size, as a level camera sees them


class Lift:
    """Lifting without labels: the prior's pairs of 2D and 3D, and what real 2D can say by itself.

    - prior, elevation: lift what a camera sees of drawn poses, and tell how far it looks down on them;
    - distillation: a slowly averaged teacher lifts real 2D, a virtual camera sees the result from another side, and the
      student lifts that view back (a cycle as in Chen et al., CVPR 2019, with the teacher in place of an adversary);
    - plausibility: from a third side, those poses look like the 2D that there is;
    - the terms of `lib.objectives.losses` on the student's poses of real 2D.
    """

    def __init__(
        self,
        inputs: InputPipeline,
        prior: PosePrior,
        params: LiftParams,
        plausibility: Plausibility | None = None,
    ) -> None:
        self.inputs, self.prior, self.batches, self.plausibility = inputs, prior, params.batches, plausibility
        self.weights: dict[str, float] = params.losses.model_dump()
        self.bone_lengths = BoneLengthMemory(inputs.skeleton) if params.constant_bone_lengths else None

    @classmethod
    def make(cls, given: ObjectiveContext) -> "Lift":
        """The objective for a split's 2D."""
        params = LiftParams(given.losses, given.batches, given.constant_bone_lengths)
        density = None
        if given.losses.plausibility > 0:
            density = fit_plausibility(given.train, given.inputs.transforms.normalization, given.seed, given.device)
        return cls(given.inputs, given.prior, params, density)

    @property
    def windows(self) -> int:
        """How many windows a step has."""
        return self.batches.real + self.batches.drawn

    def steps(
        self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int, generator: torch.Generator
    ) -> Iterator[Step]:
        """Steps on drawn poses, and after `prior_epochs` also on what the teacher makes of the clips.

        Without the term that drawn poses are for, there are no epochs of them alone.
        """
        real, drawn, prior_epochs = self.batches
        if epoch <= prior_epochs and self.weights["prior"] > 0:
            for sample in self.draws(real + drawn, generator):
                yield partial(self.prior_terms, sample=sample, generator=generator)
        for step, sample in enumerate(self.draws(drawn, generator)):
            if step % REFRESH == 0:
                pseudo = self.make_pseudo_labels(teacher, next(clips))
            yield partial(self.terms, pseudo=pseudo, sample=sample, generator=generator)

    def draws(self, windows: int, generator: torch.Generator) -> Iterator[PriorSample]:
        """Samples of the prior without end, `windows` at a time; drawn in blocks, since small draws cost as much."""
        while True:
            window = self.inputs.window
            block = self.prior.sample_motion(DRAWS * windows, window.frames, window.interval_seconds, generator)
            yield from (_take(block, slice(at, at + windows)) for at in range(0, DRAWS * windows, windows))

    def for_validation(self) -> "Lift":
        """The same objective, which has seen no sequence yet."""
        fresh = copy.copy(self)
        fresh.bone_lengths = None if self.bone_lengths is None else BoneLengthMemory(self.inputs.skeleton)
        return fresh

    @torch.no_grad()
    def before_epoch(self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int) -> None:
        """Move the prior's body towards that of the people in the 2D, as the teacher sees them."""
        if epoch > self.batches.prior_epochs and self.prior.params.bone_length_update > 0:
            pseudo = self.make_pseudo_labels(teacher, next(clips))
            self.prior.learn_lengths(pseudo.level[pseudo.crops.detected])

    @torch.no_grad()
    def make_pseudo_labels(self, teacher: LifterModel, clips: WindowBatch) -> PseudoLabels:
        """Lift every frame of clips, each in a window of its own, averaged with the mirrored view.

        Of frames that show nobody, poses are guesses, and no window of training has them in its middle.
        """
        crops, skeleton = self.inputs.crops(clips), self.inputs.skeleton
        count, length = crops.scale.shape
        index = (torch.arange(length)[:, None] + self.inputs.window.offsets).clamp(0, length - 1)
        clip = torch.arange(count)[:, None, None].expand(-1, *index.shape)
        poses, elevations = [], []
        for some, frames in zip(
            clip.flatten(0, 1).split(CHUNK), index.expand(count, -1, -1).flatten(0, 1).split(CHUNK), strict=True
        ):
            windows = Crops(*(part[some, frames] for part in crops))
            pose, elevation = lift_both_ways(teacher, windows, skeleton)
            poses.append(pose)
            elevations.append(elevation)
        pose, detected = torch.cat(poses).unflatten(0, (count, length)), crops.detected
        if self.bone_lengths is not None:
            bones = self.bone_lengths.update(clips.sequence, pose, detected)[:, None].expand(-1, length, -1)
            noise = pose.new_tensor(self.inputs.corruption.noise_std)
            flat = (pose.flatten(0, 1), bones.flatten(0, 1), noise, skeleton, detected.flatten())
            pose = refine_depths(*flat).view_as(pose)
        pose = pose * (self.prior.bones.sum() / bone_lengths(pose, skeleton).sum(-1).clamp_min(1e-6))[..., None, None]
        # All frames of a clip as the camera sees them that looks at the person in the middle of it, and is level.
        elevation = torch.cat(elevations).unflatten(0, (count, length))
        counted = detected | ~detected.any(1, keepdim=True)
        elevation = elevation.masked_fill(~counted, torch.nan).nanmedian(1).values
        upright = rotation_about("x", -elevation) @ crops.rotation[:, length // 2]
        return PseudoLabels(crops, rotate(upright[:, None] @ crops.rotation.mT, pose))

    def prior_terms(self, model: LifterModel, sample: PriorSample, generator: torch.Generator) -> Terms:
        """The unweighted terms of a step that sees the prior alone."""
        given = self.inputs.corrupted(self._view(sample), generator)
        lifted = model(given.keypoints, given.confidence, given.scale)
        return self._weighed(self._drawn_terms(lifted, given, sample, len(sample.pose))[0])

    def terms(
        self,
        model: LifterModel,
        pseudo: PseudoLabels,
        sample: PriorSample,
        generator: torch.Generator,
    ) -> Terms:
        """The unweighted terms of one training step on windows with pseudo-labels and a sample of the prior.

        Terms whose weight is 0 are left out, with the work they would cost.
        """
        windows, drawn_windows = self.batches.real, len(sample.pose)
        seen = self._view(sample)
        if self.weights["distillation"] > 0:
            novel, detected = self._novel_view(pseudo, windows, generator)
            view = self._view(novel)
            view = view._replace(confidence=view.confidence * detected[..., None])
            sample, seen = _join(sample, novel), _join(seen, view)
        if self._needs_real:
            real = self._real_windows(pseudo, windows, generator)
            seen = _join(seen, real)
        given = self.inputs.corrupted(seen, generator)
        lifted = model(given.keypoints, given.confidence, given.scale)
        of_sample, of_real = slice(None, len(sample.pose)), slice(len(sample.pose), None)
        terms, pose = self._drawn_terms(_take(lifted, of_sample), _take(given, of_sample), sample, drawn_windows)
        if self.plausibility is not None and min(self.weights["plausibility"], self.weights["distillation"]) > 0:
            level = rotate(rotation_about("x", -sample.elevation[:, 0]), pose)[drawn_windows:]
            other = self._view(self.prior.random_view(level[:, None], generator))
            terms["plausibility"] = self.plausibility(other.keypoints).mean()
        if self._needs_real:
            terms |= self._real_terms(_take(lifted, of_real), real.middle(), _take(given, of_real).middle())
        return self._weighed(terms)

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()

    def examples(self, model: LifterModel, clips: WindowBatch) -> LiftedExamples:
        """Poses of the prior's body size."""
        return lifted_examples(model, clips, self.inputs, self.prior.body_size)

    def _view(self, sample: PriorSample) -> Crops:
        return render_view(sample, self.inputs.transforms.normalization)

    def _weighed(self, terms: Terms) -> Terms:
        return {name: value for name, value in terms.items() if self.weights[name] > 0}

    @property
    def _needs_real(self) -> bool:
        return any(self.weights[name] > 0 for name in REAL_TERMS)

    def _novel_view(
        self, pseudo: PseudoLabels, windows: int, generator: torch.Generator
    ) -> tuple[PriorSample, Bool[Tensor, "window frame"]]:
        """Motion as the teacher sees it, some of it mirrored, before a camera on another side of it.

        Beside it, which frames showed somebody.
        """
        transforms, skeleton = self.inputs.transforms, self.inputs.skeleton
        clip, index = random_windows(pseudo.crops.detected, self.inputs.window, windows, 1, generator)
        index = index[:, 0]
        level = pseudo.level[clip, index]
        if transforms.flip_probability > 0:
            chosen = torch.rand(windows, generator=generator, device=clip.device) < transforms.flip_probability
            level = torch.where(chosen[:, None, None, None], mirror_pose(level, skeleton), level)
        roll = math.radians(transforms.rotation_deg) * (
            2 * torch.rand(windows, generator=generator, device=clip.device) - 1
        )
        sample = self.prior.random_view(rotate(rotation_about("z", roll)[:, None], level), generator)
        return sample, pseudo.crops.detected[clip, index]

    def _real_windows(self, pseudo: PseudoLabels, windows: int, generator: torch.Generator) -> Crops:
        clip, index = random_windows(pseudo.crops.detected, self.inputs.window, max(1, windows // RUN), RUN, generator)
        runs = Crops(*(part[clip[..., None], index].flatten(1, 2) for part in pseudo.crops))
        runs = self.inputs.augmented(runs, generator)  # all windows of a run alike: its motion stays whole
        return Crops(*(part.unflatten(1, (RUN, -1)).flatten(0, 1) for part in runs))

    def _drawn_terms(
        self, lifted: Lifted, given: Crops, sample: PriorSample, drawn_windows: int
    ) -> tuple[Terms, Tensor]:
        now, middle = given.middle(), sample.pose.shape[1] // 2
        pose = (
            unproject_crop(corrected(now, lifted), now.scale, lifted.depth) * sample.root_depth[:, middle, None, None]
        )
        target = sample.pose[:, middle]
        terms: Terms = {
            "prior": losses.pose_distance(pose[:drawn_windows], target[:drawn_windows]),
            "elevation": (lifted.elevation - sample.elevation[:, middle])[:drawn_windows].abs().mean(),
        }
        if len(target) > drawn_windows:
            terms["distillation"] = losses.pose_distance(pose[drawn_windows:], target[drawn_windows:])
        return terms, pose

    def _real_terms(self, lifted: Lifted, real: Crops, given: Crops) -> Terms:
        keypoints = corrected(given, lifted)
        pose = unproject_crop(keypoints, given.scale, lifted.depth)
        seen_unit = (given.scale / real.scale)[..., None, None]
        skeleton = self.inputs.skeleton
        lengths = losses.relative_bone_lengths(pose, skeleton)
        over_time = rotate(real.rotation.mT, pose).unflatten(0, (-1, RUN))
        return {
            "reconstruction": losses.reconstruction(keypoints * seen_unit, real.keypoints, real.confidence),
            "symmetry": losses.symmetry(lengths, skeleton),
            "constancy": losses.constancy(lengths.unflatten(0, (-1, RUN))),
            "proportions": losses.proportions(lengths, self.prior.bones, self.prior.params.bone_length_std),
            "smoothness": losses.smoothness(over_time, skeleton),
        }


def render_view(sample: PriorSample, normalization: Normalization) -> Crops:
    """The crops in which a camera sees the prior's poses, every joint with confidence 1.

    Samples have the root on the optical axis: there is nothing left to turn.
    """
    from_root = sample.pose.new_tensor([0.0, 0.0, 1.0]) * sample.root_depth[..., None, None]
    rays = project(sample.pose + from_root)
    scale = crop_scale(rays, normalization)
    identity = torch.eye(3, device=rays.device).expand(*scale.shape, 3, 3)
    return Crops(rays / scale[..., None, None], torch.ones_like(rays[..., 0]), scale, identity)


def _take(parts: PartsT, windows: slice) -> PartsT:
    return type(parts)(*(part[windows] for part in parts))


def _join(first: PartsT, second: PartsT) -> PartsT:
    return type(first)(*(torch.cat(parts) for parts in zip(first, second, strict=True)))
