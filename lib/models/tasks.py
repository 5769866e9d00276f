"""What a network is trained for, by objective: lifting, or reconstruction of 2D or 3D windows."""

from lib.models.lifters import LiftingModel
from lib.models.networks import Architecture
from lib.models.reconstructors import ReconstructionModel

OBJECTIVES = ("lift", "mask_2d", "mask_3d", "supervised")
COORDS = {"mask_2d": 2, "mask_3d": 3}  # what an objective reconstructs; the others lift


def build_model(objective: str, architecture: Architecture, frames: int) -> LiftingModel | ReconstructionModel:
    """A new model for an objective (`training.objective`) and windows of `frames` frames."""
    if objective in COORDS:
        return ReconstructionModel(architecture, frames, COORDS[objective])
    return LiftingModel(architecture, frames)
