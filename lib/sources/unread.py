"""Sequences whose arrays stay in their files until they are asked for, so that no source is in memory as a whole."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from lib.pose.cameras import Camera
from lib.sources.base import EVERY, PoseSequence, Recorded

Load = Callable[[slice | Tensor], PoseSequence]


@dataclass(frozen=True)
class Unread(Recorded):
    """A sequence of which `load` reads some frames, by their numbers or a slice; nothing keeps them."""

    load: Load
    count: int
    first_frame: int = 0  # of those that `load` has
    labelled: bool = True
    complete: bool = True  # whether it is known that all frames have 3D

    @property
    def frames(self) -> int:
        """How many there are."""
        return self.count

    def read(self, frames: slice | Tensor = EVERY) -> PoseSequence:
        """The arrays, of all frames or of some."""
        if isinstance(frames, slice):
            numbers = range(self.first_frame, self.first_frame + self.count)[frames]
            frames = slice(numbers.start, numbers.stop, numbers.step)
        else:
            frames = frames + self.first_frame
        return replace(self.load(frames), camera=self.camera)

    def part(self, frames: slice) -> "Unread":
        """Some frames in a row as a sequence of their own."""
        start, stop, _ = frames.indices(self.count)
        return replace(self, first_frame=self.first_frame + start, count=max(0, stop - start))


def tensor(content: NDArray[Any]) -> Float[Tensor, "frame joint coord"]:
    """A copy of a file's array in memory, in single precision."""
    return torch.from_numpy(np.array(content, np.float32, order="C"))


def seen_take(
    head: tuple[str, str, Camera, float],
    world: NDArray[Any],
    view: NDArray[Any],
    release: Callable[[], None],
    joints: tuple[int, ...],
) -> Unread:
    """A take's 3D (frame, joint, 3), metres, world frame, in a camera, and the 2D (frame, joint, 2 or 3) that it saw.

    `head` is subject, action, camera and frame rate; `joints` are those of the 3D that are taken. A third coordinate of
    the 2D is the confidence; what of it comes after the 3D's end is left out.
    """
    _, _, camera, _ = head

    def load(frames: slice | Tensor) -> PoseSequence:
        index = frames if isinstance(frames, slice) else frames.numpy()
        positions, seen = tensor(world[index].take(joints, axis=1)), tensor(view[: len(world)][index])
        release()
        # In double precision: a float at 5 m is coarser than what the reprojection is checked to.
        in_camera = camera.to_camera(positions.double()).float()
        confidence = seen[..., 2].clamp(0, 1) if seen.shape[-1] > 2 else torch.ones(seen.shape[:-1])
        return PoseSequence(*head, seen[..., :2].contiguous(), confidence, in_camera)

    return Unread(*head, load, len(world))
