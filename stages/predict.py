"""Lift videos, or keypoints of any detector, to 3D: python -m stages.predict INPUT... [--viewer] [--world] ...

INPUT is a video, a folder of pictures, a file of keypoints, or a folder of any of these. Without --checkpoint the model
is data/models/finetuned.pt where it was trained on keypoints of the same layout, or else data/starts/generalist.pt.gz.
Writes a file for each person and format to --output, or to data/predictions/NAME, and says where.

--stream lifts frame by frame: camera:0, a video, or, without INPUT, lines from standard input. A line is a detector's
JSON of one frame, or {"keypoints": [[x, y, confidence], ...], "time": seconds}. Each frame gives a line of JSON on
standard output at once; all else goes to standard error. --viewer shows the stream live in a browser.
"""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

import orjson
import torch

from lib.data.store import read_split, tested
from lib.detection.blazepose import BlazePose
from lib.detection.networks import litert
from lib.export.catalog import FORMATS, check_inputs, write_motions
from lib.export.names import file_name
from lib.inference.lifter import Lifter
from lib.inference.motion import Motion
from lib.inference.prediction import Options, Smoothing, predict_inputs, predict_test, size_of_height
from lib.inference.streaming import speed, stream
from lib.pose.cameras import assumption
from lib.pose.layout import Layout
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.errors import UserError
from lib.runtime.files import refuse_file, require_file
from lib.runtime.logs import say
from lib.runtime.paths import Paths
from lib.runtime.stage import command, positive
from lib.sources.inputs import Given, as_options, check_given
from lib.sources.streams import camera_number, open_stream
from lib.sources.videos import fetch_detector, find_videos, load_detector
from lib.viewer.live import LivePage
from lib.viewer.page import Scene, write_viewer

Lifters = Callable[[Layout | None], Lifter]
GENERALIST = "generalist.pt.gz"
PAGE = "viewer.html"
LEAST_HEIGHT, MOST_HEIGHT = 0.4, 2.6  # metres
THREADS = 2  # of the detector


def run(arguments: argparse.Namespace, paths: Paths) -> None:
    """Predict, write, and say where."""
    given = _given(arguments)
    check_given(given)
    if arguments.output is not None:
        refuse_file(arguments.output)
    lifter_for = _lifters(arguments, paths)
    if arguments.stream:
        _stream(lifter_for, arguments, given, paths)
        return
    console, left_out = Console(), list[str]()

    def leave_out(line: str) -> None:
        console.announce(line)
        left_out.append(line)

    options = Options(arguments.batch_size, arguments.world, arguments.height, arguments.smooth)
    if arguments.test_data:
        split = read_split(tested(paths.poses, paths.other_test), "test", "if any")
        motions, name = predict_test(lifter_for(split.layout), split, options, console), "test"
    else:
        motions = predict_inputs(lifter_for, arguments.inputs, given, options, _detector(paths), console, leave_out)
        name = file_name(arguments.inputs[0].resolve().stem)
    folder = arguments.output or paths.predictions.parent / name
    # What videos are beside is not read: an earlier result may be overwritten.
    check_inputs(motions, folder, arguments.format, [path for path in arguments.inputs if not find_videos(path)])
    written = write_motions(motions, folder, arguments.format, leave_out)
    if arguments.viewer:
        write_viewer(folder / PAGE, _scenes(motions), title=name)
    console.announce(_summary(motions, written, folder))
    console.announce(f"open {folder / PAGE}" if arguments.viewer else f"the first is {written[0]}")
    if left_out:
        raise UserError("not everything could be used: what was left out is named above, and the rest is done")


def _given(arguments: argparse.Namespace) -> Given:
    fps = {} if arguments.fps is None else {"fps": arguments.fps, "fps_given": True}
    given = Given(arguments.keypoints, arguments.layout, arguments.camera, person=arguments.person)._replace(**fps)
    if arguments.size is not None:
        given = given._replace(size=tuple(arguments.size))
    return given if arguments.rotate is None else given._replace(rotate=arguments.rotate)


def _lifters(arguments: argparse.Namespace, paths: Paths) -> Lifters:
    """What lifts a layout: the named checkpoint, or the pipeline's if it was trained on it, or else the generalist."""
    load = cache(partial(Lifter.load, device=arguments.device))
    if arguments.checkpoint is not None:
        require_file(arguments.checkpoint, "name a checkpoint that is there (--checkpoint)")
        load(arguments.checkpoint)  # before anything is read
        return lambda layout: load(arguments.checkpoint)

    @cache
    def lifter_for(layout: Layout | None) -> Lifter:
        own = load(paths.finetuned) if paths.finetuned.is_file() else None
        suits = own is not None and own.layout == layout
        path = paths.finetuned if suits else paths.start(GENERALIST)
        say(f"lifting by {path}", aside=True)
        return load(path)

    return lifter_for


def _detector(paths: Paths) -> Callable[[], BlazePose]:
    """What gives BlazePose, fetched if it is not there."""

    @cache
    def detector() -> BlazePose:
        litert()  # before anything is fetched for it
        fetch_detector(paths.raw("blazepose"))
        return load_detector(paths.raw("blazepose"), THREADS)

    return detector


def _scenes(motions: list[list[Motion]]) -> list[Scene]:
    return [Scene(people[0].name, people) for people in motions]


