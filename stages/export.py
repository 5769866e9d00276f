"""Export a lifter for use without this project: python -m stages.export [CHECKPOINT] [--output FILE] [--layout NAME].

Writes an ONNX file, data/models/NAME_LAYOUT.onnx unless --output names another: windows of rays in, poses out (see
lib/export/onnx.py), for keypoints of one layout, the checkpoint's own unless --layout names another. --benchmark
measures one window and 1,024 in onnxruntime and in torch, with one thread each.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lib.export.latency import latency
from lib.export.onnx import WindowLifter, write_onnx
from lib.models.checkpoints import Checkpoint, load
from lib.pose.layout import Layout
from lib.runtime.arguments import Parser, named_path
from lib.runtime.console import Console
from lib.runtime.device import describe_devices
from lib.runtime.errors import UserError
from lib.runtime.files import require_file
from lib.runtime.paths import Paths
from lib.runtime.stage import main, positive

BATCHES = (1, 1024)  # windows


def run(arguments: argparse.Namespace, params: dict[str, Any], paths: Paths) -> None:
    """Write the file and say what it takes."""
    del params
    generalist = paths.start("generalist.pt.gz")
    path: Path = arguments.checkpoint or (paths.finetuned if paths.finetuned.exists() else generalist)
    require_file(path, "name a checkpoint that there is, such as data/models/finetuned.pt")
    checkpoint = load(path)
    lifter = WindowLifter(checkpoint, _layout(checkpoint, arguments.layout), arguments.flip)
    output = arguments.output or paths.finetuned.with_name(f"{path.name.split('.')[0]}_{lifter.layout.name}.onnx")
    console = Console()
    console.announce(f"exporting {path}: half a minute")
    write_onnx(output, lifter)
    console.announce(
        f"wrote {output}: windows of {lifter.frames} frames, {lifter.interval_seconds:g} s apart, of the "
        f"{len(lifter.layout)} keypoints of {lifter.layout.name}"
    )
    if arguments.benchmark:
        hardware = describe_devices()[-1].hardware
        for one in (latency(output, lifter, windows, arguments.seconds) for windows in BATCHES):
            console.announce(
                f"{one.windows} window{'s' * (one.windows > 1)} a call, one thread of {hardware}: onnxruntime "
                f"{1e3 * one.onnxruntime:.3g} ms, torch {torch.__version__} {1e3 * one.torch:.3g} ms"
            )


def _layout(checkpoint: Checkpoint, name: str | None) -> Layout:
    known = {layout.name: layout for layout in checkpoint.layouts}
    if name is None:
        return checkpoint.layout
    if name not in known:
        raise UserError(f"--layout {name}: the checkpoint does not know it; it knows {', '.join(known)}")
    return known[name]


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m stages.export", description=__doc__)
    parser.add_argument(
        "checkpoint", nargs="?", type=named_path, help="data/models/finetuned.pt unless named, or else the generalist"
    )
    parser.add_argument("--format", default="onnx", choices=("onnx",))
    parser.add_argument("--output", type=named_path, help="the file to write")
    parser.add_argument("--layout", help="of the keypoints, such as coco")
    parser.add_argument(
        "--flip",
        default=True,
        action=argparse.BooleanOptionalAction,
        help="average with the mirrored view, which is twice as slow",
    )
    parser.add_argument("--benchmark", action="store_true", help="measure a call in onnxruntime and in torch")
    parser.add_argument("--seconds", type=positive(float), default=5.0, help="of measuring, for each number of windows")
    return parser.parse_args()


if __name__ == "__main__":
    main(partial(run, _arguments()))
