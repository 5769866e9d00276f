"""Kills at random moments: whether a pipeline that goes on afterwards ends as one that nobody disturbed, byte for byte.

Real processes are killed by SIGKILL, in a copy of the project in a folder of its own, with short runs whose states are
written after every epoch. Some moments are anywhere in a stage; others are while a file is being written, of which a
random part is there by then. Under DVC, what is killed is the stage, DVC, or both.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lib.experiments.variants import Changes, changed
from lib.runtime.errors import UserError

STAGES = {  # and what each writes that is compared, the largest file first
    "preprocess": ("data/processed/poses.h5", "data/processed/stats.json", "metrics/preprocess.json"),
    "pretrain": ("data/models/pretrained.pt", "plots/training.csv", "metrics/pretrain.json"),
    "finetune": ("data/models/finetuned.pt", "plots/finetuning.csv", "metrics/finetune.json"),
}
ANY, OUTPUT, STATE = "any time", "while the output is written", "while a state is written"
KINDS = {"preprocess": (ANY, OUTPUT), **dict.fromkeys(("pretrain", "finetune"), (ANY, STATE, STATE, OUTPUT))}
VICTIMS = ("stage", "dvc", "both")
MOST = 4  # moments in one stage, after which it may end
PATIENCE = 300.0  # seconds that a stage may take
RETRIES = 60  # seconds until an orphan has noticed that nobody waits for it
SHORT: Changes = {
    "data.source": "sample",
    "evaluation.source": "same",
    **{f"training.{name}": "none" for name in ("start", "resume")},
    "training.objective": "lift",
    "training.device": "cpu",
    "training.precision": "32-true",
    "training.threads": 1,
    "training.epochs": 6,
    "training.steps_per_epoch": 3,
    "training.batch_size": 16,
    "training.prior_batch_size": 16,
    "training.prior_epochs": 1,
    "training.validate_every": 2,
    "training.patience": 0,
    "training.debug": False,
    "finetune.enabled": True,
    "finetune.checkpoint": "data/models/pretrained.pt",
    "finetune.epochs": 4,
    "finetune.steps_per_epoch": 3,
    "finetune.batch_size": 16,
}
COPIED = ("lib", "stages", ".dvc/config", ".dvcignore", "data/starts", "data/raw/sample", "data/raw/h36m")
RUNNER = '''"""One stage, which writes its state after every epoch: python often.py STAGE."""

import importlib
import sys
from functools import partial

from lib.runtime.stage import main
from lib.training.recovery import ALWAYS

run = importlib.import_module(f"stages.{sys.argv[1]}").run
main(run if sys.argv[1] == "preprocess" else partial(run, pace=ALWAYS))
'''


class Moment(NamedTuple):
    """When and what to kill."""

    stage: str
    kind: str
    victim: str
    share: float  # of the stage's usual time, or of the file
    skipped: int = 0  # writes of a state that are let go before


class Kill(NamedTuple):
    """A kill that struck."""

    round: int
    stage: str
    kind: str
    victim: str
    seconds: float  # since the command began
    bytes: int  # of an unfinished file that was left behind


class Outcome(NamedTuple):
    """What became of all rounds."""

    kills: list[Kill]
    differing: list[str]  # outputs that were not those of the undisturbed run
    refused: int  # commands that an orphan was still in the way of


@dataclass
class _Workshop:
    """A folder in which the pipeline runs, through DVC or stage by stage."""

    root: Path
    through_dvc: bool
    refused: int = 0

    def start(self, stage: str) -> "subprocess.Popen[bytes]":
        """Start a command in a session of its own; what it says goes to a file."""
        words = ["dvc", "repro", stage] if self.through_dvc else [sys.executable, "often.py", stage]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1"}
        if not self.through_dvc:
            environment["DVC_STAGE"] = stage  # params are known to be right
        with (self.root / "log.txt").open("ab") as log:
            return subprocess.Popen(
                words, cwd=self.root, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def finish(self, stage: str) -> None:
        """Run a stage to its end, as soon as no orphan is in the way."""
        for _ in range(RETRIES):
            if self.start(stage).wait(PATIENCE) == 0:
                return
            if not self._in_the_way():
                break
            self.refused += 1
            time.sleep(1.0)
        raise UserError(f"{stage} failed in {self.root}: {self._last_lines()}")

    def strike(self, moment: Moment, usual: float, size: int) -> Kill | None:
        """Start a stage and kill at a moment; None if it ended before."""
        for _ in range(RETRIES):
            process, began = self.start(moment.stage), time.monotonic()
            deadline = began + moment.share * usual
            wanted, struck, old = moment.skipped, False, self._unfinished(moment).keys()
            seen = child = 0
            while process.poll() is None and not struck:
                if self.through_dvc and not child:
                    child = _youngest(process.pid)
                if moment.kind == ANY:
                    time.sleep(0.01)
                    struck = time.monotonic() >= deadline
                    continue
                written = self._newest(moment, old)
                wanted -= seen > 0 and written < seen  # that one is complete, or another one has begun
                seen = written
                struck = wanted <= 0 and written > moment.share * size
            if struck:
                self._kill(process, child, moment.victim)
                return Kill(0, *moment[:3], round(time.monotonic() - began, 2), self._newest(moment, old))
            if process.wait() == 0:
                return None
            if not self._in_the_way():
                raise UserError(f"{moment.stage} failed in {self.root}: {self._last_lines()}")
            self.refused += 1
            time.sleep(1.0)
        raise UserError(f"{moment.stage} was refused for {RETRIES} seconds in {self.root}: {self._last_lines()}")

    def outputs(self) -> dict[str, bytes | None]:
        """All outputs that are there."""
        paths = {name: self.root / name for names in STAGES.values() for name in names}
        return {name: path.read_bytes() if path.exists() else None for name, path in paths.items()}

    def _newest(self, moment: Moment, old: Collection[Path]) -> int:
        """The bytes of the file of a moment that are written by now, others' left aside."""
        return max((size for path, size in self._unfinished(moment).items() if path not in old), default=0)

    def _unfinished(self, moment: Moment) -> dict[Path, int]:
        """The files of a moment that are being written, or were when their process was killed, and their bytes."""
        output = self.root / STAGES[moment.stage][0]
        pattern, folder = f".*.{output.name}", output.parent
        if moment.kind == STATE:
            pattern, folder = "*/.*.state.pt", self.root / "data" / "scratch" / moment.stage
        sizes: dict[Path, int] = {}
        with suppress(OSError):  # it is complete by now, or its folder is gone
            for path in folder.glob(pattern):
                with suppress(OSError):
                    sizes[path] = path.stat().st_size
        return sizes

    def _kill(self, process: "subprocess.Popen[bytes]", child: int, victim: str) -> None:
        with suppress(ProcessLookupError):
            if victim == "both" or not child:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                os.kill(child if victim == "stage" else process.pid, signal.SIGKILL)
        process.wait()

    def _in_the_way(self) -> bool:
        said = self._last_lines()
        return "is being trained by process" in said or "Unable to acquire lock" in said or "is busy" in said

    def _last_lines(self) -> str:
        return " ".join((self.root / "log.txt").read_text(errors="replace").split("\n")[-12:])[-600:]


