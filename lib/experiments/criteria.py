"""Criteria that read no label and might rank checkpoints as P-MPJPE does.

Of every criterion a smaller value should mean better poses. Distances are between poses whose bones add up to 1000, so
that they read like millimetres of a person with a metre of bones.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations, islice
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.split import Split
from lib.data.store import read_split
from lib.data.transforms import input_pipeline
from lib.data.windows import WindowBatch
from lib.evaluation import metrics
from lib.evaluation.lifting import EvaluationParams, evaluate
from lib.experiments.variants import PER_WINDOW
from lib.inference.lifter import LiftedSplit, Lifter
from lib.models.checkpoints import Checkpoint
from lib.models.lifters import LifterModel
from lib.objectives.base import ObjectiveContext
from lib.objectives.lift import Lift
from lib.objectives.losses import LossParams
from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import H36M, Skeleton
from lib.prior.sampler import PosePrior
from lib.runtime.device import resolve_device
from lib.runtime.params import section
from lib.training.loop import VALIDATION_STEPS, held_out_clips
from lib.training.pretraining import PretrainParams

ERROR = "p_mpjpe_mm"
ERRORS = (ERROR, "n_mpjpe_mm", "windows_p_mpjpe_mm", "windows_n_mpjpe_mm")
CRITERIA_LOSSES = ("prior", "distillation", "plausibility")


class Predictions(NamedTuple):
    """A split, lifted in three ways; root-centred, in the camera frame, in any unit."""

    one_way: Float[Tensor, "frame joint 3"]  # per-window predictions
    windows: Float[Tensor, "frame joint 3"]  # averaged with those of the mirrored view
    refined: Float[Tensor, "frame joint 3"]  # after sequence-level refinement


class Judge:
    """Errors and criteria of checkpoints on a split of a store."""

    def __init__(self, params: Mapping[str, Any], poses: Path, split: str) -> None:
        self.evaluation = section(EvaluationParams, "evaluation", params)
        self.device = resolve_device(self.evaluation.device)
        self.truth, self.seen = read_split(poses, split, "if any"), read_split(poses, split, "never")
        pretraining = PretrainParams.read(params)
        self.objective = _objective(pretraining, read_split(poses, "train"), self.device)
        self.clips = held_out_clips(self.seen, pretraining.window).to(self.device)

    def lifted(self, checkpoint: Checkpoint) -> Float[Tensor, "frame joint 3"]:
        """The split as evaluate lifts it."""
        return Lifter(checkpoint, self.device).lift(self.seen, **self.evaluation.lifting).joints

    def __call__(self, checkpoint: Checkpoint, half: Checkpoint, peer: Tensor | None) -> dict[str, float]:
        """A row of numbers: errors, which judge, and criteria, which read the 2D alone.

        `half` is from the middle of the same run; `peer` are the poses that a run with another seed ends with.
        """
        lifter, teacher = Lifter(checkpoint, self.device), Lifter(half, self.device)
        lifted = self._lifted(lifter)
        poses = Predictions(*(part.joints for part in lifted))
        errors: dict[str, float] = {}
        for prefix, predicted in (("", lifted[2]), ("windows_", lifted[1])):
            found = evaluate(self.truth, predicted, self.evaluation.scale, lifter.body_size).metrics
            errors |= {f"{prefix}{name}": float(found[name]) for name in ERRORS[:2]}
        own = objective_criteria(self.objective, lifter.model, lifter.model, self.clips)
        fixed = objective_criteria(self.objective, lifter.model, teacher.model, self.clips)
        row = {
            **errors,
            **pose_criteria(poses, self.seen),
            "plausibility": own["plausibility"],
            "prior of a fixed body": own["prior"],
            "distillation, teacher of half-time": fixed["distillation"],
        }
        if peer is not None:
            row["another seed's poses"] = float(pose_distance(poses.refined, peer, H36M))
        return row

    def _lifted(self, lifter: Lifter) -> tuple[LiftedSplit, LiftedSplit, LiftedSplit]:
        """In the ways of `Predictions`."""
        size = self.evaluation.batch_size
        return (
            lifter.lift(self.seen, size, flip=False, **PER_WINDOW),
            lifter.lift(self.seen, size, flip=True, **PER_WINDOW),
            lifter.lift(self.seen, size, flip=True, constant_bone_lengths=True, denoise=True),
        )


def _objective(params: PretrainParams, train: Split, device: torch.device) -> Lift:
    """The objective with the prior's first body, whatever training made of it; the same for all seeds."""
    weights = {**dict.fromkeys(LossParams.model_fields, 0.0), **dict.fromkeys(CRITERIA_LOSSES, 1.0)}
    context = ObjectiveContext(
        train=train,
        inputs=input_pipeline(train, params.transforms, params.occlusion, params.window),
        prior=PosePrior(params.prior).to(device),
        losses=LossParams(**weights),
        masking=None,
        batches=params.training.batches,
        epochs=params.training.epochs,
        constant_bone_lengths=params.training.constant_bone_lengths,
        seed=0,
        device=device,
    )
    return Lift.make(context)


