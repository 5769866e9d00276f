"""Losses of one process beside those of several that share the same shards, step by step.

Pre-training and then fine-tuning run as their stages, on the CPU, in folders of their own below data/scratch.
"""

import copy
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lib.runtime.errors import UserError
from lib.runtime.paths import Paths

STAGES = {"pretrain": ("training.csv", "train/total"), "finetune": ("finetuning.csv", "train/supervised")}
WINDOWS = 16  # of a shard in a step, real and drawn ones each
MODULES = Path(__file__).parents[2]  # the folder of lib and stages


def data_parallel(
    params: Mapping[str, Any], paths: Paths, steps: int, processes: int, announce: Callable[[str], None]
) -> pd.DataFrame:
    """A row a step of each stage: its loss in one process and in several, and how far apart they are.

    Raises:
        UserError: there is no store, or a stage fails.
    """
    if not paths.poses.exists():
        raise UserError(f"{paths.poses} is missing: run `dvc repro preprocess` first")
    runs = {}
    for count in (1, processes):
        own = Paths(paths.root / "data" / "scratch" / "data_parallel" / f"{count}")
        _prepare(_short(params, steps, processes, count), paths, own)
        for stage in STAGES:
            began = time.monotonic()
            _run(stage, own.root)
            announce(f"{stage}, {count} processes: {time.monotonic() - began:.0f} s")
        runs[count] = own
    tables = []
    for stage, (file, column) in STAGES.items():
        one, several = (pd.read_csv(runs[count].plot(file))[column] for count in (1, processes))
        tables.append(
            pd.DataFrame(
                {
                    "stage": stage,
                    "step": range(1, len(one) + 1),
                    "one_process": one,
                    f"{processes}_processes": several,
                    "difference": (one - several).abs(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _short(params: Mapping[str, Any], steps: int, shards: int, devices: int) -> dict[str, Any]:
    """The params of a run whose epochs have one step, so that curves have every step; a fifth sees the prior alone.

    Batches are small, since every epoch begins with new clips and draws, which take longer than its step.
    """
    short: dict[str, Any] = copy.deepcopy(dict(params))
    short["training"] |= {"device": "cpu", "precision": "32-true", "threads": 1, "debug": False, "patience": 0}
    short["training"] |= {"shards": shards, "devices": devices, "start": "none", "resume": "none"}
    short["training"] |= {"batch_size": WINDOWS * shards, "prior_batch_size": WINDOWS * shards}
    short["training"] |= {"epochs": steps, "steps_per_epoch": 1, "validate_every": steps, "prior_epochs": steps // 5}
    short["finetune"] |= {"enabled": True, "checkpoint": "data/models/pretrained.pt", "label_fraction": 0.5}
    short["finetune"] |= {"epochs": steps, "steps_per_epoch": 1, "batch_size": WINDOWS * shards}
    return short


def _prepare(params: Mapping[str, Any], paths: Paths, own: Paths) -> None:
    shutil.rmtree(own.root, ignore_errors=True)
    own.poses.parent.mkdir(parents=True)
    own.poses.symlink_to(paths.poses.resolve())
    (own.root / "params.yaml").write_text(yaml.safe_dump(dict(params)), encoding="utf-8")


def _run(stage: str, root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(MODULES.resolve()), "DVC_STAGE": stage}  # params are checked by now
    command = [sys.executable, "-m", f"stages.{stage}"]
    result = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(f"stages.{stage} in {root} failed: {(result.stderr.strip() or result.stdout)[-300:]}")
