"""From the joints of any motion capture skeleton to Human3.6M's 17.

Limb joints are found by their names, whatever software wrote them (`LIMBS`). The others depend on the software too much
to be taken by name, and are placed the same way for all:

- pelvis: midway between the hips;
- thorax: where the middle of the shoulders usually is, fixed to the joint of the trunk that both arms hang on, so that
  it does not rise with raised arms (necks begin 10 cm below the shoulders in CMU's files, and above them in Mixamo's);
- spine: halfway from pelvis to thorax along the joints of the trunk between them;
- neck and head: Human3.6M's are points of the face and the skull that no motion capture skeleton has. They are placed
  as the sample places them (`lib.sources.sample`, with its source), for the body's size: above the thorax along the
  neck, and forward and up as the head is turned.

How the head is turned is known from the joint named head: forward and up in it are what they are on average over the
recording in the frame of the trunk, since bones' own axes and rest poses mean something else in every software. An
end site of the head serves where it lies well above it: its direction is up.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.skeleton import H36M
from lib.sources.bvh_files import END, Bvh, BvhError, joint_motion

# Limb joint -> patterns of the rest of its name, once its side is taken away; the first that any joint fits counts.
# Shoulder: 'shoulder' is a collar bone where an 'arm' hangs on it (Mixamo, LaFAN), and the joint itself elsewhere.
LIMBS = {
    "hip": (r"upleg|upperleg|thigh|femur", r"hip"),
    "knee": (r"leg|lowerleg|lowleg|loleg|shin|calf|knee|tibia",),
    "ankle": (r"foot|ankle",),
    "shoulder": (r"arm|uparm|upperarm|shldr|humerus", r"shoulder"),
    "elbow": (r"forearm|lowerarm|lowarm|loarm|elbow|radius",),
    "wrist": (r"hand|wrist",),
}
_HEAD = r"head"
# Words that software puts before a joint's own name: Character1_LeftArm, mixamorig:Hips, Bip01 L Thigh, J_Bip_L_Hand
_PREFIX = re.compile(
    r"^(.*[:|])|^(character\d*|mixamorig\d*|bip_?\d*|j_bip(_c)?|valvebiped|skeleton|def|joint)[_ .-]+", re.IGNORECASE
)
# Metres on a body whose pelvis, thorax, knees and ankles lie as on DeepMimic's, along neck, up and forward.
_STATURE_PARTS = 0.236151 + 0.223894 + 0.421546 + 0.40987
_BACKWARDS = -0.3  # of how knees bend: it is 0.4 to 1 in 94 takes of walking, dancing, rolling and getting up
_STRAIGHT = 0.02  # of trunk and leg: knees that are less off tell nothing
_SMALLEST = 1e-9  # of trunk and leg, in any unit
_ABOVE_THORAX, _FACE, _CROWN, _BACK = 0.105, 0.06, 0.115, -0.03


class Body(NamedTuple):
    """A recording's 17 joints in the file's unit and axes, and what tells its unit."""

    joints: Float[Tensor, "frame joint 3"]
    size: float  # the length of trunk and leg: 1.29 m on a body 1.69 m tall


class UnknownSkeletonError(ValueError):
    """Joints are missing, or are not those that they are called; the message says which."""


def h36m_joints(bvh: Bvh) -> Body:
    """Human3.6M's joints of a recording.

    Raises:
        UnknownSkeletonError: limbs were not found by name, or left and right are exchanged.
        BvhError: the body has no size, or one beyond all numbers.
    """
    found = find_joints(bvh.names)
    missing = [f"{side}_{limb}" for limb in LIMBS for side in ("left", "right") if f"{side}_{limb}" not in found]
    if missing:
        raise UnknownSkeletonError(f"no joint is named like {', '.join(missing)}")
    positions, rotations = joint_motion(bvh)
    joints = {name: positions[:, index] for name, index in found.items() if name in H36M.names}
    joints["pelvis"] = (joints["left_hip"] + joints["right_hip"]) / 2
    trunk_joints = _trunk_joints(bvh, found)
    joints["thorax"] = _thorax(joints, positions[:, trunk_joints[0]], rotations[:, trunk_joints[0]])
    joints["spine"] = _spine(positions[:, trunk_joints], joints["pelvis"], joints["thorax"])
    size = _size(joints)
    if not (_SMALLEST < size < math.inf and all(bool(place.isfinite().all()) for place in joints.values())):
        raise BvhError(f"a body whose trunk and leg are {size:g} long")
    trunk = _trunk_frame(joints)
    if _knees_forward(joints, trunk[..., 2], size) < _BACKWARDS:
        raise UnknownSkeletonError("its knees bend backwards: left and right are exchanged, or an axis is turned round")
    up, forward = trunk[..., 1], trunk[..., 2]
    along = up
    if "head" in found:
        turn, base = rotations[:, found["head"]], positions[:, found["head"]]
        up, forward = _head_axes(bvh, found["head"], turn, trunk)
        along = _unit_or(base - joints["thorax"], up, 0.02 * size)
    scale = size / _STATURE_PARTS
    joints["neck"] = joints["thorax"] + scale * (_ABOVE_THORAX * along + _FACE * forward)
    joints["head"] = joints["neck"] + scale * (_CROWN * up + _BACK * forward)
    return Body(torch.stack([joints[name] for name in H36M.names], dim=1), size)


def find_joints(names: Sequence[str]) -> dict[str, int]:
    """Limb joints by their Human3.6M name, and `head`, to their place among a file's names."""
    plain = [_plain(name) if not name.endswith(END) else ("", "") for name in names]
    found: dict[str, int] = {}
    for limb, patterns in LIMBS.items():
        for side in ("left", "right"):
            for pattern in patterns:
                fits = [i for i, (own, rest) in enumerate(plain) if own == side and re.fullmatch(pattern, rest)]
                if fits:
                    found[f"{side}_{limb}"] = fits[0]
                    break
    heads = [i for i, (own, rest) in enumerate(plain) if not own and re.fullmatch(_HEAD, rest)]
    return found | ({"head": heads[0]} if heads else {})


