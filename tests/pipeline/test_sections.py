"""All of params.yaml is checked at once: every key, and what one section says about another."""

import copy
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.models import checkpoints
from lib.models.networks import NETWORKS
from lib.pipeline.sections import SECTIONS, check_machine, check_params
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import check
from tests.settings import PARAMS, tiny_checkpoint


def keys(content: Any, prefix: str = "") -> Iterator[str]:
    """The dotted keys of everything that is no mapping."""
    for name, value in content.items():
        yield from keys(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]


def at(params: dict[str, Any], key: str) -> Any:
    for name in key.split("."):
        params = params[name]
    return params


def changed(*changes: tuple[str, object]) -> dict[str, Any]:
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    for key, value in changes:
        *sections, last = key.split(".")
        place = params
        for name in sections:
            place = place[name]
        place[last] = value
    return params


def refusal(*changes: tuple[str, object]) -> str | None:
    try:
        check_params(changed(*changes))
    except UserError as error:
        return str(error)
    return None


def test_params_yaml_itself_passes() -> None:
    check_params(PARAMS)
    check_machine(PARAMS, Paths())


def test_every_section_and_network_of_params_yaml_is_checked() -> None:
    mappings = {key.rpartition(".")[0] for key in keys(PARAMS)}
    nested = {
        "prior.postures",
        "prior.motions",
        "data.split",
        "data.virtual_cameras",
        "training.schedule",
    }  # within a section
    sizes = {f"model.{name}.{size}" for name in NETWORKS for size in PARAMS["model"][name]}
    assert mappings == set(SECTIONS) | nested | sizes


KEYS = list(keys(PARAMS))
ODD: tuple[Any, ...] = (
    None, True, "", "no such word", "a\nb" * 100, 0.5, -1, -1e30, 1e30, 10**60, math.inf, math.nan,
    [], {}, {"x": 1}, [None], [[1]], [1, "x", None], [""], [-1e30, 1e30],
)  # fmt: skip
NOT_OURS = re.compile(
    r"literal\[|constrained|tuple|function-|input|should|model_type|union|valid\b|pydantic|json|dict|None|True|False"
)


@pytest.mark.parametrize("key", KEYS)
def test_what_a_key_refuses_is_one_line_in_our_words(key: str) -> None:
    for value in ODD:
        message = refusal((key, value))
        if message is None:
            continue
        assert "\n" not in message and len(message) < 400, message
        assert message.startswith(f"params.yaml: {key}"), message
        words = message.replace("validation", "").replace("no such word", "")
        assert not NOT_OURS.search(words), message


@pytest.mark.parametrize("key", KEYS)
def test_every_key_refuses_nonsense(key: str) -> None:
    value = at(PARAMS, key)
    wrong = [None, {}, {"x": 1}, [None], [[1]], math.nan, math.inf, -1e30, 1e30, 10**60, ""]
    if isinstance(value, int | float) and not isinstance(value, bool):
        wrong += [True, [], "1"]
    for other in wrong:
        assert refusal((key, other)), (key, other)
    if isinstance(value, list):
        for index in range(len(value)):
            for other in (None, 1e30, -1e30, ""):
                assert refusal((key, [*value[:index], other, *value[index + 1 :]])), (key, index, other)


@pytest.mark.parametrize("section", ["", *(name for name in SECTIONS if name), "prior.motions", "model.vit.large"])
def test_unknown_keys_are_refused_everywhere(section: str) -> None:
    key = f"{section}.nonsense".lstrip(".")
    message = refusal((key, 1)) or ""
    assert message.startswith(f"params.yaml: {key} is not a known key; known: ")
    names = set(message.partition("known: ")[2].split(", "))
    assert names == set(at(PARAMS, section) if section else PARAMS)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.transforms.noise_std", -1, "must be auto or a number from 0 to 1"),
        ("training.lr", "1e-3", "must be a number above 0 and at most 10"),
        ("prior.distance_m", [3], "must be a list of 2, each a number above 1 and at most 100"),
        ("prior.elevation_deg", [1e30, 1], "[0] = 1e+30: must be a number from -90 to 90"),
        ("data.split.train", ["S1", ""], "[1] = '': must be the name of a subject, in quotes"),
        ("visualize.sequences", [], "must be a list, each of it text such as S9/*/*, at least one"),
        ("data.source", "a/b", "must be a name of letters, digits, _ and - alone"),
        ("training.device", "gpu", "must be auto, cpu, mps, cuda or cuda:NUMBER"),
        ("masking.ratio", [0.1, 1], "[1] = 1: must be a number from 0 to below 1"),
        ("training.schedule", 3, "must be a mapping with name, warmup_steps"),
        ("model.vit", 3, "must be a mapping with small, base, large"),
        ("model.vit.huge", {}, "is not a known key; known: small, base, large"),
        ("model.perceiver", {}, "is not a known key; known: name, size, transformer, vit"),
        ("model.name", "perceiver", "must be one of transformer, vit"),
        ("prior.motions", dict.fromkeys(PARAMS["prior"]["motions"], 1e-50), "at least one must have a weight of 0.001"),
        ("a\nb", 1, "is not a known key"),
    ],
)
def test_messages(key: str, value: object, message: str) -> None:
    found = refusal((key, value)) or ""
    assert message in found
    assert "\n" not in found


