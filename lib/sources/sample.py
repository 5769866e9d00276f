"""The sample: 15 clips of real motion, performed by seven invented bodies before Human3.6M's cameras.

The clips are joint angles of DeepMimic's humanoid (x forward, y up, z to its right, metres; its figures are those of
data/characters/humanoid3d.txt). H36M's joints on it: the pelvis is its root, midway between the hips; the spine is its
chest joint; the thorax is its neck joint; hips, knees, ankles, shoulders, elbows and wrists are its own. It has no
face: H36M's neck (near the nose) and head turn with its neck joint. Drillis and Contini's table (1966, as in Winter,
Biomechanics and Motor Control of Human Movement) has the chin 0.052 and the vertex 0.182 statures above the shoulders,
which is 0.09 and 0.31 m for the stature of 1.69 m that goes with these legs. The neck is put just above the chin at the
front of the face, and the head between it and the vertex, inside the skull: a guess within those bounds.
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.geometry import quaternion_to_matrix, rotation_about
from lib.pose.skeleton import H36M
from lib.runtime.bounds import check_text
from lib.runtime.errors import UserError
from lib.runtime.files import require_file
from lib.sources.base import PoseSequence, SourceData, SourceParams
from lib.sources.clips import CLIPS, PERFORMERS, file_name
from lib.sources.h36m_cameras import cameras

FPS = 50.0
KEYPOINTS = ("gt", "noisy")

# A frame of a clip: its duration in seconds, then this. Rotations are w-first quaternions relative to the parent; knees
# and elbows are angles about z.
_CHANNELS = {
    "duration": 1,
    "position": 3,
    "root": 4,
    "chest": 4,
    "neck": 4,
    **{f"right_{joint}": width for joint, width in zip(("hip", "knee", "ankle"), (4, 1, 4), strict=True)},
    **{f"right_{joint}": width for joint, width in zip(("shoulder", "elbow"), (4, 1), strict=True)},
    **{f"left_{joint}": width for joint, width in zip(("hip", "knee", "ankle"), (4, 1, 4), strict=True)},
    **{f"left_{joint}": width for joint, width in zip(("shoulder", "elbow"), (4, 1), strict=True)},
}


class Body(NamedTuple):
    """How a performer's body differs from DeepMimic's: an overall size, and factors of its parts."""

    size: float
    legs: float
    arms: float
    trunk: float
    breadth: float  # of hips and shoulders


# Invented. Statures vary by 4 % in a population, proportions by about 2 %.
BODIES = {
    "S1": Body(1.00, 1.01, 0.98, 1.00, 1.02),
    "S5": Body(0.95, 0.99, 1.01, 1.02, 0.97),
    "S6": Body(1.03, 1.02, 1.02, 0.98, 1.00),
    "S7": Body(1.06, 1.00, 1.00, 1.01, 1.04),
    "S8": Body(0.97, 0.98, 0.99, 1.01, 1.03),
    "S9": Body(1.04, 1.03, 0.97, 0.98, 0.96),
    "S11": Body(0.99, 1.00, 0.98, 1.03, 1.01),
}

# Joint -> (factor of the body, offset from its parent in the humanoid's frame; z for the right side).
_OFFSETS = {
    "hip": ("breadth", (0.0, 0.0, 0.084887)),
    "knee": ("legs", (0.0, -0.421546, 0.0)),
    "ankle": ("legs", (0.0, -0.40987, 0.0)),
    "spine": ("trunk", (0.0, 0.236151, 0.0)),
    "thorax": ("trunk", (0.0, 0.223894, 0.0)),
    "neck": ("trunk", (0.06, 0.105, 0.0)),
    "head": ("trunk", (-0.03, 0.115, 0.0)),  # from the neck
    "shoulder": ("breadth", (-0.02405, 0.2435, 0.18311)),  # from the spine
    "elbow": ("arms", (0.0, -0.274788, 0.0)),
    "wrist": ("arms", (0.0, -0.258947, 0.0)),
}

ROOM_MIDDLE = (0.1, 0.3)  # world x and y in metres
NOISE_PX = 4.0  # standard deviation a coordinate
NOISE_FRAMES = 2.0  # width of the Gaussian that smooths the noise over time
WILD_SHARE = 0.004  # of the points
WILD_PX = (50.0, 150.0)  # how far they are off
_MOST_BYTES = 1 << 26
_LARGEST = 100.0  # of what a clip says in metres, seconds and radians
_GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples, modulo one, cover a circle evenly


def read(raw: Path, params: SourceParams) -> SourceData:
    """Read the clips in `raw`, performed by the split's subjects.

    `keypoints: gt` are exact projections, lens distortion included, and certain; `noisy` ones err as a detector's do:
    Gaussian, correlated over time, and now and then a point is far off, with a low confidence. Both are the same in
    every run.

    Raises:
        UserError: a clip is missing or damaged, the keypoints are unknown, or a subject's role is not its clips'.
    """
    check(params)
    sequences = []
    for role, performers in PERFORMERS.items():
        subjects = [subject for subject in performers if subject in getattr(params.split, role)]
        for clip in CLIPS[role] if subjects else ():
            motion = _resample(_load(raw / file_name(clip)))
            for subject in subjects:
                sequences.extend(_film(subject, clip, motion, noisy=params.keypoints == "noisy"))
    return SourceData(sequences, [], tuple(BODIES))


def check(params: SourceParams) -> None:
    """Refuse keypoints that there are not, and a split that would put the same clip into two of its parts.

    Raises:
        UserError: naming the key.
    """
    if params.keypoints not in KEYPOINTS:
        raise UserError(f"params.yaml: data.keypoints = {params.keypoints!r}: the sample has {' and '.join(KEYPOINTS)}")
    roles = {subject: role for role, subjects in PERFORMERS.items() for subject in subjects}
    for name in PERFORMERS:
        for subject in getattr(params.split, name):
            if roles.get(subject, name) != name:
                choice = ", ".join(f"{role}: {' '.join(subjects)}" for role, subjects in PERFORMERS.items())
                raise UserError(
                    f"params.yaml: data.split.{name} names {subject}, who performs the sample's {roles[subject]} "
                    f"clips, and a clip must not be in two splits: choose from {choice}"
                )


def _load(path: Path) -> dict[str, Float[Tensor, "frame channel"]]:
    require_file(path, "run `dvc repro download`")
    try:
        check_text(path, _MOST_BYTES)
        frames = torch.tensor(json.loads(path.read_text(encoding="utf-8"))["Frames"], dtype=torch.float64)
        channels = torch.split(frames, list(_CHANNELS.values()), dim=1)
        if len(frames) < 2 or not (frames.abs() < _LARGEST).all() or not (frames[:, 0] >= 0).all():
            raise ValueError
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError):
        raise UserError(f"{path} is no DeepMimic clip: run `dvc repro --force download` to get it again") from None
    return dict(zip(_CHANNELS, channels, strict=True))


def _resample(motion: dict[str, Tensor]) -> dict[str, Float[Tensor, "frame channel"]]:
    """The motion at `FPS`; rotations move along great circles, everything else along lines."""
    duration = motion["duration"].squeeze(-1)
    times = duration.cumsum(0) - duration
    wanted = torch.arange(int(times[-1] * FPS + 1e-6) + 1, dtype=times.dtype) / FPS
    after = torch.searchsorted(times, wanted, right=True).clamp(1, len(times) - 1)
    before = after - 1
    weight = ((wanted - times[before]) / (times[after] - times[before]))[:, None]
    return {
        name: (_slerp if _CHANNELS[name] == 4 else torch.lerp)(values[before], values[after], weight)
        for name, values in motion.items()
    }


def _slerp(
    first: Float[Tensor, "frame 4"], second: Float[Tensor, "frame 4"], weight: Float[Tensor, "frame 1"]
) -> Float[Tensor, "frame 4"]:
    """Spherical interpolation the shorter way round; normalises first, because some clips are not."""
    first, second = torch.nn.functional.normalize(first, dim=-1), torch.nn.functional.normalize(second, dim=-1)
    cosine = (first * second).sum(-1, keepdim=True)
    second = torch.where(cosine < 0, -second, second)
    angle = cosine.abs().clamp(max=1 - 1e-12).arccos()
    return (((1 - weight) * angle).sin() * first + (weight * angle).sin() * second) / angle.sin()


def forward_kinematics(motion: dict[str, Tensor], body: Body) -> Float[Tensor, "frame joint 3"]:
    """Poses of H36M's skeleton in metres; x forward, y up, z to the right, as the clips are."""
    turn = {name: quaternion_to_matrix(motion[name]) for name, width in _CHANNELS.items() if width == 4}
    bend = {name: rotation_about("z", motion[name][:, 0]) for name in _CHANNELS if name.endswith(("knee", "elbow"))}
    chest = turn["root"] @ turn["chest"]
    neck = chest @ turn["neck"]
    # The root's path grows with the legs, so that feet stay where they tread.
    joints = {"pelvis": motion["position"] * body.size * body.legs}
    joints["spine"] = joints["pelvis"] + _step(turn["root"], "spine", body)
    joints["thorax"] = joints["spine"] + _step(chest, "thorax", body)
    joints["neck"] = joints["thorax"] + _step(neck, "neck", body)
    joints["head"] = joints["neck"] + _step(neck, "head", body)
    for side, sign in (("right", 1.0), ("left", -1.0)):
        thigh = turn["root"] @ turn[f"{side}_hip"]
        joints[f"{side}_hip"] = joints["pelvis"] + _step(turn["root"], "hip", body, sign)
        joints[f"{side}_knee"] = joints[f"{side}_hip"] + _step(thigh, "knee", body)
        joints[f"{side}_ankle"] = joints[f"{side}_knee"] + _step(thigh @ bend[f"{side}_knee"], "ankle", body)
        arm = chest @ turn[f"{side}_shoulder"]
        joints[f"{side}_shoulder"] = joints["spine"] + _step(chest, "shoulder", body, sign)
        joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] + _step(arm, "elbow", body)
        joints[f"{side}_wrist"] = joints[f"{side}_elbow"] + _step(arm @ bend[f"{side}_elbow"], "wrist", body)
    return torch.stack([joints[name] for name in H36M.names], dim=-2)


