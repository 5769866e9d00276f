"""Find cameras from the motion that they see: python -m stages.find_camera [CHECKPOINT] [--split NAME] [--write FILE].

Prints a row for each camera of a split: the focal length of its rays, the one found from motion, elevation, roll, and
whether the motion suffices to find the focal length (see lib/inference/camera_search.py). --write writes them as
lib/pose/camera_files.py reads them; focal lengths that were not found stay as they were. Cameras are told apart by
name, and stand still.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lib.data.split import Split
from lib.data.store import read_cameras, read_split
from lib.evaluation.lifting import EvaluationParams
from lib.inference.camera_search import FoundCamera, find_cameras
from lib.inference.lifter import Lifter
from lib.pose.camera_files import fits, write_cameras
from lib.pose.cameras import Camera, with_focal
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.logs import say
from lib.runtime.params import section
from lib.runtime.paths import Paths
from lib.runtime.stage import main

LENS = ("size", "focal", "center", "radial", "tangential", "opencv")  # what makes rays of pixels
COLUMNS = ("camera", "seconds", "focal px", "found px", "elevation", "roll", "motion tells the focal length")


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Print a row a camera, and write the file."""
    evaluation = section(EvaluationParams, "evaluation", params)
    lifter = Lifter.load(arguments.checkpoint or paths.finetuned, evaluation.device)
    split, cameras = _chosen(paths.poses, arguments.split, arguments.sequences)
    found = find_cameras(split, lifter)
    Console().table(COLUMNS, [_row(cameras[name], one) for name, one in found.items()])
    if arguments.write is not None:
        likely = {
            name: with_focal(cameras[name], one.focal_factor if one.tells else 1.0) for name, one in found.items()
        }
        write_cameras(arguments.write, likely, {name: _comment(one) for name, one in found.items()})
        say(f"wrote {arguments.write}")


def _chosen(path: Path, name: str, pattern: str) -> tuple[Split, dict[str, Camera]]:
    """The sequences that fit a pattern, and their cameras by name.

    Raises:
        UserError: none fits, or cameras of one name are not the same.
    """
    split = read_split(path, name)
    cameras: dict[str, Camera] = {}
    kept = []
    which = zip(split.table["subject"], split.table["action"], read_cameras(path, name), strict=True)
    for number, (subject, action, camera) in enumerate(which):
        if not fits(pattern, subject, action, camera.name):
            continue
        first = cameras.setdefault(camera.name, camera)
        if any(getattr(first, part) != getattr(camera, part) for part in LENS):
            raise UserError(
                f"{path}: camera {camera.name} is not the same in {subject}/{action}: choose by --sequences"
            )
        kept.append(number)
    if not kept:
        raise UserError(f"--sequences {pattern} fits no {name} sequence: write a camera or subject/action/camera")
    table = split.table.iloc[kept]
    rows = zip(table["start"], table["length"], strict=True)
    frames = torch.cat([torch.arange(start, start + length) for start, length in rows])
    table = table.assign(start=table["length"].cumsum() - table["length"]).reset_index(drop=True)
    return split.take(frames, table), cameras


def _row(camera: Camera, found: FoundCamera) -> tuple[str, ...]:
    focal = found.focal_factor * camera.focal[0]
    return (
        *(camera.name, f"{found.seconds:.0f}", f"{camera.focal[0]:.0f}", f"{focal:.0f} +- {found.focal_std:.0%}"),
        f"{found.elevation_deg:.0f} +- {found.elevation_std:.0f}",
        f"{found.roll_deg:.0f} +- {found.roll_std:.0f}",
        "yes" if found.tells else "no: it stays",
    )


def _comment(found: FoundCamera) -> str:
    if not found.tells:
        return "focal as it was: motion does not tell it"
    return f"focal found from {found.seconds:.0f} seconds of motion, +- {found.focal_std:.0%}"


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.find_camera", description=__doc__)
    parser.add_argument("checkpoint", nargs="?", type=named_path, help="data/models/finetuned.pt, unless named")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--sequences", default="*", metavar="PATTERN", help="a camera or subject/action/camera, with *")
    parser.add_argument("--write", type=named_path, metavar="FILE", help="a YAML file of cameras")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