def _plain(name: str) -> tuple[str, str]:
    """The side that a name says, and the rest of it in small letters: 'mixamorig:LeftUpLeg' -> left, upleg."""
    while (shorter := _PREFIX.sub("", name)) != name:
        name = shorter
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # rThigh, LeftUpLeg
    parts = [part for part in re.split(r"[\s_.\-]+", words.lower()) if part]
    for place in (0, -1):
        for side, own in (("left", ("left", "l")), ("right", ("right", "r"))):
            if len(parts) > 1 and parts[place] in own:
                del parts[place]
                return side, "".join(parts)
            if parts and place == 0 and parts[0].startswith(side) and len(parts[0]) > len(side):
                return side, "".join(parts)[len(side) :]
    return "", "".join(parts)


def _trunk_joints(bvh: Bvh, found: dict[str, int]) -> list[int]:
    """The joints that both arms hang on, from the nearest one to the root."""
    right = _above(bvh, found["right_shoulder"])
    return [joint for joint in _above(bvh, found["left_shoulder"]) if joint in right]


def _thorax(
    joints: dict[str, Tensor], chest: Float[Tensor, "frame 3"], turn: Float[Tensor, "frame 3 3"]
) -> Float[Tensor, "frame 3"]:
    """The usual middle of the shoulders, fixed to the chest."""
    shoulders = (joints["left_shoulder"] + joints["right_shoulder"]) / 2
    local = (turn.mT @ (shoulders - chest)[..., None])[..., 0].median(0).values
    return chest + turn @ local


def _spine(
    trunk: Float[Tensor, "frame joint 3"], pelvis: Float[Tensor, "frame 3"], thorax: Float[Tensor, "frame 3"]
) -> Float[Tensor, "frame 3"]:
    """Halfway up the trunk, whose joints are given from the highest to the lowest.

    It stays in the same place between the same two joints, so that bones keep their lengths.
    """
    line = torch.stack([pelvis, *trunk.flip(1).unbind(1), thorax], dim=1)
    lengths = line.diff(dim=1).norm(dim=-1).median(0).values
    reached = lengths.cumsum(0)
    half = reached[-1] / 2
    after = int(torch.searchsorted(reached, half))
    weight = 1 - (reached[after] - half) / lengths[after].clamp_min(1e-9)
    return torch.lerp(line[:, after], line[:, after + 1], weight)


def _above(bvh: Bvh, joint: int) -> list[int]:
    """What a joint hangs on, from its parent to the root."""
    found = []
    while (joint := bvh.parents[joint]) >= 0:
        found.append(joint)
    return found


def _size(joints: dict[str, Tensor]) -> float:
    """Trunk, thigh and shin: medians over the frames, means of both sides."""
    trunk = (joints["thorax"] - joints["pelvis"]).norm(dim=-1)
    legs = [
        (joints[f"{side}_{one}"] - joints[f"{side}_{other}"]).norm(dim=-1)
        for one, other in (("hip", "knee"), ("knee", "ankle"))
        for side in ("left", "right")
    ]
    return float(trunk.median() + sum(part.median() for part in legs) / 2)


def _trunk_frame(joints: dict[str, Tensor]) -> Float[Tensor, "frame 3 3"]:
    """The trunk's axes as columns: to its left, up, forward."""
    up = _unit(joints["thorax"] - joints["pelvis"])
    across = sum(joints[f"left_{name}"] - joints[f"right_{name}"] for name in ("shoulder", "hip"))
    assert isinstance(across, Tensor)
    forward = _unit(torch.linalg.cross(across, up))
    return torch.stack([torch.linalg.cross(up, forward), up, forward], dim=-1)


def _knees_forward(joints: dict[str, Tensor], forward: Float[Tensor, "frame 3"], size: float) -> float:
    """How far knees are before the straight lines from hips to ankles, from 1 to -1; 0 where legs stay straight."""
    before, off = 0.0, 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        along = _unit(ankle - hip)
        bend = (knee - hip) - ((knee - hip) * along).sum(-1, keepdim=True) * along
        before += float((bend * forward).sum(-1).mean())
        off += float(bend.norm(dim=-1).mean())
    return before / off if off > _STRAIGHT * size else 0.0


def _head_axes(
    bvh: Bvh, head: int, turn: Float[Tensor, "frame 3 3"], trunk: Float[Tensor, "frame 3 3"]
) -> tuple[Float[Tensor, "frame 3"], Float[Tensor, "frame 3"]]:
    """Up and forward of the head in every frame."""
    local = (turn.mT @ trunk).mean(0)  # the trunk's axes as the head has them, on average
    up = _unit(local[:, 1])
    ends = [i for i, parent in enumerate(bvh.parents) if parent == head and bvh.names[i].endswith(END)]
    if ends:
        top = bvh.offsets[ends[0]]
        if float(top.norm()) > 0 and float(_unit(top) @ up) > 0.8:
            up = _unit(top)
    forward = _unit(local[:, 2] - (local[:, 2] @ up) * up)
    return turn @ up, turn @ forward


def _unit(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    return torch.nn.functional.normalize(vector, dim=-1)


def _unit_or(vector: Float[Tensor, "frame 3"], other: Float[Tensor, "frame 3"], least: float) -> Tensor:
    """The direction of a vector, or another where it is too short to have one."""
    return torch.where(vector.norm(dim=-1, keepdim=True) > least, _unit(vector), other)
