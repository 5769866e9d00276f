"""`training` of params.yaml."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from lib.data.windows import WindowParams
from lib.objectives.base import REFRESH, Batches
from lib.objectives.catalog import OBJECTIVES
from lib.runtime.params import DeviceName, FileName, Section
from lib.training.optimization import ScheduleParams

NONE = "none"  # the `start` and `resume` of most runs
Epochs = Annotated[int, Field(ge=1, le=10_000)]
Steps = Annotated[int, Field(ge=1, le=100_000)]  # of an epoch
BatchSize = Annotated[int, Field(ge=1, le=32_768)]
LearningRate = Annotated[float, Field(gt=0, le=10)]
VIEWS = 4  # how often training sees a window before the next clips, from different sides


def _known(objective: str) -> str:
    if objective not in OBJECTIVES:
        raise ValueError(f"must be one of {', '.join(OBJECTIVES)}")
    return objective


class TrainingParams(Section):
    """`training`."""

    objective: Annotated[str, AfterValidator(_known)]  # one of lib.objectives.catalog.OBJECTIVES
    start: FileName  # of a checkpoint in data/starts; none: new weights
    resume: FileName  # of a state in data/starts; none: from the beginning
    device: DeviceName
    devices: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]  # a process each; they share the shards
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]
    epochs: Epochs
    steps_per_epoch: Steps
    batch_size: BatchSize  # windows of real 2D in a step
    prior_batch_size: BatchSize  # windows of the prior in a step
    shards: Annotated[int, Field(ge=1, le=1024)]  # parts of a step, which processes share, or one does in turn
    prior_epochs: Annotated[int, Field(ge=0, le=10_000)]  # first epochs, which see the prior alone
    constant_bone_lengths: bool  # bones of its poses keep the lengths that they have in all of a recording
    optimizer: Literal["adamw", "adam", "sgd"]
    lr: LearningRate
    weight_decay: Annotated[float, Field(ge=0, le=10)]
    schedule: ScheduleParams
    gradient_clip: Annotated[float, Field(ge=0, le=1_000_000)]  # largest norm; 0 turns it off
    ema_decay: Annotated[float, Field(ge=0, lt=1)]  # of the averaged weights that are validated and kept
    validate_every: Epochs
    patience: Annotated[int, Field(ge=0, le=10_000)]  # validations without a better loss until training stops; 0: never
    debug: bool  # a run of seconds, to see that everything works

    @model_validator(mode="after")
    def _divisible(self) -> "TrainingParams":
        for name in ("batch_size", "prior_batch_size"):
            if getattr(self, name) % self.shards:
                raise ValueError(f"{name} = {getattr(self, name)} must be a multiple of shards = {self.shards}")
        if self.devices != "auto" and self.shards % self.devices:
            raise ValueError(
                f"shards = {self.shards} must be a multiple of devices = {self.devices}; on shards depends what is "
                "learned, and not on devices"
            )
        return self

    @property
    def of_shard(self) -> "TrainingParams":
        """These params with the windows that a shard has of a step."""
        sizes = {name: getattr(self, name) // self.shards for name in ("batch_size", "prior_batch_size")}
        return self.model_copy(update=sizes)

    @property
    def origin(self) -> str:
        """What training starts from, in words."""
        return "new weights" if self.start == NONE else self.start

    @property
    def batches(self) -> Batches:
        """The windows of a step."""
        return Batches(self.batch_size, self.prior_batch_size, self.prior_epochs)

    def clips(self, window: WindowParams) -> int:
        """How many clips the loader gives at a time, from which REFRESH steps take their windows."""
        return max(1, REFRESH * self.batch_size // (window.middles * VIEWS))

    def shortened(self) -> "TrainingParams":
        """These params, or with `debug` those of a run of seconds."""
        if not self.debug:
            return self
        batch = 16 * self.shards if 16 % self.shards else 16
        tiny = {
            "epochs": 2,
            "prior_epochs": min(self.prior_epochs, 1),
            "steps_per_epoch": 5,
            "batch_size": batch,
            "prior_batch_size": batch,
            "validate_every": 1,
        }
        return self.model_copy(update=tiny)
