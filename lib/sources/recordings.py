"""Recordings of people by several cameras, with what a detector sees and a reference: one .npz file."""

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.pose.cameras import Camera
from lib.runtime.bounds import check_zip, one_line
from lib.runtime.errors import UserError
from lib.runtime.files import replacing


class Recording(NamedTuple):
    """One person in one camera's video; joints are `lib.detection.blazepose.NAMES`.

    A joint that the detector did not give has confidence 0 and keypoints that are not numbers.
    """

    session: str
    person: str
    camera: Camera  # adjusted, in the video's pixels
    fps: float
    keypoints: Float[Tensor, "frame joint 2"]  # pixels, as detected
    confidence: Float[Tensor, "frame joint"]  # 0 to 1, as detected
    reference: Float[Tensor, "frame joint 3"]  # metres in the camera frame; not a number where not determined
    error: Float[Tensor, "frame joint"]  # pixels from the keypoint, sides exchanged where they should be
    agrees: Bool[Tensor, "frame joint"]  # whether the keypoint is part of the reference
    exchanged: Bool[Tensor, "frame joint"]  # whether the reference takes it for the joint on the other side


_TENSORS = ("keypoints", "confidence", "reference", "error", "agrees", "exchanged")


def write(path: Path, recordings: list[Recording]) -> None:
    """Write recordings: arrays named NUMBER/FIELD, and the rest of each as JSON."""
    arrays = {
        f"{number}/{field}": getattr(recording, field).numpy()
        for number, recording in enumerate(recordings)
        for field in _TENSORS
    }
    heads = [
        {"session": each.session, "person": each.person, "fps": each.fps, "camera": dataclasses.asdict(each.camera)}
        for each in recordings
    ]
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, recordings=np.array(json.dumps(heads)), **arrays)


def read(path: Path) -> list[Recording]:
    """Read what `write` wrote.

    Raises:
        UserError: the file is missing or is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(path, archive)
        with np.load(path, allow_pickle=False) as file:
            heads = json.loads(str(file["recordings"]))
            return [_recording(head, number, file) for number, head in enumerate(heads)]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `python -m stages.wild --prepare`") from None
    except Exception as error:  # zip, zlib and JSON raise whatever damaged bytes happen to mean
        what = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{path} is no file of recordings ({what}): delete it and prepare again") from error


def _recording(head: dict[str, Any], number: int, file: Mapping[str, Any]) -> Recording:
    camera: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in head["camera"].items()
    }
    tensors = {field: torch.from_numpy(file[f"{number}/{field}"]) for field in _TENSORS}
    return Recording(head["session"], head["person"], Camera(**camera), head["fps"], **tensors)