def pose_distance(
    one: Float[Tensor, "*batch joint 3"], other: Float[Tensor, "*batch joint 3"], skeleton: Skeleton
) -> Float[Tensor, ""]:
    """The mean distance of joints, in thousandths of the sum of bone lengths."""
    distance: Tensor = torch.linalg.vector_norm(_sized(one, skeleton) - _sized(other, skeleton), dim=-1)
    return distance.mean()


def pose_criteria(poses: Predictions, split: Split) -> dict[str, float]:
    """What predictions of a split say by themselves."""
    skeleton, timing = H36M, split.timing
    sequences = timing.split(poses.windows)
    second_differences = [_sized(sequence, skeleton).diff(n=2, dim=0) for sequence in sequences]
    constancy = [metrics.bone_constancy_error(sequence, skeleton).mean() for sequence in sequences]
    found = {
        "mirrored view": pose_distance(poses.one_way, poses.windows, skeleton),
        "refinement": pose_distance(poses.windows, poses.refined, skeleton),
        "symmetry": metrics.bone_symmetry_error(poses.windows, skeleton).mean(),
        "constancy": torch.stack(constancy).mean(),
        "acceleration": torch.cat(second_differences).norm(dim=-1).mean(),
        "knees bent forward": knees_bent_forward(poses.windows, skeleton).mean(),
    }
    refined = timing.split(_sized(poses.refined, skeleton))
    views = [metrics.p_mpjpe(*pair) for pair in _simultaneous(refined, split.table)]
    if views:
        found["other cameras"] = torch.cat(views).mean()
    return {name: float(value) for name, value in found.items()}


def knees_bent_forward(pose: Float[Tensor, "*batch joint 3"], skeleton: Skeleton) -> Float[Tensor, "*batch side"]:
    """The sine of the angle by which each shank lies in front of its thigh's line, 0 where it does not; needs no scale.

    Poses are in a frame with x right, y down and z forward, in which thigh times the axis of the hips points forward.
    """
    across = pose[..., skeleton.index("left_hip"), :] - pose[..., skeleton.index("right_hip"), :]
    hips, knees, ankles = (
        pose[..., [skeleton.index(f"{side}_{joint}") for side in ("left", "right")], :]
        for joint in ("hip", "knee", "ankle")
    )
    forward = torch.linalg.cross(knees - hips, across[..., None, :].expand_as(hips))
    ahead: Tensor = torch.nn.functional.cosine_similarity(ankles - knees, forward, dim=-1)
    return ahead.clamp_min(0)


@torch.inference_mode()
def objective_criteria(
    objective: Lift, model: LifterModel, teacher: LifterModel, clips: WindowBatch
) -> dict[str, float]:
    """The terms of the objective on clips that a teacher lifts, and on draws of the objective's prior.

    As `lib.training.loop.validate`, in which the model is its own teacher and the prior the one that training moved.
    """
    generator = torch.Generator(clips.rays.device).manual_seed(0)
    epoch = objective.batches.prior_epochs + 1
    steps = objective.for_validation().steps(teacher, iter([clips]), epoch, generator)
    rows = [terms_of(model) for terms_of in islice(steps, VALIDATION_STEPS)]
    return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}


def _sized(pose: Tensor, skeleton: Skeleton) -> Tensor:
    return 1000 * pose / bone_lengths(pose, skeleton).sum(-1).clamp_min(1e-12)[..., None, None]


def _simultaneous(sequences: tuple[Tensor, ...], table: pd.DataFrame) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of sequences of one motion that two cameras recorded; only those of one length can be compared."""
    for _, motion in table.reset_index(drop=True).groupby(["subject", "action"], sort=False):
        for one, other in combinations(motion.index, 2):
            if len(sequences[one]) == len(sequences[other]):
                yield sequences[one], sequences[other]
