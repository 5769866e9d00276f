"""Pre-training, put together: data, prior, model, objective, device and logs, from params to checkpoints."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field

from lib.anatomy import PosePrior, PriorParams, PriorSample
from lib.checkpoints import Checkpoint
from lib.console import Console
from lib.data.store import Split, read_split
from lib.data.transforms import Corruption, TransformParams, corruption_like
from lib.data.windows import LoaderParams, WindowParams, Windows, training_loader
from lib.device import Hardware
from lib.geometry import perspective_crop
from lib.limbs import Bodies
from lib.losses import LossParams
from lib.masking import MaskingParams, check_masking
from lib.models.networks import Architecture
from lib.models.tasks import COORDS, build_model
from lib.objectives.base import Objective
from lib.objectives.lift import DRAWS, Batches, Lift
from lib.objectives.mask import Masked
from lib.objectives.supervised import Supervised
from lib.params import Section, section
from lib.plausibility import Plausibility
from lib.skeleton import H36M
from lib.tensorboard import Board
from lib.training import Progress, TrainingParams, fit, held_out_clips

LABELLED = ("mask_3d", "supervised")  # objectives that read 3D and say so
PLAUSIBILITY_STEPS = 1000
LOADER_BATCHES = 50  # gathered once before training, to measure the loader alone
PRIOR_DRAWS = 4  # drawn once before training, to measure the prior alone


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
            loader=section(LoaderParams, "data.loader", params),
            prior=section(PriorParams, "prior", params),
            model=Architecture.read(params),
            losses=section(LossParams, "losses", params),
            masking=section(MaskingParams, "masking", params),
            training=section(TrainingParams, "training", params).shortened(),
        )

    def dump(self) -> dict[str, Any]:
        """Plain dictionaries, for the logs."""
        sections = {name: part.model_dump() for name, part in vars(self).items() if isinstance(part, Section)}
        return {"seed": self.seed, "model": self.model.dump(), **sections}


class Pretrained(NamedTuple):
    """What pre-training leaves behind."""

    best: Checkpoint
    last: Checkpoint
    curves: list[dict[str, float]]
    metrics: dict[str, object]


def pretrain(params: PretrainParams, poses: Path, logs: Path, console: Console | None = None) -> Pretrained:
    """Train on the store's training subjects: on their 2D alone, unless the objective is the supervised reference."""
    training, console = params.training, console or Console()
    hardware = Hardware.prepare(training.device, training.precision, training.threads, console.announce)
    device = hardware.fabric.device
    labels = training.objective in LABELLED  # every other objective has to do without
    train, validation = (read_split(poses, split, labels) for split in ("train", "validation"))
    windows, frames = Windows(train, params.window.clip), params.window.frames
    generator = torch.Generator().manual_seed(params.seed)
    clips = training.clips(params.window)
    loader = training_loader(windows, clips, params.loader, generator)

    torch.manual_seed(params.seed)  # of the model's first weights, the one thing that takes no generator
    model = build_model(training.objective, params.model, frames)
    prior = PosePrior(params.prior)
    corruption = corruption_like(train, params.transforms, params.window.dilation)
    objective = _objective(params, train, prior, corruption, device)
    noise = sum(corruption.noise) / len(corruption.noise)
    console.header(
        "pre-training",
        {
            "device": hardware.description,
            "model": f"{params.model.name}, {sum(p.numel() for p in model.parameters()):,} parameters",
            "data": f"{len(train.rays):,} frames in windows of {frames}, {len(train.table)} sequences",
            "2D noise": f"{1000 * noise:.2f} / 1000 of the focal length, {100 * corruption.outliers:.2f} % outliers",
            "training": f"{training.epochs} epochs of {training.steps_per_epoch} steps",
        },
    )
    if hardware.fallback:
        console.announce(hardware.fallback)
    loader_rate = _rate(iter(loader), LOADER_BATCHES)
    prior_rate = _rate(_draws(prior.to(device), params.window, training.windows), PRIOR_DRAWS)
    board = Board(logs, "pretrain", params.dump())
    held_out = held_out_clips(validation, params.window)
    progress = fit(
        hardware.fabric, model, objective, loader, held_out, training, console, board, params.seed, tuner=hardware.tuner
    )
    board.close()
    return Pretrained(
        best=_checkpoint(params, prior, progress, best=True),
        last=_checkpoint(params, prior, progress, best=False),
        curves=progress.rows,
        metrics={
            "noise": noise,
            "outliers": corruption.outliers,
            "parameters": sum(p.numel() for p in model.parameters()),
            "steps": progress.step,
            "best_step": progress.best_step,
            "validation_loss": progress.best_loss,
            "seconds": round(progress.seconds, 1),
            "poses_per_second": round(progress.poses / progress.training_seconds),
            "loader_poses_per_second": round(loader_rate * clips * params.window.middles),
            "prior_poses_per_second": round(prior_rate * DRAWS * training.windows),
        },
    )


