"""Metrics of a split's predicted poses, and the file of predictions.

A lifter's poses are in units of root depth: their shape is known and their size is not. `Scale` says where metres come
from, because MPJPE depends on it; N-MPJPE, P-MPJPE and the metrics of bones do not.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import h5py
import pandas as pd
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from lib import metrics
from lib.data import store
from lib.data.sequences import action_name
from lib.errors import UserError
from lib.files import replacing
from lib.geometry import bone_lengths
from lib.params import Section
from lib.skeleton import H36M

MM = 1000.0
CHUNK = 1 << 16  # frames a step: alignment needs about 2 kB a frame
ERRORS = ("mpjpe_mm", "n_mpjpe_mm", "p_mpjpe_mm")
PER_JOINT = ("joint", *ERRORS)
PER_ACTION = ("action", "frames", *ERRORS)

# root_depth: the true distance of the root from the camera, per frame: its depth in the crop, whose axis is its ray.
# body_size: the same total bone length for every frame, the prior's mean; needs no label.
Scale = Literal["root_depth", "body_size"]


class EvaluationParams(Section):
    """`evaluation`: how the test split is lifted, and which scale its predictions and MPJPE have."""

    device: str  # auto, cpu, cuda, ...
    batch_size: Annotated[int, Field(ge=1)]  # frames
    flip: bool  # average with the prediction of the mirrored keypoints
    steady: bool  # bones keep the lengths that they typically have in a sequence
    smooth: bool  # what looks like noise of the poses over time is taken away
    scale: Scale  # a source without 3D always has body_size

    @property
    def lifting(self) -> dict[str, Any]:
        """The arguments of `lib.inference.Lifter.lift`."""
        return self.model_dump(include={"batch_size", "flip", "steady", "smooth"})


@dataclass(frozen=True)
class Evaluation:
    """What evaluate writes."""

    metrics: dict[str, int | float | str]  # flat, for DVC
    per_joint: pd.DataFrame  # PER_JOINT; no rows without 3D
    per_action: pd.DataFrame  # PER_ACTION; no rows without 3D
    predicted: Float[Tensor, "frame joint 3"]  # metres, root-centred, camera frame


@dataclass(frozen=True)
class Predictions:
    """The content of a file of predictions."""

    table: pd.DataFrame  # a row a sequence, with store.COLUMNS
    predicted: Float[Tensor, "frame joint 3"]  # metres, root-centred, camera frame


def read_split(path: Path, split: str) -> store.Split:
    """Read a split of the store, with the 3D positions that there are; raises UserError as the store does."""
    return store.read_split(path, split, labels=store.has_labels(path, split), unlabelled=True)


def root_centred(positions: Float[Tensor, "*batch joint 3"]) -> Float[Tensor, "*batch joint 3"]:
    """Positions relative to the root."""
    return positions - positions[..., H36M.root, None, :]


def scale_by_root_depth(
    predicted: Float[Tensor, "*batch joint 3"], positions: Float[Tensor, "*batch joint 3"]
) -> Float[Tensor, "*batch joint 3"]:
    """Poses in units of root depth -> metres, by the true distance of the root (metres, camera frame)."""
    distance: Tensor = torch.linalg.vector_norm(positions[..., H36M.root, :], dim=-1)
    return predicted * distance[..., None, None]


def scale_by_body_size(predicted: Float[Tensor, "*batch joint 3"], body_size: float) -> Float[Tensor, "*batch joint 3"]:
    """Poses in any unit -> metres, so that the bones of each add up to `body_size` metres."""
    total = bone_lengths(predicted).sum(-1).clamp_min(1e-12)
    return predicted * (body_size / total)[..., None, None]


def evaluate(
    split: store.Split, predicted: Float[Tensor, "frame joint 3"], scale: Scale, body_size: float
) -> Evaluation:
    """Compare predictions (units of root depth, root-centred, camera frame) with a split's 3D, if it has any.

    Means are over all frames, those that show nobody among them, whose number stands in `undetected_frames`: a lifter
    puts poses there that lie between the others. `*_action_mean_mm` are means over actions of the means of their
    frames, as VideoPose3D reports. PCK and AUC are in percent, at the chosen scale; the metrics of bones are in percent
    and need no 3D.

    Errors are those of sequences that have 3D (`labelled_frames`); the predictions of others have the scale body_size.

    Raises:
        UserError: predictions are not finite.
    """
    bad = int((~predicted.isfinite()).any(-1).any(-1).sum())
    if bad:
        raise UserError(
            f"the model's predictions are not finite in {bad} of {len(predicted)} frames: its training diverged; "
            "pretrain again with a lower learning rate"
        )
    by_body_size = scale_by_body_size(predicted, body_size)
    flat: dict[str, int | float | str] = {"frames": len(predicted), "undetected_frames": int((~split.shown).sum())}
    bones = _bone_metrics(split.table, predicted)
    if split.positions is None:
        no_joints, no_actions = (pd.DataFrame(columns=pd.Index(columns)) for columns in (PER_JOINT, PER_ACTION))
        return Evaluation(flat | {"mpjpe_scale": "body_size"} | bones, no_joints, no_actions, by_body_size)
    known, labelled = store.labelled_only(split), split.labelled
    assert known.positions is not None
    target, sized = root_centred(known.positions), by_body_size[labelled]
    metres = scale_by_root_depth(predicted[labelled], known.positions) if scale == "root_depth" else sized
    flat["labelled_frames"] = len(target)
    errors = dict(zip(ERRORS, _errors(metres, target), strict=True))
    first = errors["mpjpe_mm"]
    per_action = _per_action(known.table, errors)
    flat |= {name: _mean(error) for name, error in errors.items()}
    flat |= {f"{name[:-3]}_action_mean_mm": float(per_action[name].mean()) for name in ERRORS}
    flat |= {"mpjpe_scale": scale, "mpjpe_body_size_mm": _mean(metrics.mpjpe(sized * MM, target * MM))}
    flat |= {"pck_150": _mean(metrics.pck(first)), "auc": _mean(metrics.auc(first))}
    velocity = [metrics.mpjve(metres[frames] * MM, target[frames] * MM, fps) for frames, fps in _sequences(known.table)]
    if any(len(part) for part in velocity):  # a mean of single frames has no velocity
        flat["mpjve_mm_per_s"] = _mean(torch.cat(velocity))
    by_body_size[labelled] = metres
    return Evaluation(flat | bones, _per_joint(errors), per_action, by_body_size)


def mean_pose_baseline(train: store.Split, test: store.Split) -> dict[str, float]:
    """The errors on `test` of one constant pose: the mean of the training split's root-centred, camera-frame poses.

    It reads training 3D, so it is a floor that any lifter must beat, for tables; no training uses it.
    """
    if train.positions is None or test.positions is None:
        raise UserError("the mean-pose baseline needs 3D: this source has keypoints only")
    target = root_centred(test.positions[test.labelled])
    mean = root_centred(train.positions[train.labelled]).mean(0, dtype=torch.float64).float()
    errors = _errors(mean.expand_as(target), target)
    return {name: _mean(error) for name, error in zip(ERRORS, errors, strict=True)}


def write_predictions(path: Path, split: store.Split, predicted: Float[Tensor, "frame joint 3"]) -> None:
    """Write poses (metres, root-centred, camera frame) and the table of their sequences to an HDF5 file."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("predicted", data=predicted.float().numpy())
        for name in store.COLUMNS:
            column = split.table[name]
            text = column.dtype.kind == "O"
            file.create_dataset(name, data=column.to_numpy(), dtype=h5py.string_dtype() if text else None)


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    with store.opened(path, "evaluate") as file:
        columns = {
            name: file[name].asstr()[:] if file[name].dtype.kind == "O" else file[name][:] for name in store.COLUMNS
        }
        return Predictions(pd.DataFrame(columns), torch.from_numpy(file["predicted"][:]))


