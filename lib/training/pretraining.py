"""Pre-training, put together: data, prior, model, objective, device and logs, from params to checkpoints."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lib.data.masking import MaskingParams
from lib.data.occlusion import OcclusionParams
from lib.data.store import read_split
from lib.data.transforms import InputPipeline, TransformParams, input_pipeline
from lib.data.windows import LoaderParams, WindowBatch, WindowParams, Windows, training_loader
from lib.models.checkpoints import Checkpoint, start_from
from lib.models.lifters import LiftingModel
from lib.models.networks import Architecture
from lib.models.tasks import build_model
from lib.objectives.base import ObjectiveContext
from lib.objectives.catalog import OBJECTIVES
from lib.objectives.losses import LossParams
from lib.objectives.views import DRAWS
from lib.pose.layout import Layout
from lib.pose.layouts import known_layouts
from lib.prior.sampler import PosePrior, PriorParams, PriorSample
from lib.runtime.console import Console
from lib.runtime.hardware import Hardware
from lib.runtime.params import Section, section
from lib.runtime.tensorboard import Board
from lib.training.loop import RunContext, TrainingSetup, fit, held_out_clips
from lib.training.monitor import Monitor
from lib.training.params import TrainingParams
from lib.training.shards import ShardSetup, shard_seed, shards_of
from lib.training.state import OfferState, Progress, TrainingState

LOADER_BATCHES = 50  # gathered once before training, to measure the loader alone
PRIOR_DRAWS = 4  # drawn once before training, to measure the prior alone
PLACES = {  # of the sections in params.yaml
    "window": "data.window",
    "transforms": "data.transforms",
    "occlusion": "data.occlusion",
    "loader": "data.loader",
    **{name: name for name in ("prior", "losses", "masking", "training")},
}


class SeedParams(Section):
    """The top level of params.yaml, of which this is the one plain number."""

    elsewhere: ClassVar[frozenset[str]] = frozenset(
        {"data", "prior", "model", "losses", "masking", "training", "finetune", "evaluation", "visualize"}
    )

    seed: Annotated[int, Field(ge=0, lt=1 << 63)]


@dataclass(frozen=True)
class PretrainParams:
    """The sections of params.yaml that determine a pre-trained model."""

    seed: int
    window: WindowParams
    transforms: TransformParams
    occlusion: OcclusionParams
    loader: LoaderParams
    prior: PriorParams
    model: Architecture
    losses: LossParams
    masking: MaskingParams
    training: TrainingParams

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> "PretrainParams":
        """Validate all sections."""
        return cls(
            seed=section(SeedParams, "", params).seed,
            window=section(WindowParams, "data.window", params),
            transforms=section(TransformParams, "data.transforms", params),
            occlusion=section(OcclusionParams, "data.occlusion", params),
            loader=section(LoaderParams, "data.loader", params),
            prior=section(PriorParams, "prior", params),
            model=Architecture.read(params),
            losses=section(LossParams, "losses", params),
            masking=section(MaskingParams, "masking", params),
            training=section(TrainingParams, "training", params).shortened(),
        )

    def run(self) -> dict[str, Any]:
        """What determines the run beside the data, as plain values by their keys in params.yaml."""
        sections = {place: getattr(self, name).model_dump(mode="json") for name, place in PLACES.items()}
        values = {f"{place}.{name}": value for place, section in sections.items() for name, value in section.items()}
        return {"seed": self.seed, "model": self.model.dump(), **values}

    def dump(self) -> dict[str, Any]:
        """Plain dictionaries, for the logs."""
        sections = {name: part.model_dump() for name, part in vars(self).items() if isinstance(part, Section)}
        return {"seed": self.seed, "model": self.model.dump(), **sections}


class Pretrained(NamedTuple):
    """What pre-training leaves behind."""

    checkpoint: Checkpoint
    curves: list[dict[str, float]]
    metrics: dict[str, object]
    speed: dict[str, float]  # of the whole run; differs from run to run, so it is no metric
    times: dict[str, object]  # of each epoch since it was begun or taken up again, likewise


def pretrain(
    params: PretrainParams,
    poses: Path,
    board: Board,
    console: Console | None = None,
    keep: Callable[[Checkpoint], None] | None = None,
    start: Checkpoint | None = None,
    resume: TrainingState | None = None,
    offer_state: OfferState | None = None,
) -> Pretrained:
    """Train on the store's training subjects: on their 2D alone, unless the objective claims labels.

    `keep` is handed a checkpoint of the averaged weights after each validation. With `start`, the first weights are a
    checkpoint's, and no epochs see the prior alone. `resume` is the state of a run with the same params and data, which
    this one goes on from; `offer_state` is handed this one's.

    Raises:
        UserError: `start` or `resume` is of another model, or as the parts say.
    """
    training, console = params.training, console or Console()
    kind = OBJECTIVES[training.objective]
    hardware = Hardware.prepare(training.device, training.precision, training.threads, console.announce)
    train, validation = (
        read_split(poses, split, "needed" if kind.labels else "never") for split in ("train", "validation")
    )
    frames = params.window.frames
    windows = Windows(train, params.window.clip, detected_only=True)

    torch.manual_seed(params.seed)  # of the model's first weights, the one thing that takes no generator
    layouts = known_layouts(train.layout)
    model = build_model(kind.task, params.model, train.layout, frames, layouts)
    if start is not None:
        start_from(start, model, layouts)
        training = training.model_copy(update={"prior_epochs": 0})
    inputs = input_pipeline(train, params.transforms, params.occlusion, params.window)
    shards = shards_of(hardware.group, training.shards)
    priors = [PosePrior(params.prior).to(hardware.fabric.device) for _ in shards]
    given = ObjectiveContext(
        train=train,
        inputs=inputs,
        prior=priors[0],
        losses=params.losses,
        masking=params.masking,
        batches=training.of_shard.batches,
        epochs=training.epochs,
        constant_bone_lengths=training.constant_bone_lengths,
        seed=params.seed,
        device=hardware.fabric.device,
    )
    parts = [
        ShardSetup(kind.make(replace(given, prior=prior)), _clips(params, windows, shard), shard)
        for shard, prior in zip(shards, priors, strict=True)
    ]
    noise = sum(inputs.corruption.noise_std) / len(inputs.corruption.noise_std)
    outliers = inputs.corruption.outliers
    console.header(
        "pre-training",
        {
            "device": hardware.description,
            "model": f"{params.model.name}, {sum(p.numel() for p in model.parameters()):,} parameters",
            "data": f"{len(train.rays):,} frames in windows of {frames}, {len(train.table)} sequences",
            "2D noise": f"{1000 * noise:.2f} / 1000 of the focal length, {100 * outliers:.2f} % outliers",
            "training": f"{training.epochs} epochs of {training.steps_per_epoch} steps, from "
            + (training.origin if resume is None else resume.place),
        },
    )
    if hardware.fallback:
        console.announce(hardware.fallback)
    clips = training.clips(params.window)
    loader_rate = _rate(iter(training_loader(windows, clips, params.loader, torch.Generator())), LOADER_BATCHES)
    a_step = training.batches.real + training.batches.drawn
    prior_rate = _rate(_draws(priors[0], inputs, a_step), PRIOR_DRAWS)
    board.params(params.dump())
    setup = TrainingSetup(parts, held_out_clips(validation, params.window))

    def hand_over(progress: Progress, averaged: nn.Module) -> None:
        if keep is not None:
            weights = averaged.state_dict()
            keep(_checkpoint(params, train.layout, priors[0].body_size, weights, progress.step, progress.last_loss))

    monitor = Monitor(hardware.fabric.device, console.announce)
    context = RunContext(hardware, console, board, params.seed, hand_over, resume, offer_state, monitor)
    progress = fit(model, setup, training, context)
    if isinstance(model, LiftingModel):
        model.load_state_dict(progress.kept(training)[0])
        board.embedding(model.eval(), train, inputs)
    board.close()
    return Pretrained(
        checkpoint=_checkpoint(params, train.layout, priors[0].body_size, *progress.kept(training)),
        curves=progress.rows,
        metrics={
            "noise_std": noise,
            "outliers": outliers,
            "parameters": sum(p.numel() for p in model.parameters()),
            "steps": progress.step,
            "skipped_steps": progress.skipped,
            "kept_step": progress.kept(training)[1],
            "validation_loss": progress.kept(training)[2],
        },
        speed={
            "seconds": round(progress.seconds, 1),
            "poses_per_second": round(progress.poses / progress.training_seconds),
            "loader_poses_per_second": round(loader_rate * clips * params.window.middles),
            "prior_poses_per_second": round(prior_rate * DRAWS * a_step),
        },
        times=monitor.summary(),
    )


def _clips(params: PretrainParams, windows: Windows, shard: int) -> DataLoader[WindowBatch]:
    """A shard's clips, without end."""
    training = params.training
    generator = torch.Generator().manual_seed(shard_seed(params.seed, shard))
    part = windows.shard(shard, training.shards)
    return training_loader(part, training.of_shard.clips(params.window), params.loader, generator)