def test_all_that_is_wrong_is_said_at_once() -> None:
    message = refusal(("training.lr", -1), ("visualize.dpi", 1), ("model.vit.large.heads", 7), ("prio", {})) or ""
    assert message.count("params.yaml: ") == 3  # networks come after sections
    assert all(key in message for key in ("training.lr", "visualize.dpi", "prio is not a known key"))


def test_a_missing_section_is_said_once() -> None:
    params = copy.deepcopy(PARAMS)
    del params["data"], params["finetune"]
    with pytest.raises(UserError, match=r"^params\.yaml: data is missing; params\.yaml: finetune is missing$"):
        check_params(params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("model.size", "base"), ("model.vit", {}), ("model.name", "vit")], "model.vit.base is missing"),
        ([("data.source", "h36n")], "data.source = 'h36n': must be one of sample, h36m"),
        ([("data.keypoints", "cpn")], "data.keypoints = 'cpn': the sample has gt and noisy"),
        ([("data.split.test", [])], "data.split.test names nobody"),
        ([("data.split.test", ["S1"])], "data.split names S1 more than once"),
        ([("data.split.test", ["S7"]), ("data.split.train", ["S1"])], "S7, who performs the sample's train clips"),
        (
            [("training.objective", "mask_2d"), ("masking.kind", "frames"), ("data.window.frames", 1)],
            "masking.kind = 'frames' needs data.window.frames above 1",
        ),
        ([("finetune.enabled", True), ("finetune.subjects", ["S9"])], "finetune.subjects names S9, who is not among"),
        (
            [("finetune.enabled", True), ("finetune.freeze_encoder", True), ("finetune.from_scratch", True)],
            "finetune.freeze_encoder and finetune.from_scratch together",
        ),
        (
            [("finetune.enabled", True), ("data.source", "keypoints"), ("data.keypoints", "auto")],
            "needs 3D of training subjects, and data.source = 'keypoints' has none: say finetune.enabled=false",
        ),
        ([("finetune.enabled", True), ("training.schedule.name", "plateau")], "'plateau' would let labels"),
        ([("model.vit.large.heads", 7)], "model.vit.large: width 256 must be a multiple of heads 7"),
    ],
)
def test_what_sections_say_about_each_other(changes: list[tuple[str, object]], message: str) -> None:
    found = refusal(*changes) or ""
    assert message in found
    assert found.startswith("params.yaml: ") and "\n" not in found


@pytest.mark.parametrize(
    "changes",
    [
        [("training.schedule.name", "plateau")],
        [("masking.kind", "frames"), ("data.window.frames", 1)],
        [("finetune.subjects", ["S9"])],
        [("data.source", "h36m"), ("data.keypoints", "cpn_ft_h36m_dbb")],
        [("model.vit", {"small": PARAMS["model"]["vit"]["small"]})],
        [("data.window.frames", 351), ("training.batch_size", 8192)],
    ],
)
def test_what_does_no_harm_is_allowed(changes: list[tuple[str, object]]) -> None:
    assert refusal(*changes) is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("training.device", "cuda:77", "training.device: device 'cuda:77' is not available"),
        ("evaluation.device", "cuda:77", "evaluation.device: device 'cuda:77' is not available"),
        ("training.threads", 1024, "training.threads: 1024 threads are more than"),
        ("finetune.checkpoint", "other.pt", "finetune.checkpoint = 'other.pt': there is no such file"),
        ("finetune.checkpoint", "bad.pt", "finetune.checkpoint = 'bad.pt': .*bad.pt is no checkpoint"),
        (
            "training.start",
            "mine.pt",
            r"training.start = 'mine.pt': .*mine.pt is missing: it must be none, or lie in that",
        ),
        ("data.layout", "magic", "data.layout: .*sample/magic is missing: name one of h36m, coco, "),
        ("data.cameras", "phone.yaml", r"data.cameras: .*sample/phone.yaml is missing: describe the cameras in it"),
        ("data.source", "h36m", "h36m lacks data_3d_h36m.npz"),
    ],
)
def test_what_this_machine_does_not_have(key: str, value: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_text("x")
    params, paths = changed((key, value)), Paths(tmp_path)
    check_params(params)
    with pytest.raises(UserError, match=message):
        check.run(params, paths)
    assert not paths.checked.exists()


def test_a_checkpoint_of_the_pipeline_need_not_be_there_yet(tmp_path: Path) -> None:
    for name in ("data/models/pretrained.pt", "./data/models/pretrained.pt"):
        check_machine(changed(("finetune.checkpoint", name)), Paths(tmp_path))
    checkpoints.save(tiny_checkpoint(frames=3), tmp_path / "other.pt")
    check_machine(changed(("finetune.checkpoint", "other.pt")), Paths(tmp_path))


def test_the_check_leaves_the_same_text_whatever_the_params(tmp_path: Path) -> None:
    texts = set()
    for lr in (1e-3, 2e-3):
        check.run(changed(("training.lr", lr)), Paths(tmp_path))
        texts.add(Paths(tmp_path).checked.read_bytes())
    assert len(texts) == 1