def faults(
    project: Path,
    params: Mapping[str, Any],
    folder: Path,
    moments: int,
    seed: int,
    announce: Callable[[str], None],
    through_dvc: bool = True,
    stages: tuple[str, ...] = tuple(STAGES),
) -> Outcome:
    """Run the pipeline undisturbed, then again and again with so many kills in all, and compare what it made.

    Without DVC only stages are killed, and the files that the first of them reads are the project's.

    Raises:
        UserError: the sample is missing, a stage fails that nobody killed, or most moments never come.
    """
    prepared, whole = folder / "prepared", _Workshop(folder / "whole", through_dvc)
    _prepare(project, params, prepared, through_dvc)
    shutil.copytree(prepared, whole.root)
    usual = {}
    for stage in stages:
        began = time.monotonic()
        whole.finish(stage)
        usual[stage] = time.monotonic() - began
        announce(f"undisturbed {stage}: {usual[stage]:.1f} s")
    expected = whole.outputs()
    sizes = {stage: len(expected[STAGES[stage][0]] or b"") for stage in stages}
    states = {stage: _size(whole.root / "data" / "scratch" / stage / "last_state.pt") for stage in stages}
    kills: list[Kill] = []
    differing: list[str] = []
    refused = number = 0
    rest = _moments(random.Random(seed), through_dvc, stages)
    while len(kills) < moments:
        number += 1
        if number > 2 * moments + 1:
            raise UserError(f"only {len(kills)} of {moments} kills struck in {number - 1} runs, which end too soon")
        shop = _Workshop(folder / f"round{number}", through_dvc)
        shutil.copytree(prepared, shop.root)
        for stage in stages:
            for _ in range(MOST):
                if len(kills) == moments:
                    break
                moment = next(rest[stage])
                size = states[stage] if moment.kind == STATE else sizes[stage]
                kill = shop.strike(moment, usual[stage], size)
                if kill is None:
                    break
                kills.append(kill._replace(round=number))
                announce(f"{len(kills)} of {moments}: {kill.victim} killed in {stage}, {kill.kind}, {kill.bytes} bytes")
            shop.finish(stage)
        got = shop.outputs()
        wrong = [name for name, content in expected.items() if got[name] != content]
        announce(f"round {number}: " + (f"DIFFERENT: {', '.join(wrong)}" if wrong else "every output byte-identical"))
        differing += [f"round {number}: {name}" for name in wrong]
        refused += shop.refused
        if not wrong:
            shutil.rmtree(shop.root)
    return Outcome(kills, differing, refused)


