"""For every key of params.yaml, another value and where it has to change what a stage does.

Used by tests/test_inert_params.py. A context is what a key needs to act, such as the objective mask_2d for `masking`.
"""

from typing import Any, NamedTuple

from lib.models.networks import NETWORKS
from tests.settings import PARAMS

Changes = dict[str, Any]  # dotted keys and their values


class Case(NamedTuple):
    """Each of the other values changes what the stage does, in each of the contexts."""

    others: tuple[Any, ...]
    contexts: tuple[str, ...]


class Elsewhere(NamedTuple):
    """A key that a stage depends on with the whole of its section, and why it changes nothing there."""

    other: Any
    reason: str


SIZES = tuple(PARAMS["model"]["vit"])
BASE: Changes = {
    "data.source": "h36m",
    "data.split": {"train": ["S1", "S5"], "validation": ["S8"], "test": ["S9"]},
    "data.window.frames": 3,
    "data.transforms.clean_probability": 0.2,  # so that few windows show what is drawn
    **{f"losses.{name}": weight or 0.1 for name, weight in PARAMS["losses"].items()},
    "losses.plausibility": 0.0,
    "training.device": "cpu",
    "training.precision": "32-true",
    "training.threads": 1,
    "training.epochs": 2,
    "training.steps_per_epoch": 2,
    "training.batch_size": 4,
    "training.prior_batch_size": 4,
    "training.prior_epochs": 1,
    "training.schedule.warmup_steps": 1,
    "finetune.enabled": True,
    "finetune.checkpoint": "data/models/lift.pt",
    "finetune.label_fraction": 0.5,
    "finetune.epochs": 2,
    "finetune.steps_per_epoch": 2,
    "finetune.batch_size": 4,
    "evaluation.device": "cpu",
    "visualize.count": 1,
    "visualize.dpi": 50,
    "visualize.gif_frames": 0,
}
for _number, _size in enumerate(SIZES):  # tiny, and different from each other
    _shared = {"width": 8 + 4 * _number, "heads": 2, "hidden": 16, "decoder_depth": 1, "dropout": 0.0}
    _vit = {"encoder_depth": 2, "drop_path": 0.0, "patch_frames": 1, "positions": "learned", "pool": "class"}
    BASE[f"model.transformer.{_size}"] = {**_shared, "encoder_depth": 1}
    BASE[f"model.vit.{_size}"] = {**_shared, **_vit}
# Averaged weights that stay what they are after the first step, and so does the validation loss.
STALE = {"training.objective": "supervised", "training.ema_decay": 1 - 1e-12, "training.epochs": 4}
CONTEXTS: dict[str, Changes] = {
    "lift": {},
    "mask_2d": {"training.objective": "mask_2d"},
    "mask_3d": {"training.objective": "mask_3d"},
    "supervised": {"training.objective": "supervised"},
    "step": {"training.schedule.name": "step", "training.schedule.step_every": 1},
    "one_cycle": {"training.schedule.name": "one_cycle"},
    "plateau": {"training.schedule.name": "plateau", "training.schedule.patience": 0, **STALE},
    "no progress": {"training.patience": 1, **STALE},
    "after mask_2d": {"finetune.checkpoint": "data/models/mask_2d.pt"},
    "other layouts": {"prior.other_layouts_probability": 1.0, "data.transforms.clean_probability": 0.0},
    "mocap": {
        "data.source": "bvh",
        "data.keypoints": "noisy",
        "data.split": {"train": ["S1"], "validation": ["S8"], "test": ["S9"]},
    },
    "other source": {
        "data.split.test": ["S9"],
        "evaluation.source": "bvh",
        "evaluation.subjects": ["S9"],
    },
    "animated": {"visualize.gif_frames": 2},
    "detector output": {"data.source": "keypoints", "data.keypoints": "auto", "data.split": "auto"},
    **{
        f"{name} {size}": {"model.name": name, "model.size": size, "training.objective": "supervised"}
        for name in NETWORKS
        for size in SIZES
    },
}
OBJECTIVES = ("lift", "mask_2d", "mask_3d", "supervised")
MASKS = ("mask_2d", "mask_3d")


