"""The objectives there are, by their name in `training.objective`."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from lib.models.tasks import COORDS, Task
from lib.objectives.base import Objective, ObjectiveContext
from lib.objectives.lift import Lift
from lib.objectives.mask import Masked
from lib.objectives.supervised import Supervised


class ObjectiveKind(NamedTuple):
    """What is to be known of an objective before it is made."""

    task: Task  # what its model is for
    labels: bool  # whether it reads 3D, and says so
    make: Callable[[ObjectiveContext], Objective]


OBJECTIVES = {
    "lift": ObjectiveKind("lifting", labels=False, make=Lift.make),
    "mask_2d": ObjectiveKind("reconstruction_2d", False, partial(Masked.make, COORDS["reconstruction_2d"])),
    "mask_3d": ObjectiveKind("reconstruction_3d", True, partial(Masked.make, COORDS["reconstruction_3d"])),
    "supervised": ObjectiveKind("lifting", labels=True, make=Supervised.make),
}
