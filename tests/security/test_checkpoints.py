"""Checkpoints and states that somebody forged or damaged: one line, no code that runs, no memory that is not there."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.models import checkpoints
from lib.training.state import load_state
from tests.security.readers import write_state
from tests.security.refusal import refused
from tests.settings import tiny_checkpoint

pytestmark = pytest.mark.hostile
WEIGHT = "network.encoder.tokens.landmark_embedding"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("whole") / "model.pt"
    checkpoints.save(tiny_checkpoint(3), path)
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def network(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["model"]["params"].update(changes)


def put(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update({key: value})


def weight(value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["weights"].update({WEIGHT: value})


def layout(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["layouts"][0].update({key: value})


FORGED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "weights a list": (put("weights", [1]), "incomplete or damaged"),
    "weights of text": (put("weights", {"a": "b"}), "weights that are no tensors"),
    "no weights": (put("weights", {}), "tensors are missing and 0 unknown"),
    "weights by number": (put("weights", {1: torch.ones(1)}), "incomplete or damaged"),
    "a weight too many": (lambda c: c["weights"].update({"x": torch.ones(1)}), "0 tensors are missing and 1 unknown"),
    "a weight of another shape": (weight(torch.ones(3)), rf"{WEIGHT} is \(3,\) and must be \(\d+, 8\)"),
    "a weight of whole numbers": (weight(torch.ones(39, 8, dtype=torch.int64)), f"{WEIGHT} is"),
    "a weight that is not a number": (lambda c: c["weights"][WEIGHT].fill_(torch.nan), "numbers that are not finite"),
    "a weight without end": (weight(torch.ones(1).expand(10**12)), "a damaged one"),
    "a weight in halves without end": (weight(torch.ones(1).bfloat16().expand(10**12)), "a damaged one"),
    "a weight nowhere": (weight(torch.empty(10**12, device="meta")), "a damaged one"),
    "frames -1": (put("frames", -1), r"damaged \(frames: "),
    "frames '9'": (put("frames", "9"), r"damaged \(frames: "),
    "frames 1e12": (put("frames", 10**12), r"damaged \(frames: "),
    "frames of another model": (put("frames", 5), "does not fit its model"),
    "interval nan": (put("interval_seconds", float("nan")), r"damaged \(interval_seconds: "),
    "interval 0": (put("interval_seconds", 0.0), r"damaged \(interval_seconds: "),
    "body size -1": (put("body_size", -1.0), r"damaged \(body_size: "),
    "body size infinite": (put("body_size", float("inf")), r"damaged \(body_size: "),
    "noise for text": (put("noise_correlation_seconds", "x"), r"damaged \(noise_correlation_seconds: "),
    "normalization": (put("normalization", "none"), r"damaged \(normalization: "),
    "objectives a number": (put("objectives", 5), r"damaged \(objectives: "),
    "training a list": (put("training", [1]), r"damaged \(training: "),
    "masking text": (put("masking", "all"), "damaged"),
    "masking ratio": (lambda c: c["masking"].update(ratio=[2, 3]), r"damaged \(ratio\.0: "),
    "width 1e9": (network(width=10**9), "holds the network"),
    "width 1e9 as a float": (network(width=1e9), "holds the network"),
    "a width beyond the weights": (network(width=2048, encoder_depth=64), "does not fit its model"),
    "depth 1e9": (network(encoder_depth=10**9), "holds the network"),
    "heads 3 of width 8": (network(heads=3), "holds the network"),
    "a network without a name": (put("model", {"params": {}}), "holds the network"),
    "a network that is a list": (put("model", [1]), r"damaged \(model: "),
    "a network with a list for a name": (lambda c: c["model"].update(name=[1]), "holds the network"),
    "a network of a long name": (lambda c: c["model"].update(name="x" * 10**5), "holds the network"),
    "an unknown network param": (network(dilation=0), "holds the network"),
    "a tensor as format": (put("format", torch.ones(2)), "not written by this version"),
    "a format of text": (put("format", "6"), "not written by this version"),
    "a task that is a list": (put("task", [1]), "unknown task"),
    "a task that is a tensor": (put("task", torch.ones(2)), "unknown task"),
    "layouts of text": (put("layouts", "all"), "incomplete or damaged"),
    "a layout of a number": (put("layout", 3), "incomplete or damaged"),
    "a layout of nobody": (layout("keypoints", []), "a layout that marks no body"),
    "a layout of other landmarks": (layout("landmarks", ["tail"] * 17), "a layout that marks no body"),
    "a layout marks twice": (layout("landmarks", ["pelvis"] * 17), "a layout that marks no body"),
    "a layout spreads nan": (layout("spreads", [float("nan")] * 17), "a layout that marks no body"),
    "a layout without a mixture": (layout("mixtures", [{}]), "a layout that marks no body"),
    "a layout with a path for a name": (layout("name", "\0/../x"), "a layout that marks no body"),
    "a layout of another name": (lambda c: c["layouts"][0].update(name=5), "incomplete or damaged|marks no body"),
    "no layout": (lambda c: c.pop("layout"), "incomplete or damaged"),
    "a field too many": (put("more", 1), "incomplete or damaged"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_checkpoint_is_one_line(what: str, whole: dict[str, Any], tmp_path: Path) -> None:
    change, message = FORGED[what]
    buffer = io.BytesIO()
    torch.save(whole, buffer)
    buffer.seek(0)
    content = torch.load(buffer, weights_only=True)
    change(content)
    torch.save(content, tmp_path / "m.pt")
    refused(lambda: checkpoints.load(tmp_path / "m.pt").build(), tmp_path, message, "m.pt")


class Touches:
    """Pickles as a command that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def pickled(folder: Path) -> bytes:
    return pickle.dumps(Touches(folder / "trace"))


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"format": 6, "weights": Touches(folder / "trace")}, buffer)
    return buffer.getvalue()


