"""Lifting from 2D alone.

No 3D label is read: the objective is handed clips of rays (`lib.data.windows.WindowBatch` without positions) and the
anatomical prior. Every term is a number of its own, weighed by `losses` in params.yaml.
"""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lib.data.transforms import InputPipeline
from lib.data.windows import WindowBatch
from lib.models.lifters import Lifted, LifterModel, corrected
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
from lib.objectives.pseudo_labels import PseudoLabels, label_clips
from lib.objectives.views import Judged, Views, drawn_views, judge, view_rays
from lib.pose.crops import DOUBTFUL, Crops, Frames, Rays, unproject_crop
from lib.pose.geometry import homogeneous, levelling, project, rotate, rotation_about
from lib.pose.landmarks import JOINT_OF, JOINTS
from lib.pose.layout import Layout
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior
from lib.runtime.timing import timed
from lib.sequences.bone_lengths import BoneLengthMemory

DRAWN_TERMS = ("prior", "vertical", "error")
REAL_TERMS = ("reconstruction", "symmetry", "constancy", "proportions", "smoothness")
RUN = 4  # successive windows, over which bones are constant and motion smooth
EXTENT = 0.5  # metres: the RMS distance of a body's joints from their middle, about
UNSURE = 0.1  # metres: a point of which the teacher expects to be so far off counts half


class LiftParams(NamedTuple):
    """How much of what a step minimises."""

    losses: LossParams
    batches: Batches
    constant_bone_lengths: bool = True  # of the teacher's poses, over all that it saw of a sequence