def _errors(predicted: Tensor, target: Tensor) -> list[Float[Tensor, "frame joint"]]:
    """MPJPE, N-MPJPE and P-MPJPE per frame and joint in mm, of poses in metres, in chunks that fit the memory."""
    pairs = zip(torch.split(predicted * MM, CHUNK), torch.split(target * MM, CHUNK), strict=True)
    chunks = [(metrics.mpjpe(p, t), metrics.n_mpjpe(p, t), metrics.p_mpjpe(p, t)) for p, t in pairs]
    return [torch.cat(parts) for parts in zip(*chunks, strict=True)]


def _bone_metrics(table: pd.DataFrame, predicted: Tensor) -> dict[str, int | float | str]:
    constancy = [_mean(metrics.bone_constancy_error(predicted[frames])) for frames, _ in _sequences(table)]
    return {
        "bone_symmetry_error": _mean(metrics.bone_symmetry_error(predicted)),
        "bone_constancy_error": sum(constancy) / len(constancy),
    }


def _per_joint(errors: dict[str, Tensor]) -> pd.DataFrame:
    columns = {name: error.mean(0, dtype=torch.float64).numpy() for name, error in errors.items()}
    return pd.DataFrame({"joint": H36M.names, **columns})


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


def _mean(values: Tensor) -> float:
    return float(values.mean(dtype=torch.float64))