def _step(rotation: Float[Tensor, "frame 3 3"], joint: str, body: Body, sign: float = 1.0) -> Float[Tensor, "frame 3"]:
    part, (x, y, z) = _OFFSETS[joint]
    scale = body.size * getattr(body, part)
    return rotation @ rotation.new_tensor((scale * x, scale * y, sign * scale * z))


def _film(subject: str, clip: str, motion: dict[str, Tensor], noisy: bool) -> list[PoseSequence]:
    """A clip as the four cameras see a subject perform it."""
    performer, number = list(BODIES).index(subject), sum(CLIPS.values(), ()).index(clip)
    world = _stage(forward_kinematics(motion, BODIES[subject]), performer, number)
    sequences = []
    for view, camera in enumerate(cameras(subject)):
        positions = camera.to_camera(world)
        keypoints, confidence = camera.project(positions).float(), torch.ones(positions.shape[:-1])
        if noisy:
            seed = (performer * 100 + number) * 10 + view
            keypoints, confidence = detect(keypoints, torch.Generator().manual_seed(seed))
        action = clip.replace("_", " ").title()
        sequences.append(PoseSequence(subject, action, camera, FPS, keypoints, confidence, positions.float()))
    return sequences


def _stage(pose: Float[Tensor, "frame joint 3"], performer: int, number: int) -> Float[Tensor, "frame joint 3"]:
    """The performance in the world: z up, a heading of its own, near the middle of what all cameras see."""
    heading = pose.new_tensor(math.tau * _GOLDEN * (performer * sum(map(len, CLIPS.values())) + number))
    around = pose.new_tensor(math.tau * performer * _GOLDEN)
    place = pose.new_tensor(ROOM_MIDDLE) + 0.2 * torch.stack([around.cos(), around.sin()])
    upright = rotation_about("z", heading) @ rotation_about("x", pose.new_tensor(math.pi / 2))
    world = pose @ upright.mT
    path = world[:, H36M.root, :2]
    world[..., :2] += place - (path.amin(0) + path.amax(0)) / 2
    return world


