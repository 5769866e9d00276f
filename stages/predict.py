"""Lift videos, or keypoints of any detector, to 3D: python -m stages.predict INPUT... [--viewer] [--world] ...

INPUT is a video, a folder of pictures, a file of keypoints, or a folder of any of these. Without --checkpoint the model
is data/models/finetuned.pt, or else data/starts/generalist.pt.gz. Writes a file for each person and format to --output,
or to data/predictions/NAME, and says which.

--stream lifts frame by frame: camera:0, a video, or, without INPUT, lines from standard input: what a detector writes
of one frame in JSON, or {"keypoints": [[x, y, confidence], ...], "time": seconds}. A line of JSON a frame goes to
standard output as soon as the frame came, and all else to standard error.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import orjson
import torch

from lib.data.store import read_split
from lib.detection.blazepose import BlazePose
from lib.detection.networks import litert
from lib.detection.video import Video, Webcam
from lib.export.catalog import FORMATS, write_motion
from lib.export.names import file_name, file_names
from lib.inference.lifter import Lifter
from lib.inference.motion import Motion
from lib.inference.prediction import Options, Smoothing, Who, predict, predict_split, size_of_height
from lib.inference.streaming import camera_number, speed, stream
from lib.pose.cameras import assumption
from lib.pose.layouts import layout_named
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from lib.runtime.stage import command, positive
from lib.sources.inputs import Given, check_given, read_input
from lib.sources.streams import DETECTED, camera_of, of_lines, of_pictures
from lib.sources.videos import fetch_detector, load_detector
from lib.viewer.page import Scene, write_viewer

GENERALIST = "generalist.pt.gz"
PAGE = "viewer.html"
THREADS = 2  # of the detector


def run(arguments: argparse.Namespace, paths: Paths) -> None:
    """Predict, write, and say where."""
    console, given = Console(), _given(arguments)
    check_given(given)
    usual = paths.finetuned if paths.finetuned.is_file() else paths.start(GENERALIST)
    lifter = Lifter.load(arguments.checkpoint or usual, arguments.device)
    if arguments.stream:
        _stream(lifter, arguments, given, paths)
        return
    options = Options(arguments.batch_size, arguments.world, arguments.height, arguments.smooth)
    motions, bad = _test_data(lifter, paths, options) if arguments.test_data else [], list[str]()
    for path in arguments.inputs:
        try:
            motions += _lifted(lifter, path, given, options, paths, console)
        except UserError as error:
            bad.append(str(error))
            if len(arguments.inputs) > 1:
                console.announce(f"left out: {error}")
    if not motions:
        raise UserError("; ".join(bad))
    name = file_name("test" if arguments.test_data else arguments.inputs[0].resolve().stem)
    folder = arguments.output or paths.predictions.parent / name
    written = [
        path
        for motion, own in zip(motions, file_names(motions), strict=True)
        for path in write_motion(motion, folder, own, arguments.format)
    ]
    if arguments.viewer:
        write_viewer(folder / PAGE, _scenes(motions), title=name)
    frames = sum(len(motion) for motion in motions)
    console.announce(f"lifted {frames} frames of {len(motions)} people; wrote {len(written)} files to {folder}")
    console.announce(f"open {folder / PAGE}" if arguments.viewer else f"the first is {written[0]}")
    if bad:
        raise UserError(f"{len(bad)} of {len(arguments.inputs)} inputs could not be used; they are named above")


def _given(arguments: argparse.Namespace) -> Given:
    given = Given(arguments.keypoints, arguments.layout, arguments.camera, arguments.fps, person=arguments.person)
    if arguments.size is not None:
        given = given._replace(size=tuple(arguments.size))
    return given if arguments.rotate is None else given._replace(rotate=arguments.rotate)


def _stream(lifter: Lifter, arguments: argparse.Namespace, given: Given, paths: Paths) -> None:
    """Lift frame by frame."""
    torch.set_num_threads(1)  # one frame is too little to be shared
    said = None if given.layout == "auto" else layout_named(given.layout, Path())
    size = given.size
    if arguments.inputs:
        (path,) = arguments.inputs
        number = camera_number(path)
        pictures = Video.open(path) if number is None else Webcam(number)
        size, said = (pictures.width, pictures.height), DETECTED
        moments = of_pictures(pictures, _detector(paths), pictures.fps if isinstance(pictures, Video) else None)
    elif size == "auto":
        raise UserError("lines do not say how large the pictures are: say --size WIDTH HEIGHT")
    else:
        moments = of_lines(sys.stdin.buffer, given)
    camera = camera_of(given, size)
    if camera.assumed:
        print(assumption(camera), file=sys.stderr)
    body_size = None if arguments.height is None else size_of_height(arguments.height)
    taken = stream(lifter, moments, said, camera, _write_line, body_size, arguments.smooth != "off")
    print(speed(taken), file=sys.stderr)


def _write_line(content: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(content) + b"\n")
    sys.stdout.buffer.flush()


def _detector(paths: Paths) -> BlazePose:
    """BlazePose, fetched if it is not there."""
    litert()  # before anything is fetched for it
    fetch_detector(paths.raw("blazepose"))
    return load_detector(paths.raw("blazepose"), THREADS)


def _lifted(lifter: Lifter, path: Path, given: Given, options: Options, paths: Paths, console: Console) -> list[Motion]:
    """The motions of an input."""
    motions, said = [], set[str]()
    for source, video in read_input(path, given, cache(partial(_detector, paths)), console.announce):
        said |= {assumption(sequence.camera) for sequence in source.sequences if sequence.camera.assumed}
        for note in source.notes:
            console.announce(note)
        motions += predict(lifter, source.sequences, source.layout, options, video)
    for line in sorted(said):
        console.announce(line)
    return motions


def _test_data(lifter: Lifter, paths: Paths, options: Options) -> list[Motion]:
    """The pipeline's test split, each sequence as a video of its own."""
    split = read_split(paths.poses, "test", "if any")
    columns = (split.table[name] for name in ("subject", "action", "camera"))
    return predict_split(lifter, split, [Who("/".join(row), "0") for row in zip(*columns, strict=True)], options)


