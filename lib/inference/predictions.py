"""The file of predicted poses, and the scale that gives them metres.

A lifter's poses are in units of root depth: their shape is known and their size is not.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.store import Split, opened, write_layout
from lib.data.tables import read_table, write_table
from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import Skeleton
from lib.runtime.files import replacing


@dataclass(frozen=True)
class Predictions:
    """The content of a file of predictions."""

    table: pd.DataFrame  # a row a sequence, with lib.data.tables.COLUMNS
    predicted: Float[Tensor, "frame joint 3"]  # metres, root-centred, camera frame


def scale_by_root_depth(
    predicted: Float[Tensor, "*batch joint 3"], positions: Float[Tensor, "*batch joint 3"], skeleton: Skeleton
) -> Float[Tensor, "*batch joint 3"]:
    """Poses in units of root depth -> metres, by the true distance of the root (metres, camera frame)."""
    distance: Tensor = torch.linalg.vector_norm(positions[..., list(skeleton.centre), :].mean(-2), dim=-1)
    return predicted * distance[..., None, None]


def scale_by_body_size(
    predicted: Float[Tensor, "*batch joint 3"], body_size: float, skeleton: Skeleton
) -> Float[Tensor, "*batch joint 3"]:
    """Poses in any unit -> metres, so that the bones of each add up to `body_size` metres."""
    total = bone_lengths(predicted, skeleton).sum(-1).clamp_min(1e-12)
    return predicted * (body_size / total)[..., None, None]


def write_predictions(path: Path, split: Split, predicted: Float[Tensor, "frame joint 3"]) -> None:
    """Write poses (metres, root-centred, camera frame) and the table of their sequences to an HDF5 file."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        write_layout(file, split.layout)
        file.create_dataset("predicted", data=predicted.float().numpy())
        write_table(file, split.table)


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    with opened(path, "evaluate") as file:
        return Predictions(read_table(file), torch.from_numpy(file["predicted"][:]))
