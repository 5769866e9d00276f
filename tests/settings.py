"""Small, complete sections of params, stores and models that tests share."""

from pathlib import Path

import pandas as pd
import torch

from lib.data.masking import MaskingParams
from lib.data.occlusion import OcclusionParams
from lib.data.split import Split
from lib.data.transforms import Corruption, InputPipeline, TransformParams
from lib.data.windows import WindowParams
from lib.models.checkpoints import Checkpoint
from lib.models.lifters import LiftingModel
from lib.models.networks import Architecture
from lib.models.reconstructors import ReconstructionModel
from lib.models.tasks import Task, build_model
from lib.models.transformer import Transformer
from lib.models.vit import Vit
from lib.objectives.losses import LossParams
from lib.pose.geometry import project
from lib.pose.layout import Layout, make_layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.prior.motions import MotionWeights
from lib.prior.postures import PostureWeights
from lib.prior.sampler import PosePrior, PriorParams
from lib.runtime.params import read
from lib.training.optimization import ScheduleParams
from lib.training.params import TrainingParams

PARAMS = read(Path(__file__).with_name("params.yaml"))  # a copy, so that tuning params.yaml changes no test
# Fixed, so that tuning params.yaml changes no test.
PRIOR = PriorParams(
    postures=PostureWeights(stand=0.25, walk=0.25, step=0.12, sit=0.2, crouch=0.08, bend=0.1),
    tumbling_probability=0.05,
    motions=MotionWeights(move=0.3, sit=0.1, reach=0.15, turn=0.1, idle=0.15, gait=0.2),
    bone_length_std=0.1,
    rest_direction_std_deg=6.0,
    bone_length_update=0.0,
    other_layouts_probability=0.3,
    elevation_deg=(10.0, 8.0),
    any_elevation_probability=0.0,
    roll_std_deg=2.0,
    distance_m=(3.0, 7.0),
)
TRANSFORMS = TransformParams(
    normalization="rms",
    flip_probability=0.5,
    rotation_deg=5.0,
    noise_std=0.001,
    noise_correlation_seconds=0.08,
    clean_probability=0.0,
    any_noise_probability=0.0,
    outlier_probability=0.0,
    hidden_probability=0.02,
)
OCCLUSION = OcclusionParams(part=0.3, joints=0.1, edge=0.1, away=0.5, far_side=0.1, whole_window=0.6)
NO_OCCLUSION = OcclusionParams(**dict.fromkeys(OcclusionParams.model_fields, 0.0))
CORRUPTION = Corruption(
    layout=H36M_LAYOUT,
    noise_std=(0.001,) * 17,
    correlation=0.5,
    clean=0.3,
    any_noise=0.3,
    outliers=0.0,
    hidden=0.02,
    occlusion=OCCLUSION,
)
CLEAN = Corruption(
    layout=H36M_LAYOUT,
    noise_std=(0.0,) * 17,
    correlation=0.0,
    clean=0.0,
    any_noise=0.0,
    outliers=0.0,
    hidden=0.0,
    occlusion=NO_OCCLUSION,
)
NO_TRANSFORMS = TransformParams(
    normalization="rms",
    flip_probability=0.0,
    rotation_deg=0.0,
    noise_std=0.0,
    noise_correlation_seconds=0.08,
    clean_probability=0.0,
    any_noise_probability=0.0,
    outlier_probability=0.0,
    hidden_probability=0.0,
)
MASKING = MaskingParams(kind="mixed", ratio=(0.2, 0.4), tubelet_frames=2, noise_std=0.0)
ALL_LOSSES = LossParams(**dict.fromkeys(LossParams.model_fields, 0.1))
# A layout of a user's own, whose sides do not lie beside each other.
SMALL = make_layout(
    "small",
    {
        "root": "pelvis",
        "chest": {"spine": 0.3, "thorax": 0.7},
        "left_hand": "left_wrist",
        "head": "head",
        "right_hand": "right_wrist",
    },
    {},
    0.01,
)
KNOWN = (*LAYOUTS.values(), SMALL)  # to the models of these tests
TINY = Transformer.Params(width=8, heads=2, hidden=32, encoder_depth=1, decoder_depth=1, dropout=0.0)
TINY_VIT = Vit.Params(
    **TINY.model_dump(exclude={"encoder_depth"}),
    encoder_depth=2,
    drop_path=0.0,
    patch_frames=2,
    positions="learned",
    pool="class",
)
NETWORKS = {"transformer": Architecture("transformer", TINY), "vit": Architecture("vit", TINY_VIT)}
TINY_MODEL = NETWORKS["transformer"].dump()