def _checkpoint(
    params: PretrainParams, layout: Layout, body_size: float, weights: Mapping[str, Tensor], step: int, loss: float
) -> Checkpoint:
    return Checkpoint(
        objectives=(params.training.objective,),
        task=OBJECTIVES[params.training.objective].task,
        model=params.model.dump(),
        frames=params.window.frames,
        interval_seconds=params.window.interval_seconds,
        normalization=params.transforms.normalization,
        noise_correlation_seconds=params.transforms.noise_correlation_seconds,
        body_size=body_size,
        masking=params.masking.model_dump(mode="json"),
        layouts=known_layouts(layout),
        layout=layout,
        weights={name: value.cpu() for name, value in weights.items()},
        training={"step": step, "validation_loss": loss},
    )


def _draws(prior: PosePrior, inputs: InputPipeline, windows: int) -> Iterator[PriorSample]:
    """Blocks of the prior's windows, as the objective draws them."""
    generator = torch.Generator(prior.lengths.device).manual_seed(0)
    while True:
        yield prior.sample_motion(DRAWS * windows, inputs.window.frames, inputs.window.interval_seconds, generator)


def _rate(stream: Iterator[object], batches: int) -> float:
    """Batches per second of what makes them alone."""
    next(stream)  # starts the loader's workers
    started = time.perf_counter()
    for _ in range(batches):
        next(stream)
    return batches / (time.perf_counter() - started)