def _summary(motions: list[list[Motion]], written: list[Path], folder: Path) -> str:
    people = [motion for of_video in motions for motion in of_video]
    parts = (sum(map(len, people)), "frame"), (len(people), "motion"), (len(written), "file")
    frames, count, files = (f"{number} {what}{'s' if number != 1 else ''}" for number, what in parts)
    return f"lifted {frames} of {count}; wrote {files} to {folder}"


def _stream(lifter_for: Lifters, arguments: argparse.Namespace, given: Given, paths: Paths) -> None:
    """Lift frame by frame."""
    torch.set_num_threads(1)  # one frame is too little to be shared
    path = arguments.inputs[0] if arguments.inputs else None
    source = open_stream(path, given, _detector(paths), sys.stdin.buffer)
    if source.camera.assumed:
        say(as_options(assumption(source.camera)), aside=True)
    body_size = None if arguments.height is None else size_of_height(arguments.height)
    with LivePage() if arguments.viewer else nullcontext() as page:
        if page is not None:
            say(f"open {page.address}", aside=True)

        bad = list[str]()

        def write(content: dict[str, Any]) -> None:
            bad.extend([content["bad"]] if "bad" in content else [])
            line = orjson.dumps(content)
            if page is not None:
                page.send(line)
            _write_line(line)

        taken = stream(lifter_for(source.layout), source, write, body_size, arguments.smooth != "off")
    say(speed(taken, len(bad)), aside=True)
    if bad or not taken:
        raise UserError(f"not all of the stream could be read, first {bad[0]}" if bad else "the stream has no frame")


def _write_line(line: bytes) -> None:
    try:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # who read is gone, and what is still to be written would be an error at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _height(text: str) -> float:
    metres = positive(float)(text)
    if not LEAST_HEIGHT <= metres <= MOST_HEIGHT:
        raise argparse.ArgumentTypeError(f"{text} is no height in metres from {LEAST_HEIGHT} to {MOST_HEIGHT}")
    return metres


def _person(text: str) -> str | int:
    if text not in ("all", "longest") and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor all nor longest")
    return int(text) if text.isdecimal() else text


def _formats(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is no format: choose of {', '.join(FORMATS)}")
    return names


def _arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(prog="python -m stages.predict", description=__doc__)
    parser.add_argument("inputs", nargs="*", type=named_path, metavar="INPUT", help="videos, keypoints, or folders")
    parser.add_argument("--test-data", action="store_true", help="lift the pipeline's test split instead")
    parser.add_argument("--stream", action="store_true", help="frame by frame: camera:0, a video, or standard input")
    parser.add_argument("--checkpoint", type=named_path, metavar="FILE", help="the model")
    parser.add_argument("--output", type=named_path, metavar="DIR", help="the folder to write")
    parser.add_argument("--format", type=_formats, default=["json"], help=f"one or several: {','.join(FORMATS)}")
    parser.add_argument("--viewer", action="store_true", help="a page that shows the motions, for a stream live")
    parser.add_argument("--world", action="store_true", help="y up, feet on the floor; else the camera frame")
    parser.add_argument("--height", type=_height, metavar="METRES", help="how tall people are")
    parser.add_argument("--camera", type=named_path, metavar="FILE", help="a YAML file of cameras, as data.cameras")
    parser.add_argument("--person", type=_person, metavar="N", help="a person's number, all, or longest")
    parser.add_argument("--smooth", choices=get_args(Smoothing), default="default", help="of noise over time")
    parser.add_argument("--batch-size", type=positive(int), default=4096, help="windows lifted at once")
    parser.add_argument("--device", default="auto", help="as training.device")
    parser.add_argument("--fps", type=positive(float), help=f"if files do not say it; {Given().fps:g} unless named")
    parser.add_argument(
        "--size",
        type=positive(int),
        nargs=2,
        metavar=("WIDTH", "HEIGHT"),
        help="of the pictures, if files do not say it",
    )
    parser.add_argument(
        "--rotate", type=int, choices=(0, 90, 180, 270), help="turn the keypoints of files, degrees clockwise"
    )
    parser.add_argument("--keypoints", default="auto", help="the files' format, as data.keypoints")
    parser.add_argument("--layout", default="auto", help="what keypoints mark, as data.layout")
    arguments = parser.parse_args(words)
    _check_together(arguments, parser)
    return arguments


def _check_together(arguments: argparse.Namespace, parser: Parser) -> None:
    """Refuse what does not go together."""
    if arguments.stream:
        refused = {"test_data", "output", "world", "person", "rotate"}
        for name in sorted(refused):
            if getattr(arguments, name) != parser.get_default(name):
                parser.error(f"--stream goes without --{name.replace('_', '-')}: it writes lines, in the camera frame")
        if len(arguments.inputs) > 1:
            parser.error("--stream takes one INPUT, or standard input")
    elif bool(arguments.inputs) == arguments.test_data:
        parser.error("name an INPUT, or say --test-data, and not both")
    elif arguments.test_data:
        for name in ("camera", "fps", "keypoints", "layout", "person", "rotate", "size"):
            if getattr(arguments, name) != parser.get_default(name):
                parser.error(f"--test-data goes without --{name}: the test split is as the pipeline read it")
    elif camera := next((path for path in arguments.inputs if camera_number(path) is not None), None):
        parser.error(f"{camera} never ends: say --stream")


if __name__ == "__main__":
    command(partial(run, _arguments()))