def _in(contexts: str | tuple[str, ...], **others: Any) -> dict[str, Case]:
    """Keys of one section by their last name; a tuple holds several other values."""
    known = (contexts,) if isinstance(contexts, str) else contexts
    return {key: Case(other if isinstance(other, tuple) else (other,), known) for key, other in others.items()}


def _under(section: str, *parts: dict[str, Case]) -> dict[str, Case]:
    return {f"{section}.{key}": case for part in parts for key, case in part.items()}


PREPROCESS = _under(
    "data",
    _in("lift", source="sample", keypoints="other", layout=("h36m_from_coco",), cameras=("assumed",), min_frames=25),
    _in("detector output", fps=60.0, size=([2500, 3000],), rotate=(180,), people=("longest", 1)),
    _under("split", _in("lift", train=["S1"], validation=["S7"], test=["S11"])),
    _under(
        "virtual_cameras",
        _in("mocap", count=2, fov_deg=60, seed=1),
        _in("mocap", elevation_deg=([0, 16], [10, 40]), distance_m=([3, 5.5], [4.1, 9])),
    ),
) | _under("evaluation", _in("other source", keypoints="noisy", subjects=["S8"]), _in("other source", source="same"))
TRANSFORMS = _under(
    "data.transforms",
    _in(OBJECTIVES, flip_probability=0.9, rotation_deg=90),
    _in(("lift", "supervised"), normalization="max", noise_std=0.01, noise_correlation_seconds=1.0),
    _in(("lift", "supervised"), outlier_probability=0.3, hidden_probability=0.3),
    _in(("lift", "supervised"), clean_probability=1.0, any_noise_probability=1.0),
)
OCCLUSION = _under(
    "data.occlusion",
    _in(("lift", "supervised"), part=1.0, joints=1.0, edge=1.0, whole_window=0.0),
    _in("lift", far_side=1.0),  # where it is known which way people look
    _in("other layouts", away=0.0),  # which have faces
)
PICTURED = _under(  # of the prior, and in its pictures
    "prior",
    _under("postures", _in("lift", **dict.fromkeys(PARAMS["prior"]["postures"], 2.0))),
    _in("lift", tumbling_probability=0.9, bone_length_std=0.3, rest_direction_std_deg=10, roll_std_deg=20),
    _in("lift", elevation_deg=([20, 8], [10, 2]), any_elevation_probability=0.9),
)
NOT_PICTURED = _under(
    "prior",
    _under("motions", _in("lift", **dict.fromkeys(PARAMS["prior"]["motions"], 2.0))),
    _in("lift", bone_length_update=0.9, other_layouts_probability=1.0, distance_m=([2, 7], [3, 9])),
)
NETWORK = {"width": 24, "heads": 4, "hidden": 24, "encoder_depth": 3, "decoder_depth": 2, "dropout": 0.3}
VIT = {"drop_path": 0.5, "patch_frames": 2, "positions": "sinusoidal", "pool": "mean"}
MODEL = _under(
    "model",
    _in("lift", name="vit", size=("base", "large")),
    *(_under(f"transformer.{size}", _in(f"transformer {size}", **NETWORK)) for size in SIZES),
    *(_under(f"vit.{size}", _in(f"vit {size}", **NETWORK, **VIT)) for size in SIZES),
)
LOSSES = _under("losses", _in("lift", **dict.fromkeys(PARAMS["losses"], 0.5)))
TRAINING = _under(  # of pre-training and of fine-tuning
    "training",
    _in("lift", constant_bone_lengths=False, optimizer=("adam", "sgd"), weight_decay=0.1, gradient_clip=0.01),
    _in("lift", ema_decay=0.5, validate_every=2, debug=True, shards=2),
    _under(
        "schedule",
        _in(("lift", "one_cycle"), warmup_steps=2, final_fraction=0.5),
        _in("lift", name=("step", "one_cycle")),
        _in("step", step_every=2, factor=0.1),
    ),
)
PRETRAIN = {
    "seed": Case((1,), OBJECTIVES),
    **_under("data.window", _in(OBJECTIVES, frames=5, interval_seconds=0.02)),
    **TRANSFORMS,
    **OCCLUSION,
    **PICTURED,
    **NOT_PICTURED,
    **MODEL,
    **LOSSES,
    **_under("masking", _in(MASKS, kind="joints", ratio=([0.6, 0.6], [0.3, 0.9]), tubelet_frames=1, noise_std=0.2)),
    **TRAINING,
    **_under(
        "training",
        _in("lift", objective=("mask_2d", "mask_3d", "supervised"), prior_epochs=0, start="other.pt"),
        _in("lift", resume="other.pt"),
        _in(OBJECTIVES, epochs=3, steps_per_epoch=3, batch_size=6, prior_batch_size=6, lr=1e-3),
        _in("no progress", patience=0),
        _under("schedule", _in("plateau", patience=2), _in(("step", "plateau"), factor=0.1)),
        _under("schedule", _in("lift", name=("step", "one_cycle", "plateau"))),
    ),
}
FINETUNE = {
    "seed": Case((1,), ("lift", "after mask_2d")),
    **{key: case._replace(contexts=("lift",)) for key, case in TRANSFORMS.items() if "normalization" not in key},
    **{key: case if "away" in key else case._replace(contexts=("lift",)) for key, case in OCCLUSION.items()},
    **PICTURED,
    **NOT_PICTURED,
    **LOSSES,
    **TRAINING,
    **_under(
        "finetune",
        _in("lift", checkpoint="data/models/another.pt", subjects=["S1"], label_fraction=0.2, from_scratch=True),
        _in("lift", load="encoder", rehearsal=0.5, freeze_encoder=True, layer_decay=0.5, enabled=False),
        _in("lift", epochs=3, steps_per_epoch=3, batch_size=6, lr=1e-3),
        _in("after mask_2d", strict=True),
    ),
}
EVALUATE = _under(
    "evaluation",
    _in("lift", flip=False, constant_bone_lengths=False, depth_signs=False, denoise=False, scale="body_size"),
)
VISUALIZE = {
    **PICTURED,
    **_under(
        "visualize",
        _in("lift", sequences=["S11/*"], count=2, dpi=60, left_color="#ff0000", right_color="#00ff00"),
        _in("lift", viewer_sequences=(0, 1)),
        _in("animated", gif_frames=3, gif_fps=25.0),
    ),
}
CASES = {
    "preprocess": PREPROCESS,
    "pretrain": PRETRAIN,
    "finetune": FINETUNE,
    "evaluate": EVALUATE,
    "visualize": VISUALIZE,
}
REFUSED = {"finetune.strict", "training.resume"}  # what the other value does is to refuse: other.pt is no state
_OF_FINETUNE = "fine-tuning has its own in `finetune`, or none"
_NOT_PICTURED = "pictures have a row for each motion, draw every pose in the same size, and show no training"
ELSEWHERE = {
    "finetune": {
        "data.transforms.normalization": Elsewhere("max", "the checkpoint says in which units its model reads"),
        "training.objective": Elsewhere("supervised", _OF_FINETUNE),
        "training.start": Elsewhere("other.pt", _OF_FINETUNE),
        "training.resume": Elsewhere("half.pt", _OF_FINETUNE),
        "training.epochs": Elsewhere(3, _OF_FINETUNE),
        "training.steps_per_epoch": Elsewhere(3, _OF_FINETUNE),
        "training.batch_size": Elsewhere(6, _OF_FINETUNE),
        "training.prior_batch_size": Elsewhere(6, _OF_FINETUNE),
        "training.prior_epochs": Elsewhere(0, _OF_FINETUNE),
        "training.lr": Elsewhere(1e-3, _OF_FINETUNE),
        "training.patience": Elsewhere(1, "labels of the validation subjects choose nothing"),
        "training.schedule.patience": Elsewhere(0, "the schedule that has it is refused, since labels would choose"),
    },
    "visualize": {key: Elsewhere(case.others[0], _NOT_PICTURED) for key, case in NOT_PICTURED.items()},
}