def _scenes(motions: Sequence[Motion]) -> list[Scene]:
    """A scene a video."""
    return [Scene(name, list(group)) for name, group in groupby(motions, key=lambda motion: motion.name)]


def _person(text: str) -> str | int:
    if text not in ("all", "longest") and not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor all nor longest")
    return int(text) if text.isdigit() else text


def _formats(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is no format: choose of {', '.join(FORMATS)}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.predict", description=__doc__)
    parser.add_argument("inputs", nargs="*", type=Path, metavar="INPUT")
    parser.add_argument("--test-data", action="store_true", help="the pipeline's test split in place of inputs")
    parser.add_argument("--stream", action="store_true", help="frame by frame: camera:0, a video, or standard input")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--output", type=Path, metavar="DIR")
    parser.add_argument("--format", type=_formats, default=["json"], help=f"one or several: {','.join(FORMATS)}")
    parser.add_argument("--viewer", action="store_true", help="write a page that shows the motions")
    parser.add_argument("--world", action="store_true", help="upright, with feet on the floor; else before the camera")
    parser.add_argument("--height", type=positive(float), metavar="METRES", help="how tall people are")
    parser.add_argument("--camera", type=Path, metavar="FILE", help="a YAML file of cameras, as data.cameras")
    parser.add_argument("--person", type=_person, metavar="N", help="a number, all, or longest")
    parser.add_argument("--smooth", choices=get_args(Smoothing), default="default")
    parser.add_argument("--batch-size", type=positive(int), default=4096, help="windows at once")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--fps", type=positive(float), default=30.0, help="where files say nothing")
    parser.add_argument("--size", type=positive(int), nargs=2, metavar=("WIDTH", "HEIGHT"), help="of the pictures")
    parser.add_argument("--rotate", type=int, choices=(0, 90, 180, 270), help="degrees clockwise")
    parser.add_argument("--keypoints", default="auto", help="the files' format")
    parser.add_argument("--layout", default="auto", help="what the keypoints mark")
    arguments = parser.parse_args()
    if arguments.stream and (arguments.test_data or arguments.world or arguments.viewer or len(arguments.inputs) > 1):
        parser.error("--stream takes one INPUT or standard input, and writes lines in the camera frame")
    if not arguments.stream and bool(arguments.inputs) == arguments.test_data:
        parser.error("name an INPUT, or say --test-data")
    if (
        arguments.person is not None
        and arguments.person not in ("all", "longest")
        and isinstance(arguments.person, str)
    ):
        parser.error("--person is a number, all or longest")
    return arguments


if __name__ == "__main__":
    command(partial(run, _arguments()))
