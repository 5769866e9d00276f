"""All of params.yaml at once: every section, and what one says about another.

The stage `check` asks first, before DVC removes the outs of another stage, and so does whatever runs through
`lib.runtime.stage.main`. What only data can tell, such as whether a subject exists, is the stages' own to find out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, get_args

from lib.data.masking import MaskingParams, check_masking
from lib.data.occlusion import OcclusionParams
from lib.data.preprocessing import as_evaluation
from lib.data.splits import check_split
from lib.data.transforms import TransformParams
from lib.data.windows import LoaderParams, WindowParams
from lib.evaluation.lifting import EvaluationParams
from lib.models import checkpoints
from lib.models.networks import NETWORKS, Architecture, ModelParams, Size
from lib.objectives.catalog import OBJECTIVES
from lib.objectives.losses import LossParams
from lib.plotting.params import VisualizeParams
from lib.pose.camera_files import read_cameras
from lib.pose.layouts import layout_named
from lib.prior.sampler import PriorParams
from lib.runtime.allowed import shown
from lib.runtime.device import choose_threads, resolve_device
from lib.runtime.errors import UserError
from lib.runtime.files import stays_inside
from lib.runtime.params import Section, section
from lib.runtime.paths import Paths
from lib.sources.base import AutoSplit, SourceParams
from lib.sources.catalog import check_source, require_files
from lib.sources.evaluation import EvaluationSourceParams
from lib.training.finetuning import FinetuneParams, Finetuning
from lib.training.params import NONE, TrainingParams
from lib.training.pretraining import PretrainParams, SeedParams
from lib.training.shards import processes_to_start
from lib.training.state import check_same_run, load_state

Params = Mapping[str, Any]


class WholeEvaluationParams(EvaluationParams, EvaluationSourceParams):
    """All of `evaluation`: how and on what."""

    elsewhere: ClassVar[frozenset[str]] = frozenset()


SECTIONS: dict[str, type[Section]] = {
    "": SeedParams,
    "data": SourceParams,
    "data.window": WindowParams,
    "data.transforms": TransformParams,
    "data.occlusion": OcclusionParams,
    "data.loader": LoaderParams,
    "prior": PriorParams,
    "model": ModelParams,
    "losses": LossParams,
    "masking": MaskingParams,
    "training": TrainingParams,
    "finetune": FinetuneParams,
    "evaluation": WholeEvaluationParams,
    "visualize": VisualizeParams,
}


def check_params(params: Params) -> None:
    """Refuse params with a section, key or value that some stage would refuse, whichever stage that is.

    Raises:
        UserError: one line with all that is wrong; of what one section says about another, the first.
    """
    # What lies in a section that is none is not missed on its own.
    _raise_all([partial(section, cls, name, params) for name, cls in SECTIONS.items() if _has_parent(params, name)])
    _raise_all([partial(_check_sizes, name, params) for name in NETWORKS if name in params["model"]])
    Architecture.read(params)
    _check_combinations(params)


def check_machine(params: Params, paths: Paths) -> None:
    """Refuse params that ask for a device, threads or files that are not there.

    Raises:
        UserError: naming the key.
    """
    training = section(TrainingParams, "training", params)
    devices = {"training.device": training.device}
    devices["evaluation.device"] = section(EvaluationParams, "evaluation", params).device
    for key, name in devices.items():
        with _about(key):
            resolve_device(name)
    if training.threads != "auto":
        with _about("training.threads"):
            choose_threads(training.threads)
    processes_to_start(training)
    source = section(SourceParams, "data", params)
    if source.layout != "auto":
        with _about("data.layout"):
            layout_named(source.layout, paths.raw(source.source))
    if source.cameras not in ("auto", "assumed"):
        with _about("data.cameras"):
            read_cameras(paths.raw(source.source) / source.cameras)
    require_files(paths.raw(source.source), source)
    if other := section(EvaluationSourceParams, "evaluation", params).of(source):
        with _about("evaluation.source"), as_evaluation():
            require_files(paths.raw(other.source), other)
    _check_start(params, paths)
    _check_resume(params, paths)
    _check_checkpoint(section(FinetuneParams, "finetune", params).checkpoint, paths)


def sources(params: Params) -> set[str]:
    """The sources of poses that training and testing read."""
    data = section(SourceParams, "data", params)
    other = section(EvaluationSourceParams, "evaluation", params).of(data)
    return {data.source} | ({other.source} if other else set())


def _has_parent(params: Params, name: str) -> bool:
    parent, _, _ = name.rpartition(".")
    return not parent or isinstance(params.get(parent), Mapping)


def _raise_all(checks: Sequence[Callable[[], object]]) -> None:
    """Run all checks, and raise what they raise as one."""
    found = []
    for check in checks:
        try:
            check()
        except UserError as error:
            found.append(str(error))
    if found:
        raise UserError("; ".join(dict.fromkeys(found)))


def _check_sizes(network: str, params: Params) -> None:
    """All sizes of a network, those that are not chosen too; it need not have every one."""
    sizes, known = params["model"][network], get_args(Size)
    if not isinstance(sizes, Mapping):
        raise UserError(f"params.yaml: model.{network} = {shown(sizes)} must be a mapping with {', '.join(known)}")
    for size in sizes:
        if size not in known:
            raise UserError(f"params.yaml: model.{network}.{size} is not a known key; known: {', '.join(known)}")
    _raise_all([partial(Architecture.named, network, size, params) for size in sizes])


def _check_combinations(params: Params) -> None:
    source = section(SourceParams, "data", params)
    check_split(source.split)
    check_source(source)
    for key, name in (("layout", source.layout), ("cameras", source.cameras)):
        if not stays_inside(name):
            raise UserError(f"params.yaml: data.{key} = {shown(name)}: must lie in data/raw/{source.source}")
    if other := section(EvaluationSourceParams, "evaluation", params).of(source):
        with as_evaluation():
            check_source(other)
    if OBJECTIVES[section(TrainingParams, "training", params).objective].task != "lifting":
        check_masking(section(MaskingParams, "masking", params), section(WindowParams, "data.window", params).frames)
    finetune = section(FinetuneParams, "finetune", params)
    if finetune.enabled:
        Finetuning.read(params)
        if source.source == "keypoints":
            raise UserError(
                "params.yaml: finetune.enabled = true needs 3D of training subjects, and data.source = 'keypoints' has "
                "none: say finetune.enabled=false"
            )
        for subject in () if isinstance(source.split, AutoSplit) else finetune.subjects:
            if subject not in source.split.train:
                raise UserError(
                    f"params.yaml: finetune.subjects names {subject}, who is not among the training subjects: "
                    f"{', '.join(source.split.train)}"
                )


def _check_checkpoint(name: str, paths: Paths) -> None:
    """The pipeline makes its own checkpoint, which need not be there yet."""
    path = paths.root / name
    if path.resolve() == paths.pretrained.resolve():
        return
    with _about(f"finetune.checkpoint = {shown(name)}"):
        if not path.is_file():
            raise UserError("there is no such file")
        checkpoints.load(path)


def _check_start(params: Params, paths: Paths) -> None:
    """Pre-training can start from the checkpoint that `training.start` names."""
    wanted = PretrainParams.read(params)
    name = wanted.training.start
    if name == NONE:
        return
    path, task = paths.start(name), OBJECTIVES[wanted.training.objective].task
    with _about(f"training.start = {shown(name)}"):
        if not path.is_file():
            found = sorted(file.name for file in path.parent.glob("*.pt*"))
            raise UserError(
                f"{path} is missing: it must be none, or lie in that folder ({', '.join(found) or 'empty'})"
            )
        checkpoint = checkpoints.load(path, "generalist")
        if checkpoint.task != task:
            raise UserError(f"it is for {checkpoint.task}, and training.objective is for {task}")
        if checkpoint.model != wanted.model.dump() or checkpoint.frames != wanted.window.frames:
            raise UserError("its model or its window of frames is another: set model and data.window as it has them")


def _check_resume(params: Params, paths: Paths) -> None:
    """Pre-training can go on from the state that `training.resume` names, as far as params tell."""
    wanted = PretrainParams.read(params)
    name = wanted.training.resume
    if name == NONE:
        return
    with _about(f"training.resume = {shown(name)}"):
        state, saved = load_state(paths.start(name))
        own = wanted.run()
        check_same_run({key: saved[key] for key in saved if key in own}, own, state.progress.step)


@contextmanager
def _about(key: str) -> Iterator[None]:
    """Say of which key of params.yaml an error is."""
    try:
        yield
    except UserError as error:
        raise UserError(f"params.yaml: {key}: {error}") from None
