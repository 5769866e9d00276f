"""Motion capture in BVH files of any software, seen by virtual cameras: training and test data with exact 3D.

A take is one file. Who performs it is its folder: `data/raw/bvh/ann/walk.bvh` is ann's, however deep files lie below.
Without folders a name says who, as CMU's (`12_01.bvh` is subject 12's) and LaFAN's (`walk1_subject5.bvh`) do; any
other file is a subject of its own, named as the file is.

What is recognised, and how:

- joints, by their names (`lib.sources.bvh_joints`);
- up: the axis along which bodies stand, on average over a take; where none stands out, because people lie or crawl, the
  one along which all takes of the same skeleton stand, else y;
- the unit: of those that software uses, the one that makes the body most nearly 1.69 m tall; where none makes it 1.0 to
  2.3 m, the body is taken to be 1.69 m tall.

CMU's takes begin with a rest pose somewhere else, from which the body jumps: what is faster than any person at the
beginning of a take is left out. Frames are left out so that at most `LARGEST_FPS` a second remain. Every take is moved
to the middle of the room, its lowest point to the floor.
"""

import math
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.cameras import Camera
from lib.pose.geometry import rotation_about
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.sources import sample
from lib.sources.base import AutoSplit, Dropped, PoseSequence, SourceData, SourceParams
from lib.sources.bvh_files import BvhError, read_bvh
from lib.sources.bvh_joints import Body, UnknownSkeletonError, h36m_joints
from lib.sources.names import about_file, plain_name
from lib.sources.unread import Unread
from lib.sources.virtual_cameras import virtual_cameras

LARGEST_FPS = 50.0
KEYPOINTS = ("gt", "noisy")
# Metres: m, dm, feet, CMU's, inches, cm, mm. CMU's is an inch over 0.45.
UNITS = (1.0, 0.1, 0.3048, 0.0254 / 0.45, 0.0254, 0.01, 0.001)
STATURE = 1.69  # metres, of a body with trunk and leg of 1.29 m: DeepMimic's
_SIZE_OF_STATURE = 1.291486
TALL = (1.0, 2.3)  # metres
_STANDS_OUT = 1.5  # how much further a standing body reaches along one axis than along the others
_JUMP = 10.0  # metres a second, of all joints on average from the first frame to the second
_JUMP_SECONDS = 0.1  # that it lasts at most
_ANKLE_HEIGHT = 0.08  # metres: of an ankle above the floor


class Take(NamedTuple):
    """A file's motion, in its own unit and axes."""

    subject: str
    action: str
    fps: float
    body: Body
    names: tuple[str, ...]  # of the file's joints, by which skeletons are told apart


def check(params: SourceParams) -> None:
    """Refuse keypoints that there are not; raises UserError."""
    if params.keypoints not in KEYPOINTS:
        raise UserError(f"params.yaml: data.keypoints = {params.keypoints!r}: bvh has {' and '.join(KEYPOINTS)}")


def read(raw: Path, params: SourceParams) -> SourceData:
    """Read the BVH files of the subjects in the split, below `raw`; all of them where the split is `auto`.

    `keypoints: gt` are exact projections, `noisy` ones err as the sample's do. Both are the same in every run.

    Raises:
        UserError: there is no BVH file, or none that can be used.
    """
    check(params)
    files = {path: named(path.relative_to(raw)) for path in sorted(raw.rglob("*")) if path.suffix.lower() == ".bvh"}
    if not files:
        raise UserError(f"{raw} has no BVH file: put motion capture there, a folder a person")
    subjects = tuple(dict.fromkeys(subject for subject, _ in files.values()))
    everybody = isinstance(params.split, AutoSplit)
    wanted = {path: name for path, name in files.items() if everybody or name[0] in params.subjects}
    takes, dropped = [], []
    for path, (subject, action) in wanted.items():
        try:
            bvh = read_bvh(path)
            body = h36m_joints(bvh)
            takes.append(_thinned(_without_jump(Take(subject, action, bvh.fps, body, bvh.names))))
        except BvhError as error:
            dropped.append(Dropped(subject, action, "all", 0, "unreadable", about_file(path, error)))
        except UnknownSkeletonError as error:
            dropped.append(Dropped(subject, action, "all", 0, "unknown_skeleton", about_file(path, error)))
    if wanted and not takes:
        raise UserError(f"none of {len(wanted)} BVH files below {raw} can be used; the first: {dropped[0].why}")
    ups = _ups(takes)
    sequences = [sequence for up in ups for sequence in _film(takes.pop(0), up, params)]
    return SourceData(sequences, dropped, subjects)


def named(path: Path) -> tuple[str, str]:
    """The subject and the action of a file, by its path below the source's folder."""
    stem = path.stem
    if len(path.parts) > 1:
        subject, action = path.parts[0], " ".join([*path.parts[1:-1], stem])
    elif found := re.fullmatch(r"(\d+)_(\d+)", stem):
        subject, action = found[1], found[2]
    elif found := re.fullmatch(r"(.+)_(subject\d+)", stem, re.IGNORECASE):
        subject, action = found[2], found[1]
    else:
        subject, action = stem, stem
    subject, action = (plain_name(name, " ").strip()[:100] or "unnamed" for name in (subject, action))
    return subject, action


