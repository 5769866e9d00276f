"""Metrics of a split's predicted poses.

`Scale` says where metres come from, because MPJPE depends on it; N-MPJPE, P-MPJPE and the metrics of bones do not.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import pandas as pd
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from lib.data.split import Split, labelled_only
from lib.evaluation import metrics
from lib.inference.lifter import LiftedSplit
from lib.inference.predictions import body_scale, root_distance
from lib.pose.geometry import root_centred
from lib.pose.skeleton import H36M, Skeleton
from lib.runtime.errors import UserError
from lib.runtime.params import DeviceName, Section
from lib.sources.base import action_name

MM = 1000.0
CHUNK = 1 << 16  # frames a step: alignment needs about 2 kB a frame
ERRORS = ("mpjpe_mm", "n_mpjpe_mm", "p_mpjpe_mm")
PER_JOINT = ("joint", *ERRORS)
PER_ACTION = ("action", "frames", *ERRORS)
RELIABILITY = ("stated_mm", "mpjpe_mm", "points")
BINS = 12  # of stated errors, with as many points each

# root_depth: the true distance of the root from the camera, per frame: its depth in the crop, whose axis is its ray.
# body_size: the same total bone length for every frame, the prior's mean; needs no label.
Scale = Literal["root_depth", "body_size"]


class EvaluationParams(Section):
    """`evaluation`: how the test split is lifted, and which scale its predictions and MPJPE have."""

    elsewhere: ClassVar[frozenset[str]] = frozenset({"source", "keypoints", "subjects"})

    device: DeviceName
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)]  # frames
    flip: bool  # average with the prediction of the mirrored keypoints
    constant_bone_lengths: bool  # refine depths over each sequence
    depth_signs: bool  # towards the camera or away, decided for limbs over each sequence
    denoise: bool  # temporal (Wiener) smoothing, as much as the noise that is found
    scale: Scale  # a source without 3D always has body_size

    @property
    def lifting(self) -> dict[str, Any]:
        """The arguments of `lib.inference.lifter.Lifter.lift`."""
        return self.model_dump(include={"batch_size", "flip", "constant_bone_lengths", "depth_signs", "denoise"})


@dataclass(frozen=True)
class Evaluation:
    """What evaluate writes."""

    metrics: dict[str, int | float | str]  # flat, for DVC
    per_joint: pd.DataFrame  # PER_JOINT; no rows without 3D
    per_action: pd.DataFrame  # PER_ACTION; no rows without 3D
    reliability: pd.DataFrame  # RELIABILITY: mean stated and true errors of points alike; no rows without 3D
    predicted: LiftedSplit  # metres, root-centred, camera frame


def evaluate(split: Split, lifted: LiftedSplit, scale: Scale, body_size: float) -> Evaluation:
    """Compare predictions (units of the root's distance) with a split's 3D, if it has any: keypoints of its layout.

    Means are over all frames, those that show nobody among them, whose number stands in `undetected_frames`: a lifter
    puts poses there that lie between the others. `*_action_mean_mm` are means over actions of the means of their
    frames, as VideoPose3D reports. PCK and AUC are in percent, at the chosen scale, and where the layout
    has them also on the 14 keypoints of MPI-INF-3DHP's protocol; the metrics of bones are in percent and need no 3D.

    Errors are those of sequences that have 3D (`labelled_frames`); the predictions of others have the scale body_size.

    Raises:
        UserError: predictions are not finite.
    """
    predicted, size = lifted.keypoints, body_scale(lifted.joints, body_size)
    bad = int((~predicted.isfinite()).any(-1).any(-1).sum())
    if bad:
        raise UserError(
            f"the model's predictions are not finite in {bad} of {len(predicted)} frames: its training diverged; "
            "pretrain again with a lower learning rate"
        )
    skeleton = split.skeleton
    by_body_size = predicted * size[:, None, None]
    flat: dict[str, int | float | str] = {"frames": len(predicted), "undetected_frames": int((~split.detected).sum())}
    bones = _bone_metrics(split, lifted.joints)
    if split.positions is None:
        joints, actions, bins = (pd.DataFrame(columns=pd.Index(c)) for c in (PER_JOINT, PER_ACTION, RELIABILITY))
        flat |= {"labelled_frames": 0, "stated_error_mm": _mean(lifted.keypoint_error * size[:, None]) * MM}
        return Evaluation(flat | {"mpjpe_scale": "body_size"} | bones, joints, actions, bins, lifted.scaled(size))
    known, labelled = labelled_only(split), split.labelled
    assert known.positions is not None
    target, sized = root_centred(known.positions, skeleton), by_body_size[labelled]
    if scale == "root_depth":
        size[labelled] = root_distance(known.positions, skeleton)
    metres = predicted[labelled] * size[labelled, None, None]
    flat["labelled_frames"] = len(target)
    errors = dict(zip(ERRORS, _errors(metres, target), strict=True))
    first = errors["mpjpe_mm"]
    per_action = _per_action(known.table, errors)
    flat |= {name: _mean(error) for name, error in errors.items()}
    flat |= {f"{name[:-3]}_action_mean_mm": float(per_action[name].mean()) for name in ERRORS}
    flat |= {"mpjpe_scale": scale, "mpjpe_body_size_mm": _mean(metrics.mpjpe(sized * MM, target * MM))}
    flat |= {"pck_150": _mean(metrics.pck(first)), "auc": _mean(metrics.auc(first))}
    if set(metrics.PCK_KEYPOINTS) <= set(split.layout.keypoints):
        protocol = first[:, [split.layout.keypoints.index(name) for name in metrics.PCK_KEYPOINTS]]
        flat |= {"pck_150_14": _mean(metrics.pck(protocol)), "auc_14": _mean(metrics.auc(protocol))}
    velocity = [metrics.mpjve(metres[part] * MM, target[part] * MM, rate) for part, rate in _rates(known)]
    if any(len(part) for part in velocity):  # a mean of single frames has no velocity
        flat["mpjve_mm_per_s"] = _mean(torch.cat(velocity))
    others = [joint for joint in range(len(skeleton)) if skeleton.centre != (joint,)]  # the root is exact by centring
    stated = (lifted.keypoint_error[labelled] * size[labelled, None])[:, others] * MM
    flat |= {"stated_error_mm": _mean(stated), "error_over_stated": _mean(first[:, others]) / _mean(stated)}
    tables = _per_joint(errors, skeleton), per_action, reliability(stated, first[:, others])
    return Evaluation(flat | bones, *tables, lifted.scaled(size))


def mean_pose_baseline(train: Split, test: Split) -> dict[str, float]:
    """The errors on `test` of one constant pose: the mean of the training split's root-centred, camera-frame poses.

    It reads training 3D, so it is a floor that any lifter must beat, for tables; no training uses it.
    """
    if train.positions is None or test.positions is None:
        raise UserError("the mean-pose baseline needs 3D: this source has keypoints only")
    target = root_centred(test.positions[test.labelled], test.skeleton)
    mean = root_centred(train.positions[train.labelled], train.skeleton).mean(0, dtype=torch.float64).float()
    errors = _errors(mean.expand_as(target), target)
    return {name: _mean(error) for name, error in zip(ERRORS, errors, strict=True)}


def _errors(predicted: Tensor, target: Tensor) -> list[Float[Tensor, "frame joint"]]:
    """MPJPE, N-MPJPE and P-MPJPE per frame and joint in mm, of poses in metres, in chunks that fit the memory."""
    pairs = zip(torch.split(predicted * MM, CHUNK), torch.split(target * MM, CHUNK), strict=True)
    chunks = [(metrics.mpjpe(p, t), metrics.n_mpjpe(p, t), metrics.p_mpjpe(p, t)) for p, t in pairs]
    return [torch.cat(parts) for parts in zip(*chunks, strict=True)]


def _bone_metrics(split: Split, joints: Tensor) -> dict[str, int | float | str]:
    sequences = _sequences(split.table)
    constancy = [_mean(metrics.bone_constancy_error(joints[frames], H36M)) for frames, _ in sequences]
    return {
        "bone_symmetry_error": _mean(metrics.bone_symmetry_error(joints, H36M)),
        "bone_constancy_error": sum(constancy) / len(constancy),
    }


def reliability(stated: Float[Tensor, "frame joint"], error: Float[Tensor, "frame joint"]) -> pd.DataFrame:
    """RELIABILITY: points in bins by the error that the model states of them, and what their error is."""
    order = stated.flatten().argsort()
    parts = zip(*(part.flatten()[order].double().tensor_split(BINS) for part in (stated, error)), strict=True)
    rows = [(float(one.mean()), float(other.mean()), len(one)) for one, other in parts if len(one)]
    return pd.DataFrame(rows, columns=pd.Index(RELIABILITY))


def _per_joint(errors: dict[str, Tensor], skeleton: Skeleton) -> pd.DataFrame:
    columns = {name: error.mean(0, dtype=torch.float64).numpy() for name, error in errors.items()}
    return pd.DataFrame({"joint": skeleton.names, **columns})


def _per_action(table: pd.DataFrame, errors: dict[str, Tensor]) -> pd.DataFrame:
    """The mean over all frames of each action, whatever subject, camera and take they are from."""
    frames = table.loc[table.index.repeat(table["length"]), "action"].map(action_name).to_numpy()
    means = {name: error.mean(-1, dtype=torch.float64).numpy() for name, error in errors.items()}
    groups = pd.DataFrame({"action": frames, "frames": 1, **means}).groupby("action", sort=True)
    return groups.agg({"frames": "sum", **dict.fromkeys(ERRORS, "mean")}).reset_index()


def _sequences(table: pd.DataFrame) -> list[tuple[slice, float]]:
    """The frames and the frame rate of every sequence."""
    rows = zip(table["start"], table["length"], table["fps"], strict=True)
    return [(slice(int(start), int(start + length)), float(fps)) for start, length, fps in rows]


def _rates(split: Split) -> list[tuple[slice, float | Tensor]]:
    """The frames of every sequence, and their rate: one number, or with times one for each two in a row."""
    sequences = _sequences(split.table)
    if split.times is None:
        return [(frames, fps) for frames, fps in sequences]
    return [(frames, split.times[frames].diff().reciprocal().float()) for frames, _ in sequences]


def _mean(values: Tensor) -> float:
    return float(values.mean(dtype=torch.float64))
