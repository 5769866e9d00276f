"""Short runs at a fixed seed; tests/golden.json has their losses and hashes of weights: `python -m tests.golden`.

A change that only moves code leaves every hash as it is. One that changes what is learned says so, and renews the file
with `python -m tests.golden --write`. Hashes hold on one kind of CPU and one torch; losses hold on all of them.
"""

import argparse
import copy
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from lib.models.checkpoints import load
from lib.models.networks import NETWORKS
from lib.runtime.paths import Paths
from stages import finetune, preprocess, pretrain
from tests.data.files import h36m_takes, write_h36m
from tests.settings import PARAMS

FILE = Path(__file__).with_suffix(".json")
OBJECTIVES = ("lift", "mask_2d", "mask_3d", "supervised")


class Run(NamedTuple):
    """What is trained, and on what."""

    network: str
    objective: str
    finetuned: bool = False
    layout: str = "auto"  # that of the keypoints


RUNS = {
    **{f"{network} {objective}": Run(network, objective) for network in NETWORKS for objective in OBJECTIVES},
    "transformer lift, in another layout": Run("transformer", "lift", layout="h36m_from_coco"),
    "transformer lift, then fine-tuned beside rehearsal": Run("transformer", "lift", finetuned=True),
    "vit mask_2d, then fine-tuned": Run("vit", "mask_2d", finetuned=True),
}


def machine() -> str:
    """What decides the last bits of a sum."""
    name = torch.cpu.get_capabilities().get("cpu_name", "")
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {name}"


def golden_run(name: str, root: Path) -> dict[str, Any]:
    """The training losses of one of RUNS, an epoch each, and the hash of its last weights."""
    finetuned = RUNS[name].finetuned
    params, paths = _params(RUNS[name], name == "transformer lift"), Paths(root)
    torch.set_num_threads(1)
    write_h36m(paths.raw("h36m"), *h36m_takes())
    preprocess.run(params, paths)
    pretrain.run(params, paths)
    if finetuned:
        finetune.run(params, paths)
    weights = load(paths.finetuned if finetuned else paths.pretrained).weights
    curves = pd.read_csv(paths.plot("finetuning.csv" if finetuned else "training.csv"))
    column = "train/supervised" if finetuned else "train/total"
    return {"losses": [round(float(loss), 6) for loss in curves[column]], "weights": weights_hash(weights)}


def weights_hash(weights: dict[str, torch.Tensor]) -> str:
    """The same for the same numbers, whatever the tensors are called."""
    parts = sorted(hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest() for value in weights.values())
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _params(run: Run, plausible: bool) -> dict[str, Any]:
    """Windows and networks as params.yaml has them, and 20 steps of training with every term of `lift` on."""
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    params["data"] |= {"source": "h36m", "layout": run.layout}
    params["data"]["split"] = {"train": ["S1"], "validation": ["S8"], "test": ["S9"]}
    params["model"]["name"] = run.network
    params["losses"] = {name: weight or 0.01 for name, weight in params["losses"].items()}
    if not plausible:  # a density takes a thousand steps to learn
        params["losses"]["plausibility"] = 0.0
    params["training"] |= {
        "objective": run.objective,
        "device": "cpu",
        "precision": "32-true",
        "threads": 1,
        "epochs": 4,
        "steps_per_epoch": 5,
        "batch_size": 16,
        "prior_batch_size": 16,
        "prior_epochs": 1,
        "validate_every": 4,
    }
    params["finetune"] |= {"enabled": True, "label_fraction": 0.5, "epochs": 2, "steps_per_epoch": 5, "batch_size": 16}
    return params


def main() -> None:
    """Print every run, and whether its hash is the one remembered; with --write, remember them."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"renew {FILE.name}")
    write = parser.parse_args().write
    known = json.loads(FILE.read_text()) if FILE.exists() else {"runs": {}}
    runs = {}
    for name in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            runs[name] = golden_run(name, Path(folder))
    if write:
        FILE.write_text(json.dumps({"machine": machine(), "runs": runs}, indent=2) + "\n")
    print(f"{machine()}; remembered: {known.get('machine')}")
    for name, run in runs.items():
        same = run["weights"] == known["runs"].get(name, {}).get("weights")
        print(f"{run['weights'][:16]}  {'same' if same else 'CHANGED'}  {name}")


if __name__ == "__main__":
    main()