def _without_jump(take: Take) -> Take:
    """The take from where the body has got to its place."""
    joints = take.body.joints
    if len(joints) < 3:
        return take
    speed = joints.diff(dim=0).norm(dim=-1).mean(-1) * take.fps * metres_of(take.body.size)
    if float(speed[0]) < _JUMP:
        return take
    fast = (speed[: max(1, round(_JUMP_SECONDS * take.fps))] > 2 * speed.median()).long()
    return take._replace(body=take.body._replace(joints=joints[int(fast.cumprod(0).sum()) :]))


def _thinned(take: Take) -> Take:
    """At most `LARGEST_FPS` frames a second."""
    every = math.ceil(take.fps / LARGEST_FPS - 1e-3)
    if every < 2:
        return take
    return take._replace(fps=take.fps / every, body=take.body._replace(joints=take.body.joints[::every]))


def metres_of(size: float) -> float:
    """What a unit is in metres that a trunk and a leg are `size` of."""
    statures = {unit: size * unit * STATURE / _SIZE_OF_STATURE for unit in UNITS}
    unit = min(statures, key=lambda each: abs(math.log(statures[each] / STATURE)))
    low, high = TALL
    return unit if low <= statures[unit] <= high else _SIZE_OF_STATURE / size


def _ups(takes: list[Take]) -> list[Float[Tensor, "3"]]:
    """The direction up of every take."""
    reaches = [_reach(take.body.joints) / take.body.size for take in takes]
    of_skeletons: dict[tuple[str, ...], Tensor] = {}
    for take, reach in zip(takes, reaches, strict=True):
        of_skeletons[take.names] = of_skeletons.get(take.names, torch.zeros(3, dtype=torch.float64)) + reach
    ups = []
    for take, reach in zip(takes, reaches, strict=True):
        alike = of_skeletons[take.names]
        y_up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
        clear = next((each for each in (reach, alike) if _stands_out(each)), y_up)
        axis = int(clear.abs().argmax())
        ups.append(torch.nn.functional.one_hot(torch.tensor(axis), 3).double() * clear[axis].sign())
    return ups


def _reach(joints: Float[Tensor, "frame joint 3"]) -> Float[Tensor, "3"]:
    """From the ankles to the thorax, on average over the frames."""
    ankles = joints[:, [H36M.index("left_ankle"), H36M.index("right_ankle")]].mean(1)
    return (joints[:, H36M.index("thorax")] - ankles).mean(0)


def _stands_out(reach: Float[Tensor, "3"]) -> bool:
    _, second, first = sorted(map(abs, reach.tolist()))
    return bool(first > max(_STANDS_OUT * second, 0.25))


def to_world(body: Body, up: Float[Tensor, "3"]) -> Float[Tensor, "frame joint 3"]:
    """The joints in metres, z up, in the middle of the room, the lowest ankle just above the floor."""
    axis, sign = int(up.abs().argmax()), float(up.sum())
    quarter = up.new_tensor(math.pi / 2)
    turn = {
        0: rotation_about("y", -sign * quarter),
        1: rotation_about("x", sign * quarter),
        2: rotation_about("x", quarter * (0 if sign > 0 else 2)),
    }[axis]
    world = body.joints @ turn.mT * metres_of(body.size)
    path = world[:, H36M.root]
    middle = (path.amin(0) + path.amax(0)) / 2
    floor = world[..., 2].amin() - _ANKLE_HEIGHT
    return world - torch.stack([middle[0], middle[1], floor])


def _film(take: Take, up: Float[Tensor, "3"], params: SourceParams) -> Iterator[Unread]:
    """A take as the virtual cameras see it, whenever somebody looks."""
    world = to_world(take.body, up)
    seen = virtual_cameras(f"{take.subject}/{take.action}", world[:, H36M.root], params.virtual_cameras)
    for camera, generator in seen:
        noise = generator.get_state() if params.keypoints == "noisy" else None
        load = partial(_see, take.subject, take.action, camera, take.fps, world, noise)
        yield Unread(take.subject, take.action, camera, take.fps, load, len(world))


def _see(
    subject: str,
    action: str,
    camera: Camera,
    fps: float,
    world: Float[Tensor, "frame joint 3"],
    noise: Tensor | None,
    frames: slice | Tensor,
) -> PoseSequence:
    """Some frames of a take in a camera; `noise` is the state of what draws it for the whole take."""
    if noise is not None:
        positions = camera.to_camera(world)
        generator = torch.Generator()
        generator.set_state(noise)
        keypoints, confidence = sample.detect(camera.project(positions).float(), generator)
        return PoseSequence(subject, action, camera, fps, keypoints, confidence, positions.float()).read(frames)
    positions = camera.to_camera(world[frames])
    confidence = torch.ones(positions.shape[:-1])
    return PoseSequence(subject, action, camera, fps, camera.project(positions).float(), confidence, positions.float())
