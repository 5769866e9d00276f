"""Where every stage reads and writes, relative to the project's root (tests pass a root of their own)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The files of one run of the pipeline below `root`."""

    root: Path = Path()

    def raw(self, source: str) -> Path:
        """The folder of a source's raw files."""
        return self.root / "data" / "raw" / source

    def metrics(self, stage: str) -> Path:
        """The flat JSON metrics of a stage."""
        return self.root / "metrics" / f"{stage}.json"

    def speed(self, stage: str) -> Path:
        """How long a stage took, and how fast it was, the last time; not an output of DVC."""
        return self.logs / f"{stage}_speed.json"

    def plot(self, name: str) -> Path:
        """A CSV file that DVC draws."""
        return self.root / "plots" / name

    @property
    def checked(self) -> Path:
        """What the stage check leaves behind: the same text whatever params.yaml says."""
        return self.root / "data" / "processed" / "params_checked.txt"

    @property
    def downloads(self) -> Path:
        """What the stage check leaves behind for the download: what params.yaml needs of it."""
        return self.root / "data" / "processed" / "downloads.txt"

    @property
    def poses(self) -> Path:
        """The HDF5 store of preprocessed sequences."""
        return self.root / "data" / "processed" / "poses.h5"

    @property
    def other_test(self) -> Path:
        """The HDF5 store of the test split where another source is tested on (`evaluation.source`), else empty."""
        return self.root / "data" / "processed" / "other_test.h5"

    @property
    def same_source(self) -> Path:
        """What stands in data/raw for `evaluation.source: same`: DVC's stages depend on a file for every source."""
        return self.raw("same")

    @property
    def stats(self) -> Path:
        """The cached statistics of the store."""
        return self.root / "data" / "processed" / "stats.json"

    def start(self, name: str) -> Path:
        """A checkpoint to start training from, which git keeps or a user puts there."""
        return self.root / "data" / "starts" / name

    @property
    def pretrained(self) -> Path:
        """The checkpoint that pre-training hands on."""
        return self.root / "data" / "models" / "pretrained.pt"

    @property
    def finetuned(self) -> Path:
        """The checkpoint that is evaluated: fine-tuned, or the pre-trained one where fine-tuning is off."""
        return self.root / "data" / "models" / "finetuned.pt"

    def states(self, stage: str) -> Path:
        """The states of runs of a stage that are on, or were stopped; not an output of DVC."""
        return self.root / "data" / "scratch" / stage

    @property
    def predictions(self) -> Path:
        """The predicted poses of the test split."""
        return self.root / "data" / "predictions" / "test.h5"

    @property
    def logs(self) -> Path:
        """TensorBoard's event files, a folder a run; not an output of DVC."""
        return self.root / "data" / "logs"

    @property
    def figures(self) -> Path:
        """The pictures of the visualize stage."""
        return self.root / "plots" / "figures"

    @property
    def viewer(self) -> Path:
        """The page that shows test sequences in 3D."""
        return self.root / "plots" / "viewer.html"