def _objective(
    params: PretrainParams, train: Split, prior: PosePrior, corruption: Corruption, device: torch.device
) -> Objective:
    training, transforms, window = params.training, params.transforms, params.window
    if training.objective == "supervised":
        return Supervised(prior.body_size, transforms, corruption, window, training.windows)
    if training.objective != "lift":
        check_masking(params.masking, window.frames)
        coords = COORDS[training.objective]
        return Masked(coords, params.masking, transforms, window, training.windows, training.epochs)
    return lift_objective(train, prior, params.losses, transforms, corruption, window, training, params.seed, device)


def lift_objective(
    train: Split,
    prior: PosePrior,
    losses: LossParams,
    transforms: TransformParams,
    corruption: Corruption,
    window: WindowParams,
    training: TrainingParams,
    seed: int,
    device: torch.device,
) -> Lift:
    """The objective of lifting without labels on a split's 2D; the density that plausibility needs is fitted here."""
    plausibility = None
    if losses.plausibility > 0:
        torch.manual_seed(seed)
        plausibility = Plausibility(len(H36M)).to(device)
        crops = perspective_crop(train.rays, transforms.normalization, train.confidence > 0).keypoints.to(device)
        plausibility.fit(crops, PLAUSIBILITY_STEPS, 512, torch.Generator(device).manual_seed(seed))
    batches = Batches(training.batch_size, training.prior_batch_size, training.prior_epochs)
    fps = float(train.table["fps"].median())
    bodies = Bodies() if training.steady_teacher else None
    return Lift(prior, losses, transforms, corruption, window, batches, fps, plausibility, bodies)


def _checkpoint(params: PretrainParams, prior: PosePrior, progress: Progress, best: bool) -> Checkpoint:
    weights = progress.best if best else progress.last
    return Checkpoint(
        objective=params.training.objective,
        model=params.model.dump(),
        frames=params.window.frames,
        dilation=params.window.dilation,
        normalization=params.transforms.normalization,
        noise_seconds=params.transforms.noise_seconds,
        body_size=prior.body_size,
        masking=params.masking.model_dump(mode="json"),
        joints=H36M.names,
        weights={name: value.cpu() for name, value in weights.items()},
        training={
            "step": progress.best_step if best else progress.step,
            "validation_loss": progress.best_loss if best else progress.last_loss,
        },
    )


def _draws(prior: PosePrior, window: WindowParams, windows: int) -> Iterator[PriorSample]:
    """Blocks of the prior's windows, as the objective draws them."""
    generator = torch.Generator(prior.lengths.device).manual_seed(0)
    while True:
        yield prior.sample_motion(DRAWS * windows, window.frames, 50 / window.dilation, generator)


def _rate(stream: Iterator[object], batches: int) -> float:
    """Batches per second of what makes them alone."""
    next(stream)  # starts the loader's workers
    started = time.perf_counter()
    for _ in range(batches):
        next(stream)
    return batches / (time.perf_counter() - started)
