"""Test a checkpoint on videos of real people: python -m stages.wild [CHECKPOINT] [--prepare].

Prints the errors of a checkpoint by layout and condition, and writes them to metrics/wild.csv. Missing recordings
are prepared first; --prepare prepares all again. This fetches videos, calibration, detector and motion capture into
data/raw/wild, detects keypoints, adjusts the cameras, triangulates a reference, and prints how well the views agree.
Nothing that is fetched is installed.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from lib.detection.blazepose import LANDMARKS
from lib.detection.networks import litert
from lib.evaluation.lifting import EvaluationParams
from lib.experiments.wild import COLUMNS
from lib.experiments.wild import wild as lifted_wild
from lib.inference.lifter import Lifter
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.files import replacing
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.sources import climbing, parcels, recordings, wild, wild_sessions
from lib.sources.parcels import Parcel
from lib.sources.videos import fetch_detector

_NOTE = "Taken unchanged from {requirement} ({licence}), of which nothing is installed: {wanted}.\n"
PARCELS = {
    "videos": (wild_sessions.VIDEOS, "BSD 3-Clause licence, copyright (c) 2022 perfanalytics: POSE2SIM-LICENSE.txt"),
    "climbing": (climbing.CAPTURE, "Apache licence 2.0, as its metadata say"),
}
HEAVY = {"heavy": (wild_sessions.HEAVY, "Apache licence 2.0, as its package.json says")}
ROWS = (
    *("session", "person", "camera", "frames", "detected"),
    *("calibrated px", "adjusted px", "reference px", "agree", "sides exchanged"),
)


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Prepare the recordings if they are not there, and lift them."""
    folder, console = paths.raw("wild"), Console()
    evaluation = section(EvaluationParams, "evaluation", params)
    to_prepare = arguments.prepare or not wild.recordings_file(folder, arguments.model).is_file()
    if to_prepare:
        litert()  # before 200 MB are fetched for it
    lifter = Lifter.load(arguments.checkpoint or paths.finetuned, evaluation.device)
    if to_prepare:
        fetch(folder, arguments.model, arguments.packages)
        console.table(ROWS, [cells(row) for row in wild.prepare(folder, arguments.model, console.announce)])
    made = recordings.read(wild.recordings_file(folder, arguments.model))
    table = lifted_wild(lifter, made, climbing.read_climbing(folder / "climbing"), evaluation.batch_size)
    with replacing(paths.metrics("wild").with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False, float_format="%.2f")
    console.table(COLUMNS, [tuple(map(_text, row)) for row in table.itertuples(index=False)])


def _text(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def fetch(folder: Path, kind: str, packages: Path | None = None) -> None:
    """Get what is not there yet; `packages` is a folder that may have copies of the packages."""
    fetch_detector(wild.detector_folder(folder), packages)
    for name, (parcel, licence) in (PARCELS | (HEAVY if kind == "heavy" else {})).items():
        _fetch(parcel, folder / name, licence, packages)


def _fetch(parcel: Parcel, target: Path, licence: str, packages: Path | None) -> None:
    if all((target / name).is_file() for name in parcel.members.values()):
        return
    copy = packages / parcel.file if packages else None
    note = _NOTE.format(requirement=parcel.requirement, licence=licence, wanted=parcel.wanted)
    parcels.fetch(parcel, target, note, copy if copy and copy.is_file() else None)


def cells(row: wild.Row) -> tuple[str, ...]:
    """A row of the table, as text."""
    return (
        *(row.session, row.person, row.camera, str(row.frames), str(row.detected)),
        *(f"{error:.1f}" for error in (row.before, row.after, row.error)),
        *(f"{share:.0%}" for share in (row.share, row.exchanged)),
    )


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.wild", description=__doc__)
    parser.add_argument("checkpoint", nargs="?", type=named_path, help="data/models/finetuned.pt, unless named")
    parser.add_argument("--prepare", action="store_true", help="fetch, detect and triangulate again")
    parser.add_argument("--model", choices=[kind for kind in LANDMARKS if kind != "lite"], default="full")
    parser.add_argument("--packages", type=named_path, help="a folder to look for the packages in before fetching")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
