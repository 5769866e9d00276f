"""The models there are, by name, and how their output is read."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.transforms import CropBatch
from lib.geometry import unproject_crop
from lib.models.transformer import Lifted, LifterModel, TransformerLifter, TransformerParams
from lib.params import Section


class ModelParams(Section):
    """`model`: which architecture, and the section of each."""

    name: Literal["transformer"]
    transformer: TransformerParams


MODELS = {"transformer": TransformerLifter}


def build_model(params: ModelParams, frames: int) -> TransformerLifter:
    """A new model of the chosen architecture for windows of `frames` frames."""
    return MODELS[params.name](getattr(params, params.name), frames)


def corrected(crops: CropBatch, lifted: Lifted) -> Float[Tensor, "batch frame joint 2"]:
    """The keypoints that a lifted pose projects to: what was seen plus the model's correction.

    A hidden joint (confidence 0) was seen nowhere: the correction, from the root, is its place.
    """
    seen = crops.confidence[..., None] > 0
    return torch.where(seen, crops.keypoints, 0.0) + lifted.correction


def lift_crops(model: LifterModel, crops: CropBatch) -> Float[Tensor, "batch frame joint 3"]:
    """Poses in the crop frame, root-centred, in units of root depth, from the corrected keypoints."""
    lifted = model(crops.keypoints, crops.confidence, crops.scale)
    return unproject_crop(corrected(crops, lifted), crops.scale, lifted.depth)