TRAINING = TrainingParams(
    objective="lift",
    device="cpu",
    devices=1,
    precision="32-true",
    start="none",
    resume="none",
    threads=1,
    epochs=4,
    steps_per_epoch=5,
    batch_size=8,
    prior_batch_size=8,
    shards=1,
    prior_epochs=1,
    constant_bone_lengths=True,
    optimizer="adamw",
    lr=1e-3,
    weight_decay=1e-4,
    schedule=ScheduleParams(name="cosine", warmup_steps=5, final_fraction=0.0, step_every=10, factor=0.5, patience=2),
    gradient_clip=1.0,
    ema_decay=0.9,
    validate_every=1,
    patience=5,
    debug=False,
)


def window(frames: int, step: int = 1) -> WindowParams:
    """Windows of every frame at 50 Hz, or of every `step`-th."""
    return WindowParams(frames=frames, interval_seconds=step / 50)


def pipeline(
    frames: int = 1,
    step: int = 1,
    transforms: TransformParams = TRANSFORMS,
    corruption: Corruption = CORRUPTION,
    layout: Layout = H36M_LAYOUT,
) -> InputPipeline:
    """How windows at 50 Hz are read."""
    return InputPipeline(layout, window(frames, step), transforms, corruption)


def tiny_model(frames: int, name: str = "transformer") -> LiftingModel:
    """A lifter with seeded weights."""
    torch.manual_seed(0)
    return LiftingModel(NETWORKS[name], frames, KNOWN)


def tiny_reconstructor(name: str, coords: int, frames: int = 5) -> ReconstructionModel:
    """A model with seeded weights that gives windows of points back."""
    torch.manual_seed(0)
    return ReconstructionModel(NETWORKS[name], H36M_LAYOUT, frames, coords, KNOWN)


def head_of(model: LiftingModel) -> torch.nn.Linear:
    """The last layer, whose numbers are the direction up, depths and corrections."""
    return model.network.head.head


def tiny_checkpoint(frames: int, step: int = 1, task: Task = "lifting", network: str = "transformer") -> Checkpoint:
    """An untrained model with seeded weights."""
    torch.manual_seed(0)
    return Checkpoint(
        objectives=("lift",) if task == "lifting" else ("mask",),
        task=task,
        model=NETWORKS[network].dump(),
        frames=frames,
        interval_seconds=step / 50,
        normalization="rms",
        noise_correlation_seconds=0.08,
        body_size=3.5,
        masking=MASKING.model_dump(mode="json"),
        layouts=KNOWN,
        layout=H36M_LAYOUT,
        weights=build_model(task, NETWORKS[network], H36M_LAYOUT, frames, KNOWN).state_dict(),
        training={"step": 7, "validation_loss": 0.25},
    )


def synthetic_split(*lengths: int, layout: Layout = H36M_LAYOUT) -> Split:
    """Sequences of the prior's motion, seen by cameras that look past the person; positions included."""
    generator = torch.Generator().manual_seed(0)
    parts = []
    for length in lengths:
        sample = PosePrior(PRIOR).sample_motion(1, length, 0.02, generator, layout)
        depth = sample.root_depth[..., None, None]
        parts.append(sample.keypoints[0] + (depth * torch.tensor([0.1, -0.05, 1.0]))[0])
    positions = torch.cat(parts)
    rays = project(positions)
    table = pd.DataFrame(
        {
            "subject": "S9",
            "action": [f"Walk {i}" for i in range(len(lengths))],
            "camera": "54138969",
            "fps": 50.0,
            "width": 1000,
            "height": 1002,
            "start": [sum(lengths[:i]) for i in range(len(lengths))],
            "length": lengths,
        }
    )
    return Split(layout, table, rays * 1000 + 500, torch.ones(len(rays), len(layout)), rays, positions)
