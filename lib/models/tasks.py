"""What a model is for: lifting, or reconstruction of 2D or 3D windows."""

from collections.abc import Sequence
from typing import Literal

from lib.models.lifters import LiftingModel
from lib.models.networks import Architecture
from lib.models.reconstructors import ReconstructionModel
from lib.pose.layout import Layout

Task = Literal["lifting", "reconstruction_2d", "reconstruction_3d"]
COORDS: dict[Task, int] = {"lifting": 2, "reconstruction_2d": 2, "reconstruction_3d": 3}  # of the points it reads


def build_model(
    task: Task, architecture: Architecture, layout: Layout, frames: int, layouts: Sequence[Layout]
) -> LiftingModel | ReconstructionModel:
    """A new model for a task, data in one of the layouts and windows of `frames` frames."""
    if task == "lifting":
        return LiftingModel(architecture, frames, layouts)
    return ReconstructionModel(architecture, layout, frames, COORDS[task], layouts)