def detect(
    keypoints: Float[Tensor, "frame joint 2"], generator: torch.Generator
) -> tuple[Float[Tensor, "frame joint 2"], Float[Tensor, "frame joint"]]:
    """Keypoints and confidences as from a detector, which is unsure of wild points and says nothing of other errors."""
    frames, joints, _ = keypoints.shape
    reach = math.ceil(3 * NOISE_FRAMES)
    kernel = (-0.5 * (torch.arange(-reach, reach + 1) / NOISE_FRAMES).square()).exp()
    white = torch.randn(joints * 2, 1, frames + 2 * reach, generator=generator)
    smooth = torch.nn.functional.conv1d(white, (kernel / kernel.norm())[None, None])  # a variance of one again
    noise = NOISE_PX * smooth[:, 0].T.reshape(frames, joints, 2)

    uniform = torch.rand(4, frames, joints, generator=generator)
    wild = uniform[0] < WILD_SHARE
    far = WILD_PX[0] + (WILD_PX[1] - WILD_PX[0]) * uniform[1]
    angle = math.tau * uniform[2]
    leap = far[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
    confidence = torch.where(wild, 0.05 + 0.35 * uniform[3], 0.7 + 0.3 * uniform[3])
    return keypoints + torch.where(wild[..., None], leap, noise), confidence
