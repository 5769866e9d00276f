"""Other cameras for the sequences of a source: assumed ones, or those of a file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lib.pose.camera_files import read_cameras
from lib.pose.cameras import assumed_camera
from lib.sources.base import Recorded

AnySequence = TypeVar("AnySequence", bound=Recorded)


def with_cameras(sequences: Sequence[AnySequence], cameras: str, raw: Path) -> list[AnySequence]:
    """The sequences before the cameras that `data.cameras` says; where they stand in the world stays as it is.

    Raises:
        UserError: the file of cameras is missing or not as it should be, or a sequence has none in it.
    """
    if cameras == "auto":
        return [*sequences]
    given = None if cameras == "assumed" else read_cameras(raw / cameras)
    changed = []
    for sequence in sequences:
        own, name = sequence.camera, sequence.camera.name
        camera = (
            given.of(sequence.subject, sequence.action, name, own.size) if given else assumed_camera(own.size, name)
        )
        changed.append(replace(sequence, camera=replace(camera, orientation=own.orientation, position=own.position)))
    return changed
