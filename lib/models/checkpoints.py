"""Checkpoints that rebuild their model by themselves, whatever params.yaml says today.

Plain tensors, strings and numbers, so that they load with weights_only=True: opening one runs no code. A file whose
name ends in .gz is a small one: its weights are in bfloat16, and it is compressed.
"""

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.models.lifters import LiftingModel
from lib.models.networks import Architecture
from lib.models.reconstructors import ReconstructionModel
from lib.models.tasks import COORDS, Task, build_model
from lib.models.tokens import LAYOUT_EMBEDDING
from lib.pose.crops import Normalization
from lib.pose.layouts import Layout
from lib.runtime.errors import UserError
from lib.runtime.files import replacing

FORMAT = 6
SMALL = ".gz"
LARGEST = 1 << 30  # bytes that a small file may unpack to


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
    small = path.suffix == SMALL
    if small:
        content["weights"] = {name: _halved(value) for name, value in checkpoint.weights.items()}
    plain = io.BytesIO()  # of a path, torch would write the name into the file, and bytes would differ
    torch.save(content, plain)
    with replacing(path, durable=True) as temporary:
        temporary.write_bytes(gzip.compress(plain.getvalue(), mtime=0) if small else plain.getvalue())


def load(path: Path, made_by: str = "pretrain") -> Checkpoint:
    """Read a checkpoint that a stage makes.

    Raises:
        UserError: the file is missing, or is no checkpoint of this version of the project.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: run `dvc repro {made_by}` first")
    try:
        file = _unpacked(path) if path.suffix == SMALL else path
        content = torch.load(file, map_location="cpu", weights_only=True)
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
    for name, value in checkpoint.weights.items():
        checkpoint.weights[name] = value.float() if value.dtype == torch.bfloat16 else value
    try:
        Architecture.load(checkpoint.model)
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{path} holds the network {checkpoint.model}, which this version of the project does not have: "
            f"run `dvc repro {made_by}` again, or go back to the version that wrote it"
        ) from None
    return checkpoint


def start_from(checkpoint: Checkpoint, model: LiftingModel | ReconstructionModel, layouts: Sequence[Layout]) -> None:
    """Give a new model, which knows some layouts, a checkpoint's weights; of layouts new to it, the weights stay new.

    Raises:
        UserError: the model is another than the checkpoint's.
    """
    own, weights = model.state_dict(), dict(checkpoint.weights)
    for name in [name for name in weights if name.endswith(LAYOUT_EMBEDDING)]:
        rows = own[name].clone()
        for row, layout in enumerate(layouts):
            if layout in checkpoint.layouts:
                rows[row] = weights[name][checkpoint.layouts.index(layout)]
        weights[name] = rows
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the checkpoint does not fit the model, whose size and window are others: {reason}") from None


def _halved(value: Tensor) -> Tensor:
    return value.bfloat16() if value.is_floating_point() else value


def _unpacked(path: Path) -> io.BytesIO:
    with gzip.open(path) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError("it unpacks to more than a checkpoint can be")
    return io.BytesIO(content)
