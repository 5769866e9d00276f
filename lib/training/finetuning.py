"""Fine-tuning: a lifter from a pre-trained model of any objective and a share of the labels."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pandas as pd
import torch
from pydantic import Field
from torch import nn
from torch.utils.data import DataLoader

from lib.data.labels import labelled
from lib.data.occlusion import OcclusionParams
from lib.data.split import Split
from lib.data.store import read_split
from lib.data.transforms import TransformParams, input_pipeline
from lib.data.windows import ClipStream, LoaderParams, WindowBatch, WindowParams, Windows, training_loader
from lib.models.base import Network
from lib.models.checkpoints import Checkpoint
from lib.models.lifters import LiftingModel
from lib.models.networks import Architecture
from lib.objectives.base import Objective, ObjectiveContext
from lib.objectives.lift import Lift
from lib.objectives.losses import LossParams, Weight
from lib.objectives.rehearsal import Rehearsed
from lib.objectives.supervised import Supervised
from lib.prior.sampler import PosePrior, PriorParams
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.hardware import Hardware
from lib.runtime.params import Section, section
from lib.runtime.tensorboard import Board
from lib.sources.base import Subject
from lib.training.loop import RunContext, TrainingSetup, fit, held_out_clips
from lib.training.monitor import Monitor
from lib.training.optimization import Rates
from lib.training.params import BatchSize, Epochs, LearningRate, Steps, TrainingParams
from lib.training.pretraining import SeedParams
from lib.training.shards import ShardSetup, shard_seed, shards_of
from lib.training.state import OfferState, TrainingState
from lib.training.transfer import ENCODER, Part, Transferred, transfer

CURVES = ("step", "lr", "train/supervised", "validation/supervised")  # metres; rehearsal has more


FileName = Annotated[str, Field(min_length=1, max_length=1000, description="the path of a file")]


class FinetuneParams(Section):
    """`finetune`; what it does not say, such as the device and the schedule, is as in `training`."""

    enabled: bool
    checkpoint: FileName  # where the pre-trained model is
    subjects: tuple[Subject, ...]  # whose labels are used; all training subjects' if none is named
    label_fraction: Annotated[float, Field(gt=0, le=1)]  # of these subjects' frames
    from_scratch: bool  # new weights in place of the pre-trained ones: the control
    load: Part
    strict: bool  # what does not fit is an error; else it starts anew
    rehearsal: Weight  # weight of the objective lift on all 2D, if it was what pre-trained
    freeze_encoder: bool  # the encoder keeps the weights that it was given
    layer_decay: Annotated[float, Field(gt=0, le=1)]  # of the learning rate, from each layer to the one below it
    epochs: Epochs
    steps_per_epoch: Steps
    batch_size: BatchSize  # windows
    lr: LearningRate


@dataclass(frozen=True)
class Finetuning:
    """The sections of params.yaml that determine a fine-tuned model, beside the pre-trained one."""

    seed: int
    transforms: TransformParams
    occlusion: OcclusionParams
    loader: LoaderParams
    prior: PriorParams
    losses: LossParams
    finetune: FinetuneParams
    training: TrainingParams  # with the numbers of `finetune`

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> "Finetuning":
        """Validate all sections."""
        own = section(FinetuneParams, "finetune", params)
        if own.freeze_encoder and own.from_scratch:
            raise UserError(
                "params.yaml: finetune.freeze_encoder and finetune.from_scratch together would keep random weights"
            )
        training = section(TrainingParams, "training", params).model_copy(
            update={
                "objective": "supervised",
                "epochs": own.epochs,
                "steps_per_epoch": own.steps_per_epoch,
                "batch_size": own.batch_size,
                "prior_batch_size": own.batch_size,
                "prior_epochs": 0,
                "lr": own.lr,
                "patience": 0,  # labels of the validation subjects choose nothing
            }
        )
        if own.batch_size % training.shards:
            raise UserError(
                f"params.yaml: finetune.batch_size = {own.batch_size} must be a multiple of training.shards = "
                f"{training.shards}"
            )
        if training.schedule.name == "plateau":
            raise UserError(
                "params.yaml: training.schedule.name = 'plateau' would let labels of the validation subjects set the "
                "rate of fine-tuning: choose cosine, step or one_cycle"
            )
        return cls(
            seed=section(SeedParams, "", params).seed,
            transforms=section(TransformParams, "data.transforms", params),
            occlusion=section(OcclusionParams, "data.occlusion", params),
            loader=section(LoaderParams, "data.loader", params),
            prior=section(PriorParams, "prior", params),
            losses=section(LossParams, "losses", params),
            finetune=own,
            training=training.shortened(),
        )

    def run(self) -> dict[str, Any]:
        """What determines the run beside the data and the checkpoint, as plain values."""
        sections = {name: part for name, part in vars(self).items() if isinstance(part, Section)}
        values = {name: part.model_dump(mode="json").items() for name, part in sections.items()}
        return {"seed": self.seed, **{f"{name}.{key}": value for name, items in values.items() for key, value in items}}


class Finetuned(NamedTuple):
    """What fine-tuning leaves behind."""

    checkpoint: Checkpoint
    curves: pd.DataFrame  # CURVES first
    metrics: dict[str, object]
    speed: dict[str, float]  # of the whole run; differs from run to run, so it is no metric
    times: dict[str, object]  # of each epoch since it was begun or taken up again, likewise


def finetune(
    params: Finetuning,
    pretrained: Checkpoint,
    poses: Path,
    board: Board,
    console: Console | None = None,
    resume: TrainingState | None = None,
    offer_state: OfferState | None = None,
) -> Finetuned:
    """Train the network of a checkpoint to lift, from its weights, with some labels of the training subjects.

    The model is the averaged one at the end: validation labels make a curve and choose nothing. `resume` is the state
    of a run with the same params, checkpoint and data, which this one goes on from; `offer_state` is handed this one's.

    Raises:
        UserError: the checkpoint does not fit, or there is no 3D.
    """
    own, training, console = params.finetune, params.training, console or Console()
    hardware = Hardware.prepare(training.device, training.precision, training.threads, console.announce)
    train, validation = (read_split(poses, split, "needed") for split in ("train", "validation"))
    if train.layout not in pretrained.layouts:
        raise UserError(
            f"the model of finetune.checkpoint does not know the layout {train.layout.name!r} of the data: pretrain on "
            "this data, or name another"
        )
    unlabelled = read_split(poses, "train")  # all sequences, of which some may have no 3D
    some = labelled(train, own.subjects, own.label_fraction, params.seed)
    window = WindowParams(frames=pretrained.frames, interval_seconds=pretrained.interval_seconds)

    torch.manual_seed(params.seed)  # of weights that are new
    model = LiftingModel(Architecture.load(pretrained.model), window.frames, pretrained.layouts)
    taken = Transferred((), tuple(model.state_dict()), ())
    if not own.from_scratch:
        taken = transfer(pretrained.weights, model, own.load, own.strict)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not (own.freeze_encoder and name.startswith(ENCODER) and name in taken.loaded))
    parts = [
        ShardSetup(
            _objective(params, pretrained, unlabelled, window, hardware.fabric.device, shard),
            _clips(params, some, window, shard),
            shard,
        )
        for shard in shards_of(hardware.group, training.shards)
    ]
    console.header(
        "fine-tuning",
        {
            "device": hardware.description,
            "labels": f"{len(some.rays):,} of {len(train.rays):,} frames, {len(some.table)} sequences",
            "weights": "all new" if own.from_scratch else f"{', '.join(pretrained.objectives)}: {taken.describe()}",
            "beside labels": "lift on all 2D" if isinstance(parts[0].objective, Rehearsed) else "nothing",
            "trained": f"{_trained(model):,} of {sum(p.numel() for p in model.parameters()):,} parameters",
            "training": f"{training.epochs} epochs of {training.steps_per_epoch} steps"
            + ("" if resume is None else f", from {resume.place}"),
        },
    )
    if hardware.fallback:
        console.announce(hardware.fallback)
    held_out = held_out_clips(validation, window)
    rates = layer_rates(model.network, 1.0 if own.from_scratch else own.layer_decay)
    board.params({"finetune": own.model_dump(), "training": training.model_dump()})
    monitor = Monitor(hardware.fabric.device, console.announce)
    context = RunContext(hardware, console, board, params.seed, None, resume, offer_state, monitor)
    progress = fit(model, TrainingSetup(parts, held_out), training, context, rates)
    board.close()
    return Finetuned(
        checkpoint=replace(
            pretrained,
            objectives=(*pretrained.objectives, "supervised"),
            task="lifting",
            layout=train.layout,
            weights={name: value.cpu() for name, value in progress.last.items()},
            training={"step": progress.step, "validation_loss": progress.last_loss},
        ),
        # The total is that of labels and rehearsal in training, of labels alone in validation: no pair of curves.
        curves=pd.DataFrame(progress.rows).drop(columns=["train/total", "validation/total"]),
        metrics={
            "enabled": True,
            "labelled_frames": len(some.rays),
            "labelled_sequences": len(some.table),
            "labelled_share": len(some.rays) / len(train.rays),
            "tensors_loaded": len(taken.loaded),
            "tensors_new": len(taken.new),
            "parameters_trained": _trained(model),
            "steps": progress.step,
            "skipped_steps": progress.skipped,
            "training_loss": progress.rows[-1]["train/total"],
            "validation_loss": progress.last_loss,
        },
        speed={
            "seconds": round(progress.seconds, 1),
            "poses_per_second": round(progress.poses / progress.training_seconds),
        },
        times=monitor.summary(),
    )


def _objective(
    params: Finetuning, pretrained: Checkpoint, train: Split, window: WindowParams, device: torch.device, shard: int
) -> Objective:
    """Labels alone, or labels beside what a lifter was pre-trained with, on all 2D; `train` comes without 3D.

    For one of the shards of each step.
    """
    transforms = params.transforms.model_copy(update={"normalization": pretrained.normalization})
    inputs = input_pipeline(train, transforms, params.occlusion, window)
    own, training = params.finetune, params.training.of_shard
    supervised = Supervised(inputs, training.batch_size, pretrained.body_size)
    if own.rehearsal == 0 or own.from_scratch or "lift" not in pretrained.objectives:
        return supervised
    prior = PosePrior(params.prior).to(device)
    lift = Lift.make(
        ObjectiveContext(
            train=train,
            inputs=inputs,
            prior=prior,
            losses=params.losses,
            masking=None,
            batches=training.batches,
            epochs=training.epochs,
            constant_bone_lengths=training.constant_bone_lengths,
            seed=params.seed,
            device=device,
        )
    )
    return Rehearsed(supervised, lift, ClipStream(_clips(params, train, window, shard), device), own.rehearsal)


def _clips(params: Finetuning, split: Split, window: WindowParams, shard: int) -> DataLoader[WindowBatch]:
    training, generator = params.training, torch.Generator().manual_seed(shard_seed(params.seed, shard))
    windows = Windows(split, window.clip, detected_only=True).shard(shard, training.shards)
    return training_loader(windows, training.of_shard.clips(window), params.loader, generator)


def layer_rates(network: Network, decay: float) -> Rates:
    """Factors of learning rates: 1 for the decoder's last part, and from each layer to the one below it `decay`.

    Layers are what is outside of the encoder's `blocks`, each of these if there are any, and each of the decoder's
    parts. Source: J. Howard and S. Ruder, Universal language model fine-tuning, ACL 2018, section 3.2.
    """
    layers = [*getattr(network.encoder, "blocks", ()), *network.decoder]
    rates = dict.fromkeys(network.parameters(), decay ** len(layers))
    for above, layer in enumerate(reversed(layers)):
        rates |= dict.fromkeys(layer.parameters(), decay**above)
    return rates


def _trained(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