class Lift:
    """Lifting without labels: the prior's pairs of 2D and 3D, and what real 2D can say by itself.

    - prior, vertical, error: lift what a camera sees of drawn poses, tell where up is, and how far off joints are;
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
        self.bone_lengths = BoneLengthMemory(H36M) if params.constant_bone_lengths else None

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
            for views in self.draws(real + drawn, generator):
                yield partial(self.prior_terms, views=views, generator=generator)
        for step, views in enumerate(self.draws(drawn, generator)):
            if step % REFRESH == 0:
                pseudo = self.make_pseudo_labels(teacher, next(clips))
            yield partial(self.terms, pseudo=pseudo, views=views, generator=generator)

    def draws(self, windows: int, generator: torch.Generator) -> Iterator[Views]:
        """Views of drawn bodies without end, `windows` at a time, marked as the data's layout or another marks them."""
        blocks: dict[Layout, Iterator[Views]] = {}
        others = [layout for layout in LAYOUTS.values() if layout != self.inputs.layout]
        while True:
            chance, which = torch.rand(2, generator=generator, device=generator.device).tolist()
            own = chance >= self.prior.params.other_layouts_probability
            layout = self.inputs.layout if own else others[int(which * len(others))]
            if layout not in blocks:
                blocks[layout] = drawn_views(self.prior, self.inputs.window, layout, windows, generator)
            yield next(blocks[layout])

    def for_validation(self) -> "Lift":
        """The same objective, which has seen no sequence yet."""
        fresh = copy.copy(self)
        fresh.bone_lengths = None if self.bone_lengths is None else BoneLengthMemory(H36M)
        return fresh

    def state_dict(self) -> dict[str, Any]:
        """The mean lengths of the prior's bones, and the bones of each sequence."""
        known = {} if self.bone_lengths is None else self.bone_lengths.state_dict()
        return {"lengths": self.prior.lengths, "sequences": known}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.prior.lengths.copy_(state["lengths"])
        if self.bone_lengths is not None:
            self.bone_lengths.load_state_dict(state["sequences"], self.prior.lengths.device)

    def learned_together(self) -> list[Tensor]:
        """The mean lengths of the prior's bones; those of each sequence are a shard's own."""
        return [self.prior.lengths]

    @torch.no_grad()
    def before_epoch(self, teacher: LifterModel, clips: Iterator[WindowBatch], epoch: int) -> None:
        """Move the prior's body towards that of the people in the 2D, as the teacher sees them."""
        if epoch > self.batches.prior_epochs and self.prior.params.bone_length_update > 0:
            pseudo = self.make_pseudo_labels(teacher, next(clips))
            self.prior.learn_lengths(pseudo.level[pseudo.detected][:, :JOINTS])

    @timed("teacher", whole=True)
    @torch.no_grad()
    def make_pseudo_labels(self, teacher: LifterModel, clips: WindowBatch) -> PseudoLabels:
        """What a teacher makes of clips."""
        return label_clips(teacher, clips, self.inputs, self.prior, self.bone_lengths)

    def prior_terms(self, model: LifterModel, views: Views, generator: torch.Generator) -> Terms:
        """The unweighted terms of a step that sees the prior alone."""
        (judged,) = self._judged(model, [views], generator)
        return self._weighed({"prior": judged.distance, "vertical": judged.vertical, "error": judged.likelihood})

    def terms(self, model: LifterModel, pseudo: PseudoLabels, views: Views, generator: torch.Generator) -> Terms:
        """The unweighted terms of one training step on windows with pseudo-labels and views of drawn poses.

        Terms whose weight is 0 are left out, with the work they would cost.
        """
        windows, wanted = self.batches.real, {}
        if any(self.weights[name] > 0 for name in DRAWN_TERMS):
            wanted["prior"] = views
        if self.weights["distillation"] > 0:
            wanted["distillation"] = self._novel_views(pseudo, windows, views.rays.layout, generator)
        judged = dict(zip(wanted, self._judged(model, list(wanted.values()), generator), strict=True))
        terms = {name: part.distance for name, part in judged.items()}
        if "prior" in judged:
            terms["vertical"] = judged["prior"].vertical
        terms["error"] = torch.stack([part.likelihood for part in judged.values()]).mean()
        if self.plausibility is not None and min(self.weights["plausibility"], self.weights["distillation"]) > 0:
            novel = judged["distillation"]
            level = rotate(levelling(novel.up), novel.pose)[:, None]
            level = self._as_own(level, views.rays.layout, generator)
            other = self.prior.random_view(level, generator)
            crops = self.inputs.crops(view_rays(other, self.inputs.layout))
            terms["plausibility"] = self.plausibility(crops.keypoints).mean()
        if self._needs_real:
            real = self._real_windows(pseudo, windows, generator)
            given = self.inputs.crops(self.inputs.corrupted(real, generator))
            lifted = model(given.keypoints, given.confidence, given.scale, given.layout)
            terms |= self._real_terms(lifted, real, given)
        return self._weighed(terms)

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()

    def examples(self, model: LifterModel, clips: WindowBatch) -> LiftedExamples:
        """Poses of the prior's body size."""
        return lifted_examples(model, clips, self.inputs, self.prior.body_size)

    def _weighed(self, terms: Terms) -> Terms:
        return {name: value for name, value in terms.items() if self.weights[name] > 0}

    @property
    def _needs_real(self) -> bool:
        return any(self.weights[name] > 0 for name in REAL_TERMS)

    @timed("inputs")
    def _novel_views(self, pseudo: PseudoLabels, windows: int, layout: Layout, generator: torch.Generator) -> Views:
        """Motion as the teacher sees it, some of it mirrored, before a camera on another side of it.

        Keypoints that were hidden are so there, too, and count by how sure the teacher is of them. Where `layout` is
        not that of the data, it marks the teacher's joints, and so do its keypoints.
        """
        transforms, own = self.inputs.transforms, self.inputs.layout
        clip, index = (
            part[:, 0] for part in random_windows(pseudo.detected, self.inputs.window, windows, 1, generator)
        )
        seen = pseudo.rays.std[clip[:, None], index].isfinite()
        level, error = pseudo.level[clip[:, None], index], pseudo.error[clip, index[:, index.shape[1] // 2]]
        if transforms.flip_probability > 0:
            chosen = torch.rand(windows, generator=generator, device=clip.device) < transforms.flip_probability
            mirrored = level[..., list(own.point_mirror), :] * level.new_tensor([-1.0, 1.0, 1.0])
            level = torch.where(chosen[:, None, None, None], mirrored, level)
            seen = torch.where(chosen[:, None, None], seen[..., list(own.skeleton.mirror)], seen)
            error = torch.where(chosen[:, None], error[:, list(own.point_mirror)], error)
        now = seen[:, seen.shape[1] // 2, :, None].float()
        known = torch.cat([own.of_joints(now), now], 1)[..., 0] > 0
        if layout != own:
            of = [JOINT_OF[slot] for slot in layout.slots]
            level = self.prior.marked(level[..., :JOINTS, :], layout, generator)
            marks = own.of_joints(torch.ones_like(now[:1]))[0, :, 0] > 0  # the joints that the data show
            seen = (own.of_joints(seen[..., None].float())[..., 0] > 0)[..., of] | ~marks[of]
            known, error = known[:, [*range(JOINTS), *of]], error[:, [*range(JOINTS), *of]]
        roll = math.radians(transforms.rotation_deg) * (
            2 * torch.rand(windows, generator=generator, device=clip.device) - 1
        )
        sample = self.prior.random_view(rotate(rotation_about("z", roll)[:, None], level), generator)
        rays = view_rays(sample, layout)
        weight = torch.where(known, 1.0, 1 / (1 + (error / UNSURE).square()))
        return Views(sample, rays._replace(std=rays.std.masked_fill(~seen, torch.inf)), weight)

    def _as_own(self, points: Tensor, layout: Layout, generator: torch.Generator) -> Tensor:
        """Points of a layout, as those of the data's layout."""
        own = self.inputs.layout
        return points if layout == own else self.prior.marked(points[..., :JOINTS, :], own, generator)

    @timed("inputs")
    def _real_windows(self, pseudo: PseudoLabels, windows: int, generator: torch.Generator) -> Rays:
        clip, index = random_windows(pseudo.detected, self.inputs.window, max(1, windows // RUN), RUN, generator)
        runs = pseudo.rays.take((clip[..., None], index))
        flat = Rays(runs.rays.flatten(1, 2), runs.std.flatten(1, 2), runs.layout)
        flat, _ = self.inputs.augmented(flat, generator)  # all windows of a run alike: its motion stays whole
        rays, std = (part.unflatten(1, (RUN, -1)).flatten(0, 1) for part in (flat.rays, flat.std))
        return Rays(rays, std, runs.layout)

    def _judged(self, model: LifterModel, parts: Sequence[Views], generator: torch.Generator) -> list[Judged]:
        """Lift views of one layout as a detector would see them, and compare with what they are of."""
        with timed("inputs"):
            seen = [
                self.inputs.corrupted(one.rays, generator, one.sample.joints, EXTENT / one.sample.root_depth)
                for one in parts
            ]
            rays, std = (torch.cat(part) for part in zip(*(one[:2] for one in seen), strict=True))
            given = self.inputs.crops(Rays(rays, std, seen[0].layout))
        lifted, now = model(given.keypoints, given.confidence, given.scale, given.layout), given.middle()
        judged, sizes = [], [len(one.rays.rays) for one in parts]
        for one, outputs, frames in zip(parts, _split(lifted, sizes), _split(now, sizes), strict=True):
            judged.append(judge(one, Lifted(*outputs), Frames(*frames)))
        return judged

    def _real_terms(self, lifted: Lifted, real: Rays, given: Crops) -> Terms:
        now, middle = given.middle(), given.scale.shape[1] // 2
        keypoints = corrected(now, lifted, given.layout)
        pose = unproject_crop(keypoints, now.scale, lifted.depth)[:, :JOINTS]
        # What was there before noise was added, in the same crop.
        observed = project(rotate(now.rotation, homogeneous(real.rays[:, middle]))) / now.scale[:, None, None]
        confidence = 1 / (1 + real.std[:, middle] / (DOUBTFUL * now.scale[:, None]))
        lengths = losses.relative_bone_lengths(pose, H36M)
        over_time = rotate(now.rotation.mT, pose).unflatten(0, (-1, RUN))
        return {
            "reconstruction": losses.reconstruction(keypoints[:, JOINTS:], observed, confidence),
            "symmetry": losses.symmetry(lengths, H36M),
            "constancy": losses.constancy(lengths.unflatten(0, (-1, RUN))),
            "proportions": losses.proportions(lengths, self.prior.bones, self.prior.params.bone_length_std),
            "smoothness": losses.smoothness(over_time, H36M),
        }


def _split(parts: Iterable[Tensor], sizes: Sequence[int]) -> Iterator[tuple[Tensor, ...]]:
    """Tensors of a whole batch, for each of its parts."""
    return zip(*(part.split(list(sizes)) for part in parts), strict=True)
