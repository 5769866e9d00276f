"""Checkpoints that rebuild their model by themselves, whatever params.yaml says today.

Plain tensors, strings and numbers, so that they load with weights_only=True: opening one runs no code.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.models.lifters import LiftingModel
from lib.models.networks import Architecture
from lib.models.reconstructors import ReconstructionModel
from lib.models.tasks import COORDS, Task, build_model
from lib.pose.crops import Normalization
from lib.pose.layouts import Layout
from lib.runtime.errors import UserError
from lib.runtime.files import replacing

FORMAT = 6


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and what is needed to use it."""

    objectives: tuple[str, ...]  # what it was trained with, one after the other
    task: Task  # what the model is for
    model: dict[str, Any]  # as `lib.models.networks.Architecture` dumps it
    frames: int  # of a window
    interval_seconds: float  # from one frame of a window to the next
    normalization: Normalization
    noise_correlation_seconds: float  # for how long the 2D's noise lasts
    body_size: float  # metres: total bone length of the prior's mean body
    masking: dict[str, Any]  # the `masking` section of params.yaml
    layouts: tuple[Layout, ...]  # that the model knows, in its order
    layout: Layout  # of the data that it was trained on, one of them
    weights: dict[str, Tensor]
    training: dict[str, Any]  # the step it is from, and its validation loss

    @property
    def lifts(self) -> bool:
        """Whether the model lifts; if not, it reconstructs windows of `coords` coordinates."""
        return self.task == "lifting"

    @property
    def coords(self) -> int:
        """The coordinates of the points that the model reads."""
        return COORDS[self.task]

    def check_layout(self, layout: Layout) -> None:
        """Refuse data in a layout that the model does not know, or does not reconstruct; raises UserError."""
        if layout not in (self.layouts if self.lifts else (self.layout,)):
            raise UserError(
                f"the checkpoint does not know the layout {layout.name!r} of the data ({', '.join(layout.keypoints)}): "
                "pretrain on this data again"
            )

    def build(self) -> LiftingModel | ReconstructionModel:
        """The model with its weights, on the CPU, in evaluation mode."""
        model = self.build_untrained()
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise UserError(f"the checkpoint does not fit its model: {' '.join(str(error).split())[:200]}") from None
        return model

    def build_untrained(self) -> LiftingModel | ReconstructionModel:
        """The same model with new random weights."""
        return build_model(self.task, Architecture.load(self.model), self.layout, self.frames, self.layouts).eval()


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    parts = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}
    content = {"format": FORMAT, **parts, "layouts": [layout.dump() for layout in checkpoint.layouts]}
    content["layout"] = checkpoint.layout.dump()
    with replacing(path) as temporary:
        torch.save(content, temporary)


def load(path: Path, made_by: str = "pretrain") -> Checkpoint:
    """Read a checkpoint that a stage makes.

    Raises:
        UserError: the file is missing, or is no checkpoint of this version of the project.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: run `dvc repro {made_by}` first")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip and runtime errors, depending on where a file is damaged
        raise UserError(f"{path} is no checkpoint, or a damaged one ({type(error).__name__})") from None
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise UserError(f"{path} was not written by this version of the project: run `dvc repro {made_by}` again")
    if content.get("task") not in COORDS:
        raise UserError(f"{path} is for the unknown task {content.get('task')!r}: run `dvc repro {made_by}` again")
    try:
        layouts = tuple(map(Layout.load, content["layouts"]))
        checkpoint = Checkpoint(**{**content, "layouts": layouts, "layout": Layout.load(content["layout"])})
    except (KeyError, TypeError):
        raise UserError(f"{path} is incomplete: run `dvc repro {made_by}` again") from None
    try:
        Architecture.load(checkpoint.model)
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{path} holds the network {checkpoint.model}, which this version of the project does not have: "
            f"run `dvc repro {made_by}` again, or go back to the version that wrote it"
        ) from None
    return checkpoint
