"""The formats that motions are written in, and what writes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch

from lib.export import arrays, bvh, c3d, glb, trc
from lib.export.names import file_names
from lib.export.upright import check_spacing
from lib.inference.motion import Motion
from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.sources.keypoints.read import LEFT_OUT

_LONGEST_NAME = 200  # of 255 bytes that file systems have for a name
_NO_NAME = set('/\\:*?"<>|')  # what file systems have other uses for


@dataclass(frozen=True)
class Format:
    """A kind of file: its suffix, what it holds in a few words, and what writes it."""

    suffix: str
    holds: str
    write: Callable[[Motion, Path], None]
    check: Callable[[Motion], None] | None = None  # raises UserError where it cannot be written


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "json": Format(".json", "everything, in metres", arrays.write_json),
        "csv": Format(".csv", "a row a frame, in metres", arrays.write_csv),
        "npz": Format(".npz", "everything, in metres", arrays.write_npz),
        "h5": Format(".h5", "everything, in metres", arrays.write_h5),
        "bvh": Format(".bvh", "skeleton and rotations, in centimetres", bvh.write, check_spacing),
        "trc": Format(".trc", "markers, in metres", trc.write, check_spacing),
        "c3d": Format(".c3d", "markers, in millimetres", c3d.write, c3d.check),
        "glb": Format(".glb", "an animated figure, in metres", glb.write),
    }
)


def write_motions(
    motions: Sequence[Sequence[Motion]], folder: Path, formats: Sequence[str], leave_out: Callable[[str], None]
) -> list[Path]:
    """Write the people of several videos; `leave_out` gets a line on each who cannot be written.

    Raises:
        UserError: nobody can.
    """
    people, written = [motion for of_video in motions for motion in of_video], list[Path]()
    for motion, name in zip(people, file_names(people), strict=True):
        try:
            written += write_motion(motion, folder, name, formats)
        except UserError as error:
            if len(people) == 1:
                raise
            leave_out(f"{LEFT_OUT}{error}")
    if not written:
        raise UserError("nothing could be written: why is said above")
    return written


def check_inputs(
    motions: Sequence[Sequence[Motion]], folder: Path, formats: Sequence[str], inputs: Sequence[Path]
) -> None:
    """Refuse to write over files that were read, which are the inputs or lie in them; raises UserError."""
    read = [path.resolve() for path in inputs]
    for name in file_names([motion for of_video in motions for motion in of_video]):
        for path in (folder / f"{name}{FORMATS[each].suffix}" for each in formats):
            target = path.resolve()
            if target.exists() and not {target, *target.parents}.isdisjoint(read):
                raise UserError(f"{path} is an input, or lies in one, and would be overwritten: name another --output")


def write_motion(motion: Motion, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Write one file a format, `NAME.SUFFIX`, each whole or not at all; returns their paths.

    Raises:
        UserError: there is no such format, or no file can have such a name, or the motion has no frames, numbers that
            are none, or times that do not increase; then nothing is written.
    """
    unknown = [each for each in formats if each not in FORMATS]
    if unknown:
        raise UserError(f"no format is named {unknown[0]!r}: choose of {', '.join(FORMATS)}")
    check_name(name)
    check_motion(motion)
    chosen = [FORMATS[each] for each in dict.fromkeys(formats)]
    for each in chosen:
        if each.check is not None:
            each.check(motion)
    paths = []
    for each in chosen:
        path = folder / f"{name}{each.suffix}"
        with replacing(path) as temporary:
            each.write(motion, temporary)
        paths.append(path)
    return paths


def check_name(name: str) -> None:
    """Refuse what is no file's name on every system; raises UserError."""
    bad = not name or name.startswith(".") or name != name.strip() or len(name.encode()) > _LONGEST_NAME
    if bad or _NO_NAME & set(name) or not name.isprintable():
        raise UserError(
            f"{name[:80]!r} cannot name a file: take 1 to {_LONGEST_NAME} letters, digits, spaces, _, - and dots, "
            "and no dot or space first or space last"
        )


def check_motion(motion: Motion) -> None:
    """Refuse what is no motion; raises UserError."""
    if not len(motion):
        raise UserError(f"{motion.name}: there are no frames, and so nothing to write: leave it out")
    for what, places in (("joints", motion.joints), ("keypoints", motion.keypoints)):
        bad = ~places.isfinite().flatten(1).all(1)
        if bad.any():
            first = int(motion.numbers[bad][0])
            raise UserError(
                f"{motion.name}: {what} are not numbers in {int(bad.sum())} of {len(motion)} frames, first in frame "
                f"{first}: look at the model and at the 2D of that frame"
            )
    if not (motion.times.isfinite().all() and (motion.times.diff() > 0).all() and 0 < motion.fps < torch.inf):
        raise UserError(f"{motion.name}: the frames' times do not increase, or {motion.fps:g} is no frame rate")
