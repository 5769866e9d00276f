"""Memory and speed of the stages on as much motion as Human3.6M has, and on several times as much.

The motion is the prior's, played forwards and backwards by people who turn and walk about, in the files that Human3.6M
comes in; its cameras film it. Every stage runs in a process of its own, whose peak is asked of the system.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from lib.data.mapped import IN_MEMORY
from lib.pose.geometry import levelling, rotate, rotation_about
from lib.pose.skeleton import H36M
from lib.prior.sampler import PosePrior, PriorParams
from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.runtime.params import section
from lib.sources.h36m import FPS
from lib.sources.h36m_cameras import SUBJECTS, cameras

TAKES, FRAMES = 30, 2600  # of a subject, and of a take, as Human3.6M has them
MOTIONS, WINDOW = 64, 150  # that are drawn, and their frames
HEIGHT = 0.9  # metres, of the root
SCRIPT = """
import importlib, sys
from pathlib import Path
from lib.data import mapped
from lib.runtime.params import read
from lib.runtime.paths import Paths
mapped.IN_MEMORY = int(sys.argv[2])
importlib.import_module(f"stages.{sys.argv[1]}").run(read(Path("params.yaml")), Paths())
"""


class Measured(NamedTuple):
    """What a stage took."""

    data: str  # how many times Human3.6M
    stage: str
    where: str  # the arrays are: in memory, in the file
    seconds: float
    peak_gb: float  # of the largest of its processes
    poses_per_second: float | None  # in the training loop


def measure(project: Path, params: Mapping[str, Any], sizes: list[float], steps: int) -> Iterator[Measured]:
    """Generate the data of each size, run the stages on it, and remove it again.

    Raises:
        UserError: a stage fails.
    """
    scratch = project / "data" / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="memory-") as name:
        for size in sizes:
            folder = Path(name) / f"{size:g}"
            # In a process of its own: a process begins with the peak of the one that starts it.
            generating = get_context("spawn").Process(target=generate, args=(folder / "data/raw/h36m", params, size))
            generating.start()
            generating.join()
            if generating.exitcode != 0:
                raise UserError(f"the motion of {size:g} x Human3.6M could not be generated: see above")
            (folder / "params.yaml").write_text(yaml.safe_dump(_params(params, steps), sort_keys=False))
            yield _run(project, folder, size, "preprocess", 0)
            for file in (folder / "data" / "raw" / "h36m").iterdir():
                file.unlink()  # the disk has better uses
            for limit in (IN_MEMORY, 1 << 62) if size <= 1 else (IN_MEMORY,):
                for stage in ("pretrain", "finetune", "evaluate"):
                    measured = _run(project, folder, size, stage, limit)
                    if stage != "finetune":  # it hands on the checkpoint
                        yield measured
            for file in (folder / "data" / "processed").iterdir():
                file.unlink()


def generate(folder: Path, params: Mapping[str, Any], size: float) -> None:
    """Write files in Human3.6M's layout, of `size` times its frames."""
    generator = torch.Generator().manual_seed(0)
    motions = world_motions(PosePrior(section(PriorParams, "prior", params)), generator)
    positions: dict[str, dict[str, Any]] = {}
    keypoints: dict[str, dict[str, Any]] = {}
    for subject in SUBJECTS:
        positions[subject], keypoints[subject] = {}, {}
        for number in range(max(1, round(TAKES * size))):
            world = _take(motions[int(torch.randint(MOTIONS, (1,), generator=generator))], generator)
            action = f"Motion {number + 1}"
            positions[subject][action] = world.numpy()
            views = [camera.project(camera.to_camera(world.double())).float() for camera in cameras(subject)]
            keypoints[subject][action] = [view.numpy() for view in views]
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"num_joints": len(H36M), "keypoints_symmetry": [list(H36M.left), list(H36M.right)]}
    with replacing(folder / "data_3d_h36m.npz") as temporary:
        np.savez(temporary, positions_3d=np.array(positions, object))
    with replacing(folder / "data_2d_h36m_gt.npz") as temporary:
        np.savez(temporary, positions_2d=np.array(keypoints, object), metadata=np.array(metadata, object))


def world_motions(prior: PosePrior, generator: torch.Generator) -> Float[Tensor, "motion frame joint 3"]:
    """Motions of the prior, the root in the origin, z up."""
    drawn = prior.sample_motion(MOTIONS, WINDOW, 1 / FPS, generator)
    level = rotate(levelling(drawn.up), drawn.joints)
    x, y, z = level.unbind(-1)
    return torch.stack([x, z, -y], -1)


def _take(motion: Float[Tensor, "frame joint 3"], generator: torch.Generator) -> Float[Tensor, "instant joint 3"]:
    """A take in the world: the motion forwards and backwards, of somebody who turns while walking in a circle."""
    frames = torch.arange(FRAMES)
    phase = frames % (2 * WINDOW - 2)
    played = motion[torch.where(phase < WINDOW, phase, 2 * WINDOW - 2 - phase)]
    turn = math.tau * (torch.rand(1, generator=generator) + frames / FRAMES * torch.randn(1, generator=generator))
    place = torch.stack([0.5 * turn.cos(), 0.5 * turn.sin(), torch.full_like(turn, HEIGHT)], -1)
    return rotate(rotation_about("z", turn), played) + place[:, None]


def _params(params: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Those of the project, for the motion, and so many steps."""
    changed: dict[str, Any] = json.loads(json.dumps(params))
    changed["data"] |= {"source": "h36m", "keypoints": "gt", "split": "auto"}
    changed["training"] |= {"epochs": 2, "steps_per_epoch": max(1, steps // 2), "prior_epochs": 1, "start": "none"}
    return changed


def _run(project: Path, folder: Path, size: float, stage: str, limit: int) -> Measured:
    """Run a stage in a process of its own, whose splits of more than `limit` bytes stay in their file."""
    environment = {**os.environ, "PYTHONPATH": str(project.resolve())}
    began = time.perf_counter()
    with (folder / f"{stage}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, stage, str(limit)], cwd=folder, env=environment, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        said = (folder / f"{stage}.log").read_text().strip().splitlines()
        raise UserError(f"{stage} on {size:g} x Human3.6M failed: {said[-1] if said else process.returncode}")
    rate = None
    if stage == "pretrain":
        rate = json.loads((folder / "data" / "logs" / "pretrain_speed.json").read_text())["poses_per_second"]
    where = "in memory" if limit > IN_MEMORY else "in the file"
    return Measured(f"{size:g} x", stage, where, seconds, usage.ru_maxrss * 1024 / 1e9, rate)
