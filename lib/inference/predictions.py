"""The file of predicted poses, and the scale that gives them metres.

A lifter's poses are in units of the root's distance: their shape is known and their size is not.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.checked import check_frames
from lib.data.split import Split
from lib.data.store import opened, read_layout, write_layout
from lib.data.tables import read_table, write_table
from lib.inference.lifter import LiftedSplit
from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import H36M, Skeleton
from lib.runtime.errors import UserError
from lib.runtime.files import replacing


@dataclass(frozen=True)
class Predictions:
    """The content of a file of predictions."""

    table: pd.DataFrame  # a row a sequence, with lib.data.tables.COLUMNS
    predicted: Float[Tensor, "frame keypoint 3"]  # metres, root-centred, camera frame, in the data's layout
    joints: Float[Tensor, "frame joint 3"]  # the same people's joints of Human3.6M
    error: Float[Tensor, "frame keypoint"]  # metres: how far off the model expects each keypoint to be
    joint_error: Float[Tensor, "frame joint"]  # metres


def root_distance(positions: Float[Tensor, "*batch joint 3"], skeleton: Skeleton) -> Float[Tensor, "*batch"]:
    """Metres from the camera to the root, the unit of lifted poses; positions are in the camera frame."""
    distance: Tensor = torch.linalg.vector_norm(positions[..., list(skeleton.centre), :].mean(-2), dim=-1)
    return distance


def body_scale(joints: Float[Tensor, "*batch joint 3"], body_size: float) -> Float[Tensor, "*batch"]:
    """What brings poses in any unit to metres, if their bones add up to `body_size` metres."""
    return body_size / bone_lengths(joints, H36M).sum(-1).clamp_min(1e-12)


def write_predictions(path: Path, split: Split, predicted: LiftedSplit) -> None:
    """Write the poses of a whole split, as `writing_predictions` says."""
    with writing_predictions(path, split) as write:
        write(predicted)


@contextlib.contextmanager
def writing_predictions(path: Path, split: Split) -> Iterator[Callable[[LiftedSplit], None]]:
    """Write poses (metres, root-centred, camera frame) and the table of their sequences to an HDF5 file.

    Yields what writes those of some frames of the split after those of others. `predicted` are keypoints of the data's
    layout, `h36m` the joints of Human3.6M; `predicted_error` and `h36m_error` say how far off the model expects each to
    be, in metres.
    """
    total, written = len(split.keypoints), 0
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        write_layout(file, split.layout)
        file.attrs["h36m_joints"], file.attrs["h36m_parents"] = list(H36M.names), list(H36M.parents)

        def write(predicted: LiftedSplit) -> None:
            nonlocal written
            for name, part in (
                ("predicted", predicted.keypoints),
                ("h36m", predicted.joints),
                ("predicted_error", predicted.keypoint_error),
                ("h36m_error", predicted.joint_error),
            ):
                if name not in file:
                    file.create_dataset(name, (total, *part.shape[1:]), "f4")
                file[name][written : written + len(part)] = part.float().numpy()
            written += len(predicted.joints)

        yield write
        write_table(file, split.table)


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    with opened(path, "evaluate") as file:
        keypoints, joints = len(read_layout(file)), len(H36M)
        shapes = {
            "predicted": (keypoints, 3),
            "h36m": (joints, 3),
            "predicted_error": (keypoints,),
            "h36m_error": (joints,),
        }
        check_frames(file, shapes)
        parts = {name: torch.from_numpy(file[name][:]) for name in shapes}
        for name, part in parts.items():
            if not part.isfinite().all():
                raise UserError(f"{path}: {name} has numbers that are not finite: run `dvc repro -f evaluate`")
        return Predictions(read_table(file), *parts.values())
