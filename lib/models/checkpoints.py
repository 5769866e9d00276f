"""Checkpoints that rebuild their model by themselves, whatever params.yaml says today.

Plain tensors, strings and numbers, so that they load with weights_only=True: opening one runs no code. A file whose
name ends in .gz is a small one: its weights are in bfloat16, and it is compressed.
"""

import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from lib.data.masking import MaskingParams
from lib.models.lifters import LiftingModel
from lib.models.networks import Architecture
from lib.models.reconstructors import ReconstructionModel
from lib.models.tasks import COORDS, Task, build_model
from lib.models.tokens import LAYOUT_EMBEDDING
from lib.pose.crops import Normalization
from lib.pose.layout import Layout
from lib.runtime import plain_tensors
from lib.runtime.bounds import one_line
from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.runtime.params import Section

FORMAT = 6
SMALL = plain_tensors.PACKED
MOST_LAYOUTS = 100


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


class _Head(Section):
    """What a file must say of its model beside the network, the layouts and the weights."""

    objectives: tuple[str, ...]
    task: Task
    frames: Annotated[int, Field(ge=1, le=512)]
    interval_seconds: Annotated[float, Field(gt=0, le=10)]
    normalization: Normalization
    noise_correlation_seconds: Annotated[float, Field(ge=0, le=100)]
    body_size: Annotated[float, Field(gt=0, le=1000)]
    model: dict[str, Any]
    masking: MaskingParams
    training: dict[str, Any]


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


def _maker(name: str) -> str:
    """The command that makes a checkpoint."""
    return "make generalist" if name == "generalist" else f"dvc repro {name}"


def load(path: Path, made_by: str = "pretrain") -> Checkpoint:
    """Read a checkpoint that a stage makes.

    Raises:
        UserError: the file is missing, or is no checkpoint of this version of the project.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: run `{_maker(made_by)}` first")
    again = f"copy it again, or run `{_maker(made_by)}` if it is what that makes"
    try:
        content = plain_tensors.load(path)
    except Exception as error:  # torch raises pickle, zip and runtime errors, depending on where a file is damaged
        raise UserError(
            f"{path} is no checkpoint, or a damaged one ({plain_tensors.what_is_wrong(error)}): {again}"
        ) from None
    version = content.pop("format", None) if isinstance(content, dict) else None
    if not isinstance(version, int) or version != FORMAT:
        raise UserError(f"{path} was not written by this version of the project: {again}")
    if content.get("task") not in tuple(COORDS):
        task = one_line(repr(content.get("task")))
        raise UserError(f"{path} is for the unknown task {task}: {again}")
    try:
        head = {name: content[name] for name in _Head.model_fields}
        _Head.model_validate({**head, "masking": MaskingParams.model_validate_json(json.dumps(head["masking"]))})
        if not all(isinstance(value, Tensor) for value in {**content["weights"]}.values()):
            raise ValueError("weights that are no tensors by name")
        layouts = tuple(map(Layout.load, content["layouts"][:MOST_LAYOUTS]))
        checkpoint = Checkpoint(**{**content, "layouts": layouts, "layout": Layout.load(content["layout"])})
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        what = one_line(f"{key}: {error.errors()[0]['msg']}")
        raise UserError(f"{path} is damaged ({what}): {again}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{path} is incomplete or damaged ({what}): {again}") from None
    try:
        Architecture.load(checkpoint.model)
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{path} holds the network {one_line(str(checkpoint.model))}, which this version of the project does not "
            f"have: {again}, or go back to the version that wrote it"
        ) from None
    if problem := _misfit(checkpoint):
        raise UserError(f"{path} does not fit its model ({problem}): {again}")
    weights = {
        name: value.float() if value.dtype == torch.bfloat16 else value for name, value in checkpoint.weights.items()
    }
    return replace(checkpoint, weights=weights)


def _misfit(checkpoint: Checkpoint) -> str | None:
    """What is wrong with the weights; the model is made without memory, for it may claim any size."""
    weights = checkpoint.weights
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        own = checkpoint.build_untrained().state_dict()
    if set(own) != set(weights):
        missing, unknown = sorted(set(own) - set(weights)), sorted(map(str, set(weights) - set(own)))
        return one_line(f"{len(missing)} tensors are missing and {len(unknown)} unknown: {(*missing, *unknown)[0]}")
    for name, value in own.items():
        given = weights[name]
        if given.shape != value.shape or given.is_floating_point() != value.is_floating_point():
            return f"{name} is {one_line(str(tuple(given.shape)))} and must be {tuple(value.shape)}"
        if not given.isfinite().all():
            return f"{name} has numbers that are not finite"
    return None


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