def old(folder: Path) -> bytes:
    """As torch wrote files before they were zips."""
    buffer = io.BytesIO()
    torch.save({"format": 6}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def with_packed_members(folder: Path) -> bytes:
    """As many bytes as are refused however little they are packed to."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", bytes(10**6))
        archive.writestr("m/version", "3")
    return buffer.getvalue()


def with_paths(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../trace", "written")
        archive.writestr(str(folder / "trace"), "written")
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["m.pt", "s.pt"])
@pytest.mark.parametrize("write", [pickled, zipped, old, with_packed_members, with_paths])
def test_opening_a_file_runs_nothing_and_writes_nothing(
    write: Callable[[Path], bytes], name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(write(tmp_path))
    load: Callable[[Path], object] = checkpoints.load if name == "m.pt" else load_state
    refused(lambda: load(tmp_path / name), tmp_path, "damaged", name)
    assert not (tmp_path / "trace").exists() and not (tmp_path.parent / "trace").exists()


def test_the_attack_works_where_it_is_let(tmp_path: Path) -> None:
    pickle.loads(pickled(tmp_path))
    assert (tmp_path / "trace").exists()


STATES: dict[str, tuple[str, Any]] = {
    "epochs -1": ("epochs", -1),
    "epochs of text": ("epochs", "1"),
    "clips a list": ("clips", [1]),
    "model a list": ("model", [1]),
    "optimizer a number": ("optimizer", 1),
    "random text": ("random", "x"),
    "progress a list": ("progress", [1]),
    "progress of a step of text": ("progress", {"step": "1"}),
    "progress of other things": ("progress", {"walk": 1}),
    "run a number": ("run", 5),
    "more": ("more", 1),
}


@pytest.mark.parametrize("what", STATES)
def test_a_forged_state_is_one_line(what: str, tmp_path: Path) -> None:
    key, value = STATES[what]
    write_state(tmp_path / "s.pt")
    torch.save(torch.load(tmp_path / "s.pt", weights_only=True) | {key: value}, tmp_path / "s.pt")
    refused(lambda: load_state(tmp_path / "s.pt"), tmp_path, "incomplete or damaged", "s.pt")