def _moments(generator: random.Random, through_dvc: bool, stages: tuple[str, ...]) -> dict[str, Iterator[Moment]]:
    def draw(stage: str) -> Iterator[Moment]:
        while True:
            victim = generator.choice(VICTIMS) if through_dvc else "stage"
            kind = generator.choice(KINDS[stage])
            yield Moment(stage, kind, victim, generator.random(), generator.randrange(2) if kind == STATE else 0)

    return {stage: draw(stage) for stage in stages}


def _prepare(project: Path, params: Mapping[str, Any], root: Path, through_dvc: bool) -> None:
    """A copy of the project with short runs, and everything that the stages read."""
    raw = project / "data" / "raw" / "sample"
    if not any(raw.glob("*.txt")):
        raise UserError(f"{raw} is missing: run `dvc repro download` first")
    for name in COPIED:
        source, target = project / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target)
    (root / "often.py").write_text(RUNNER, encoding="utf-8")
    (root / "params.yaml").write_text(json.dumps(changed(params, SHORT), indent=1), encoding="utf-8")
    pipeline = (project / "dvc.yaml").read_text(encoding="utf-8")
    for stage in STAGES:
        pipeline = pipeline.replace(f"cmd: python -m stages.{stage}\n", f"cmd: python often.py {stage}\n")
    (root / "dvc.yaml").write_text(pipeline, encoding="utf-8")
    if not through_dvc:
        for name in ("data/processed", "data/models"):
            if (project / name).is_dir():
                shutil.copytree(project / name, root / name)
        return
    (root / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    shop = _Workshop(root, through_dvc)
    shop.finish("check")
    # The sample's clips count as downloaded.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    words = ["dvc", "commit", "--force", "--quiet", "download"]
    result = subprocess.run(
        words, cwd=root, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise UserError(f"{' '.join(words)} failed: {result.stderr.strip()[-200:]}")


def _youngest(process: int) -> int:
    """The process that the children of one end in; 0 if it has none."""
    last = 0
    while True:
        found = subprocess.run(
            ["pgrep", "-P", str(last or process)], capture_output=True, text=True, check=False
        ).stdout.split()
        if not found:
            return last
        last = int(found[-1])


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
