"""The models there are, by name, and how their output is read."""

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import model_validator
from torch import Tensor

from lib.data.transforms import CropBatch, mirror
from lib.geometry import unproject_crop
from lib.models.transformer import Lifted, LifterModel, TransformerLifter, TransformerParams
from lib.params import Section
from lib.skeleton import H36M

Size = Literal["small", "base", "large"]


class ModelParams(Section):
    """`model`: which architecture, and the section of each size of each."""

    name: Literal["transformer"]
    size: Size
    transformer: dict[Size, TransformerParams]

    @model_validator(mode="after")
    def _size_is_there(self) -> "ModelParams":
        if self.size not in getattr(self, self.name):
            raise ValueError(f"{self.name} has no size {self.size}")
        return self


MODELS = {"transformer": TransformerLifter}


def build_model(params: ModelParams, frames: int) -> TransformerLifter:
    """A new model of the chosen architecture for windows of `frames` frames."""
    return MODELS[params.name](getattr(params, params.name)[params.size], frames)


def corrected(now: CropBatch, lifted: Lifted) -> Float[Tensor, "batch joint 2"]:
    """The keypoints that a lifted pose projects to: what was seen in its frame plus the model's correction.

    A hidden joint (confidence 0) was seen nowhere: the correction, from the root, is its place.
    """
    seen = now.confidence[..., None] > 0
    return torch.where(seen, now.keypoints, 0.0) + lifted.correction


def lift_crops(model: LifterModel, crops: CropBatch) -> tuple[Float[Tensor, "batch joint 3"], Float[Tensor, " batch"]]:
    """Poses of windows' middle frames and the camera's elevation.

    Poses are root-centred, in the crop frame, in units of root depth, from the corrected keypoints.
    """
    lifted, now = model(crops.keypoints, crops.confidence, crops.scale), crops.middle()
    return unproject_crop(corrected(now, lifted), now.scale, lifted.depth), lifted.elevation


def lift_both_ways(
    model: LifterModel, crops: CropBatch
) -> tuple[Float[Tensor, "batch joint 3"], Float[Tensor, " batch"]]:
    """What `lift_crops` says, averaged with what it says about the mirrored view."""
    pose, elevation = lift_crops(model, crops)
    mirrored, same = lift_crops(model, mirror(crops))
    order = torch.tensor(H36M.mirror, device=pose.device)
    back = mirrored[..., order, :] * pose.new_tensor([-1.0, 1.0, 1.0])
    return (pose + back) / 2, (elevation + same) / 2
