"""BVH: a skeleton in rest pose and its rotations, for animation programs.

Centimetres, as motion capture software writes (in Blender, import with scale 0.01); y up, the rest pose a T-pose that
faces +z (`lib.export.rig`). The root has positions, and every node rotations in degrees in the order z, x, y, which is
the format's own and keeps heading apart. The same rotation has two such triples, and angles whole turns more; those are
written that are nearest to the frame's before, so that curves have no jumps but where x passes 90 degrees.

Of a motion in the camera frame, y and z change their signs. Frames are evenly spaced (`lib.export.upright`).
"""

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lib.export.rig import Rig, make_rig
from lib.export.upright import evenly_spaced, upright
from lib.inference.motion import Motion

CENTIMETRES = 100.0


def write(motion: Motion, path: Path) -> None:
    """Write one file."""
    motion = evenly_spaced(upright(motion))
    rig = make_rig(motion.joints, motion.detected)
    angles = torch.rad2deg(euler_zxy(rig.rotations)).flatten(1)
    rows = torch.cat([rig.position * CENTIMETRES, angles], 1).tolist()
    line = " ".join(["%.4f"] * len(rows[0]))
    head = ["HIERARCHY", *_hierarchy(rig, 0, 0), "MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / motion.fps:.9f}"]
    path.write_text("\n".join([*head, *(line % tuple(row) for row in rows), ""]), encoding="ascii")


def _hierarchy(rig: Rig, node: int, depth: int) -> list[str]:
    """The lines of a node and of all below it."""
    root = rig.parents[node] < 0
    positions = "6 Xposition Yposition Zposition" if root else "3"
    below = [line for child in rig.children[node] for line in _hierarchy(rig, child, depth + 1)]
    if node in rig.ends:
        below = [f"{'  ' * (depth + 1)}{line}" for line in ("End Site", "{", f"  {_offset(rig.ends[node])}", "}")]
    own = [
        f"{'ROOT' if root else 'JOINT'} {rig.names[node]}",
        "{",
        f"  {_offset(torch.zeros(3) if root else rig.offsets[node])}",
        f"  CHANNELS {positions} Zrotation Xrotation Yrotation",
    ]
    return [*(f"{'  ' * depth}{line}" for line in own), *below, f"{'  ' * depth}}}"]


def _offset(place: Float[Tensor, "3"]) -> str:
    return "OFFSET " + " ".join(f"{value:.6f}" for value in (place * CENTIMETRES).tolist())


def euler_zxy(rotations: Float[Tensor, "frame *node 3 3"]) -> Float[Tensor, "frame *node 3"]:
    """Angles z, x, y in radians, for R = Rz Rx Ry, that change as little as can be from frame to frame.

    (z, x, y) and (z + pi, pi - x, y + pi) are the same rotation. Which of them a frame takes follows from whether it is
    nearer to the frame before by taking the same as that, or the other one.
    """
    across: Tensor = torch.hypot(rotations[..., 0, 1], rotations[..., 1, 1])
    locked = across < 1e-9  # z and y turn about the same axis
    z = torch.atan2(
        torch.where(locked, rotations[..., 1, 0], -rotations[..., 0, 1]),
        torch.where(locked, rotations[..., 0, 0], rotations[..., 1, 1]),
    )
    x = torch.atan2(rotations[..., 2, 1], across)
    y = torch.where(locked, 0.0, torch.atan2(-rotations[..., 2, 0], rotations[..., 2, 2]))
    same = torch.stack([z, x, y], -1)
    other = torch.stack([z + math.pi, math.pi - x, y + math.pi], -1)
    nearer = _turn(other[1:] - same[:-1]).square().sum(-1) < _turn(same[1:] - same[:-1]).square().sum(-1)
    taken = torch.cat([torch.zeros_like(locked[:1]), nearer.long().cumsum(0) % 2 == 1])
    angles = torch.where(taken[..., None], other, same)
    return torch.cat([angles[:1], angles[:1] + _turn(angles.diff(dim=0)).cumsum(0)])


def _turn(angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The same angle between half a turn backwards and half a turn forwards."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
