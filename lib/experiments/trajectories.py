"""How well people are placed: before the camera, upright on a floor, and frame by frame, against their true 3D."""

import math
from collections.abc import Iterator

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.split import Split
from lib.evaluation import metrics
from lib.inference.lifter import LiftedSplit, Lifter
from lib.inference.trajectory import ANKLE_HEIGHT, floor_height, planted, root_distances, world_rotation
from lib.inference.uprightness import ANKLE_JOINTS, stance, up_direction
from lib.models.lifters import Poses
from lib.pose.geometry import bone_lengths, root_centred, rotate
from lib.pose.landmarks import JOINTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError

MM = 1000.0
COLUMNS = ("measure", "value", "unit")
STANDS, NEAR = 0.15, 0.05  # metres a second and metres: an ankle stands that is truly slower, and so near to its lowest


def trajectories(lifter: Lifter, split: Split, batch_size: int = 4096) -> pd.DataFrame:
    """COLUMNS, means over the frames of a labelled split of Human3.6M's joints.

    Bodies have their true size, that of all bones together, so that what is measured is where they are. Trajectories
    are compared after their mean difference is taken away, in the camera frame. Feet that stand are those of the true
    motion.

    Raises:
        UserError: the split is not in Human3.6M's layout, or has no 3D.
    """
    if split.layout.name != "h36m" or split.positions is None:
        raise UserError("trajectories need 3D of Human3.6M's joints")
    whole, live = (lifter.lift_windows(split, batch_size, live=live) for live in (False, True))
    lifted = lifter.refined(split, whole)
    true_size = float(bone_lengths(split.positions, H36M).sum(-1).median())
    metres = lifted.scaled(root_distances(bone_lengths(lifted.joints, H36M).sum(-1), true_size, split.timing))
    parts = [_sequence(split, metres, row) for row in range(len(split.table))]
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    rows = [
        ("P-MPJPE of single windows", _p_mpjpe(whole, split), "mm"),
        ("of live windows, which end with their frame", _p_mpjpe(live, split), "mm"),
        ("error of up", float(found["up"].mean()), "degrees"),
        ("error of the pelvis's path, by body size", MM * float(found["path"].mean()), "mm"),
        ("with feet that stand", MM * float(found["planted path"].mean()), "mm"),
        ("speed of ankles that stand, by body size", float(found["slide"].mean()), "m/s"),
        ("with feet that stand", float(found["planted slide"].mean()), "m/s"),
        ("of the true ones", float(found["true slide"].mean()), "m/s"),
        ("their height off the floor", MM * float(found["height"].mean()), "mm"),
    ]
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def _p_mpjpe(poses: Poses, split: Split) -> float:
    assert split.positions is not None
    joints = rotate(poses.rotation.mT, poses.points[:, :JOINTS]).cpu()
    return MM * float(metrics.p_mpjpe(joints, root_centred(split.positions, H36M)).mean())


def _sequence(split: Split, metres: LiftedSplit, row: int) -> dict[str, Tensor]:
    """What is measured of one sequence; each a number a frame, or a foot and frame."""
    assert split.positions is not None
    entry = split.table.iloc[row]
    frames = slice(int(entry["start"]), int(entry["start"] + entry["length"]))
    fps, visible = float(entry["fps"]), split.confidence[frames] > 0
    times = torch.arange(int(entry["length"]), dtype=torch.float64) / fps
    joints, true = metres.joints[frames] + metres.root[frames, None], split.positions[frames]
    ups = [up_direction([stance(one, metres.up[frames], visible, split.layout, fps)])[0] for one in (joints, true)]
    turn, true_turn = map(world_rotation, ups)
    world, true_world = joints @ turn.mT, true @ true_turn.mT
    shift = torch.tensor([0.0, -floor_height(world), 0.0])
    world = world + shift
    after = world + planted(world, shift, times)[:, None]
    stands = _standing(true_world, fps)
    return {
        "up": torch.tensor([math.degrees(math.acos(min(1.0, float(ups[0] @ ups[1]))))]).expand(len(joints)),
        "path": _off((world - shift) @ turn, true),
        "planted path": _off((after - shift) @ turn, true),
        "slide": _speed(world, fps)[stands],
        "planted slide": _speed(after, fps)[stands],
        "true slide": _speed(true_world, fps)[stands],
        "height": (after[1:, list(ANKLE_JOINTS), 1][stands] - ANKLE_HEIGHT).abs(),
    }


def _off(joints: Tensor, true: Tensor) -> Float[Tensor, " frame"]:
    away = joints[:, H36M.root] - true[:, H36M.root]
    off: Tensor = torch.linalg.vector_norm(away - away.mean(0), dim=-1)
    return off


def _speed(joints: Tensor, fps: float) -> Float[Tensor, "step ankle"]:
    speed: Tensor = torch.linalg.vector_norm(joints[:, list(ANKLE_JOINTS)].diff(dim=0), dim=-1) * fps
    return speed


def _standing(true: Tensor, fps: float) -> Tensor:
    heights = true[:, list(ANKLE_JOINTS), 1]
    return (_speed(true, fps) < STANDS) & (heights[1:] < heights.quantile(0.1) + NEAR)


def cells(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """The rows as text."""
    for measure, value, unit in table.itertuples(index=False):
        yield str(measure), f"{value:.3f}" if unit == "m/s" else f"{value:.1f}", str(unit)
