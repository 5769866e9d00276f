"""How fast a run is and where its time goes, by epoch: for TensorBoard, the file of times and the log file."""

import logging
import time
from collections.abc import Callable, Mapping

import torch

from lib.runtime.timing import SECTIONS
from lib.runtime.usage import device_memory, device_utilization, resident_memory
from lib.training.slowness import Slowness

# Of the time; stages/README.md says what each is.
PARTS = ("loader", "prior", "teacher", "inputs", "model", "exchange", "validation")
LOG = logging.getLogger(__name__)


class Monitor:
    """The figures of one process of a run; what training is told of it is a line when it has become slow."""

    def __init__(
        self,
        device: torch.device,
        announce: Callable[[str], None],
        slowness: Slowness | None = None,
        wall: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.process_time,
        sections: Callable[[], Mapping[str, float]] = SECTIONS.read,
    ) -> None:
        self._device, self._slowness = device, slowness or Slowness(announce)
        self._wall, self._cpu, self._sections = wall, cpu, sections
        self._epochs: list[dict[str, float]] = []
        self.start()

    def start(self) -> None:
        """The run begins now, and not with what prepared it."""
        self._first = self._before = self._read()
        self._poses, self._step_seconds = 0, 0.0
        self._utilization: float | None = None

    def steps_begin(self, kind: object = None) -> None:
        """Steps follow, of a kind whose speed is compared."""
        self._slowness.begin(kind)
        self._began = self._wall()

    def step(self, poses: int) -> None:
        """Count a step."""
        self._poses += poses
        self._slowness.step(poses)

    def steps_end(self) -> None:
        """The last step of an epoch is done."""
        self._slowness.end()
        self._step_seconds += self._wall() - self._began
        self._utilization = device_utilization(self._device)

    def epoch(self, number: int) -> dict[str, float]:
        """Close an epoch; returns its figures by their names in TensorBoard."""
        now = self._read()
        figures = {
            "speed/poses_per_second": self._poses / max(self._step_seconds, 1e-9),
            **_shares(self._before, now),
            "memory/process_mb": _megabytes(resident_memory()),
            "memory/device_mb": _megabytes(device_memory(self._device)),
            "speed/device_utilization": self._utilization,
        }
        known = {name: value for name, value in figures.items() if value is not None}
        self._epochs.append({"epoch": number, **{name: round(value, 3) for name, value in known.items()}})
        LOG.info("epoch %d: %s", number, ", ".join(f"{name} {value:.4g}" for name, value in known.items()))
        self._before, self._poses, self._step_seconds = now, 0, 0.0
        return known

    def summary(self) -> dict[str, object]:
        """All that this process has measured, for a file: of a run that was stopped, its last part alone."""
        if not self._epochs:
            return {"part": {}, "epochs": []}
        shares = {name: round(value, 3) for name, value in _shares(self._first, self._before).items()}
        first, last = (self._epochs[place]["epoch"] for place in (0, -1))
        seconds = round(self._before[0] - self._first[0], 1)
        part = {"first_epoch": first, "last_epoch": last, "seconds": seconds, **shares}
        return {"part": part, "epochs": self._epochs}

    def _read(self) -> tuple[float, float, Mapping[str, float]]:
        return self._wall(), self._cpu(), self._sections()


def _shares(
    before: tuple[float, float, Mapping[str, float]], now: tuple[float, float, Mapping[str, float]]
) -> dict[str, float]:
    """Shares of the time between two readings by part, and how many cores this process had."""
    wall = max(now[0] - before[0], 1e-9)
    taken = {part: now[2].get(part, 0.0) - before[2].get(part, 0.0) for part in PARTS}
    other = max(0.0, wall - sum(taken.values()))
    return {
        **{f"time/{part}": seconds / wall for part, seconds in {**taken, "other": other}.items()},
        "speed/cores": (now[1] - before[1]) / wall,
    }


def _megabytes(size: int | None) -> float | None:
    return None if size is None else size / 1e6
