"""Forward kinematics: joint angles within their limits, and a body -> a pose.

Body frame: x to the person's left, y up, z forward; angles in degrees in the tables, radians in code; lengths in
metres. Joint limits are those of the American Academy of Orthopaedic Surgeons' Joint Motion (1965), as tabled in Norkin
and White, Measurement of Joint Motion.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.layout import Layout
from lib.prior.bodies import ATTACHED_LANDMARKS, SEGMENTS, SKELETON, TILTS, Body, part_of

# Joint limits (low, high): flexion, abduction, inward rotation; for spine and neck the latter two are to the left.
LIMITS = {
    "spine": ((-30, 85), (-35, 35), (-45, 45)),
    "neck": ((-50, 60), (-45, 45), (-75, 75)),
    "hip": ((-30, 125), (-30, 50), (-45, 45)),
    "shoulder": ((-60, 180), (-45, 180), (-90, 70)),
}
KNEE = (0, 150)
ELBOW = (0, 150)
ANKLE = (-50, 20)  # dorsiflexion
WRIST = ((-80, 70), (-80, 80))  # flexion, inward rotation of the forearm

SIDES = (("left", 1.0), ("right", -1.0))  # and the sign of x there


_WIDTHS = [3, 3, 3, 6, 2, 6, 2, 2, 4]  # of the angles in a vector
_ATTACHED_TO: dict[str, list[int]] = {}  # a part of the body -> the landmarks on it that are no joints
for _index, _name in enumerate(ATTACHED_LANDMARKS):
    _ATTACHED_TO.setdefault(part_of(_name), []).append(_index)
_ATTACHED_ORDER = torch.tensor(sum(_ATTACHED_TO.values(), [])).argsort()


class Angles(NamedTuple):
    """Joint angles in radians; sides are (left, right), triples (flexion, abduction or lateral, rotation)."""

    pelvis: Float[Tensor, "*batch 3"]  # pitch forward, roll to the left, heading
    spine: Float[Tensor, "*batch 3"]
    neck: Float[Tensor, "*batch 3"]
    shoulder: Float[Tensor, "*batch 2 3"]
    elbow: Float[Tensor, "*batch 2"]
    hip: Float[Tensor, "*batch 2 3"]
    knee: Float[Tensor, "*batch 2"]
    ankle: Float[Tensor, "*batch 2"]  # dorsiflexion
    wrist: Float[Tensor, "*batch 2 2"]  # flexion, inward rotation

    @classmethod
    def from_vector(cls, vector: Float[Tensor, "*batch angle"]) -> "Angles":
        """Angles from one vector a pose: the fields in their order, sides before triples."""
        pelvis, spine, neck, shoulder, elbow, hip, knee, ankle, wrist = vector.split(_WIDTHS, dim=-1)
        arms, legs, hands = (part.unflatten(-1, (2, -1)) for part in (shoulder, hip, wrist))
        return cls(pelvis, spine, neck, arms, elbow, legs, knee, ankle, hands)

    def vector(self) -> Float[Tensor, "*batch angle"]:
        """The opposite of `from_vector`."""
        return torch.cat(
            [
                self.pelvis,
                self.spine,
                self.neck,
                self.shoulder.flatten(-2),
                self.elbow,
                self.hip.flatten(-2),
                self.knee,
                self.ankle,
                self.wrist.flatten(-2),
            ],
            dim=-1,
        )

    def limited(self) -> "Angles":
        """The same angles within the joints' limits."""
        return Angles(
            pelvis=self.pelvis,
            spine=_limit(self.spine, LIMITS["spine"]),
            neck=_limit(self.neck, LIMITS["neck"]),
            shoulder=_limit(self.shoulder, LIMITS["shoulder"]),
            elbow=self.elbow.clamp(*map(math.radians, ELBOW)),
            hip=_limit(self.hip, LIMITS["hip"]),
            knee=self.knee.clamp(*map(math.radians, KNEE)),
            ankle=self.ankle.clamp(*map(math.radians, ANKLE)),
            wrist=_limit(self.wrist, WRIST),
        )


class Frame(NamedTuple):
    """The axes of a part of the body: its own left, up and forward at rest."""

    x: Float[Tensor, "*batch 3"]
    y: Float[Tensor, "*batch 3"]
    z: Float[Tensor, "*batch 3"]

    def turned(self, axis: str, angle: Float[Tensor, "*batch"]) -> "Frame":
        """Turned about its own 'x', 'y' or 'z' axis, right-handed; a small part of what a product of matrices costs."""
        cos, sin = angle.cos()[..., None], angle.sin()[..., None]
        x, y, z = self
        if axis == "x":
            return Frame(x, cos * y + sin * z, cos * z - sin * y)
        if axis == "y":
            return Frame(cos * x - sin * z, y, cos * z + sin * x)
        return Frame(cos * x + sin * y, cos * y - sin * x, z)

    def at(self, offsets: Float[Tensor, "*#batch point 3"]) -> Float[Tensor, "*batch point 3"]:
        """Points in the frame -> points in the frame that its axes are in."""
        x, y, z = offsets[..., None].unbind(-2)
        return x * self.x[..., None, :] + y * self.y[..., None, :] + z * self.z[..., None, :]


class Posed(NamedTuple):
    """Bodies in a pose, root-centred, in metres."""

    joints: Float[Tensor, "*batch joint 3"]
    parts: dict[str, Frame]  # of the parts of the body that have joints
    angles: Angles | None = None  # None: hands and feet go straight on from forearms and shanks

    def all_parts(self) -> dict[str, Frame]:
        """Hands and feet as well, which no joint needs."""
        parts = dict(self.parts)
        for index, (side, sign) in enumerate(SIDES):
            if self.angles is None:
                parts[f"{side}_foot"], parts[f"{side}_hand"] = parts[f"{side}_shank"], parts[f"{side}_forearm"]
                continue
            flexion, turn = self.angles.wrist[..., index, :].unbind(-1)
            hand = parts[f"{side}_forearm"].turned("y", -sign * turn).turned("z", -sign * flexion)
            parts[f"{side}_foot"] = parts[f"{side}_shank"].turned("x", -self.angles.ankle[..., index])
            parts[f"{side}_hand"] = hand
        return parts

    def landmarks(self, body: Body) -> Float[Tensor, "*batch landmark 3"]:
        """The joints, and the landmarks of head, feet and hands."""
        neck, head = (self.joints[..., SKELETON.index(name), :] for name in ("neck", "head"))
        parts, on = self.all_parts(), {"head": (neck + head) / 2}
        for side, _ in SIDES:
            ankle, wrist = (self.joints[..., SKELETON.index(f"{side}_{name}"), :] for name in ("ankle", "wrist"))
            on |= {f"{side}_foot": ankle, f"{side}_hand": wrist}
        placed = [
            on[part][..., None, :] + parts[part].at(body.attached[..., index, :])
            for part, index in _ATTACHED_TO.items()
        ]
        return torch.cat([self.joints, torch.cat(placed, -2)[..., _ATTACHED_ORDER, :]], -2)

    def moved(self, offsets: Float[Tensor, "*#batch keypoint 3"], layout: Layout) -> Float[Tensor, "*batch keypoint 3"]:
        """Offsets of keypoints, metres in the frames of the parts that they are on, in the frame of the joints."""
        parts, on = self.all_parts(), dict[str, list[int]]()
        for keypoint, name in enumerate(layout.landmarks):
            on.setdefault(part_of(name), []).append(keypoint)
        turned = [parts[part].at(offsets[..., index, :]) for part, index in on.items()]
        order = torch.tensor(sum(on.values(), [])).argsort()
        return torch.cat(turned, -2)[..., order, :]


def forward_kinematics(angles: Angles, body: Body) -> Posed:
    """Bodies in the body frame, turned by the pelvis's pitch, roll and heading."""
    length = {name: part[..., None] for name, part in zip(SEGMENTS, body.lengths.unbind(-1), strict=True)}
    tilt = dict(zip(TILTS, body.tilts.unbind(-1), strict=True))
    pitch, roll, heading = angles.pelvis.unbind(-1)
    axes = torch.eye(3, device=pitch.device).expand(*pitch.shape, 3, 3).unbind(-2)
    pelvis = Frame(*axes).turned("y", heading).turned("x", pitch).turned("z", -roll)
    lower = _bend(pelvis, angles.spine / 2)
    chest = _bend(lower, angles.spine / 2)
    head = _bend(chest, angles.neck)
    parts = {"pelvis": pelvis, "lower_trunk": lower, "chest": chest, "head": head}
    joints = {"pelvis": torch.zeros_like(angles.pelvis)}
    trunk = (
        ("spine", "lower_spine", lower),
        ("thorax", "upper_spine", chest),
        ("neck", "neck", head),
        ("head", "head", head),
    )
    below = joints["pelvis"]
    for name, segment, frame in trunk:
        below = joints[name] = below + length[segment] * _forward(frame, tilt[segment] + math.radians(TILTS[segment]))
    for index, (side, sign) in enumerate(SIDES):
        thigh = _limb(pelvis, angles.hip[..., index, :], sign)
        shank = thigh.turned("x", angles.knee[..., index])
        joints[f"{side}_hip"] = length["hip"] * _sideways(pelvis, sign, tilt["hip"])
        joints[f"{side}_knee"] = joints[f"{side}_hip"] - length["thigh"] * thigh.y
        joints[f"{side}_ankle"] = joints[f"{side}_knee"] - length["shank"] * shank.y

        shoulder = angles.shoulder[..., index, :]
        # The shoulder girdle follows a raised arm: about a quarter of its elevation above 40 degrees.
        raised = (shoulder[..., :2].norm(dim=-1) - math.radians(40)).clamp(0, math.radians(120)) / 4
        lifted = raised + tilt["shoulder"] + math.radians(TILTS["shoulder"])
        arm = _limb(chest, shoulder, sign)
        forearm = arm.turned("x", -angles.elbow[..., index])
        joints[f"{side}_shoulder"] = joints["thorax"] + length["shoulder"] * _sideways(chest, sign, lifted)
        joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] - length["upper_arm"] * arm.y
        joints[f"{side}_wrist"] = joints[f"{side}_elbow"] - length["forearm"] * forearm.y
        names = ("thigh", "shank", "upper_arm", "forearm")
        parts |= {f"{side}_{name}": part for name, part in zip(names, (thigh, shank, arm, forearm), strict=True)}
    return Posed(torch.stack([joints[name] for name in SKELETON.names], -2), parts, angles)


def _head_ahead() -> float:
    """By how much the way from the thorax to the head leans forward in the head's frame: radians."""
    forward, up = (
        sum(SEGMENTS[name] * of(math.radians(TILTS[name])) for name in ("neck", "head")) for of in (math.sin, math.cos)
    )
    return math.atan2(forward, up)


_HEAD_AHEAD = _head_ahead()


def posed_of(joints: Float[Tensor, "*batch joint 3"]) -> Posed:
    """Bodies of which the joints alone are known, in any frame.

    Pelvis, chest and head face as hips, shoulders and neck say; each part of a limb turns from the part above it by the
    smallest angle that there is.
    """

    def at(name: str) -> Tensor:
        return joints[..., SKELETON.index(name), :]

    above, top = at("spine") - at("pelvis"), at("head") - at("thorax")
    pelvis = _facing(above, at("left_hip") - at("right_hip"))
    chest = _facing(at("thorax") - at("spine"), at("left_shoulder") - at("right_shoulder"))
    # The joint neck is in front of the joint head, and that in front of the thorax.
    head = _facing(top, torch.linalg.cross(top, at("neck") - at("thorax"))).turned("x", top.new_tensor(-_HEAD_AHEAD))
    parts = {"pelvis": pelvis, "lower_trunk": pelvis, "chest": chest, "head": head}
    for side, _ in SIDES:
        for trunk, names, ends in (
            (pelvis, ("thigh", "shank"), ("hip", "knee", "ankle")),
            (chest, ("upper_arm", "forearm"), ("shoulder", "elbow", "wrist")),
        ):
            part = trunk
            for name, start, end in zip(names, ends, ends[1:], strict=False):
                up = at(f"{side}_{start}") - at(f"{side}_{end}")
                part = parts[f"{side}_{name}"] = _swung(part, up)
    return Posed(joints, parts)


def _facing(up: Float[Tensor, "*batch 3"], left: Float[Tensor, "*batch 3"]) -> Frame:
    """A part whose axis points up, and whose left is as near to `left` as can be."""
    up = torch.nn.functional.normalize(up, dim=-1)
    forward = torch.nn.functional.normalize(torch.linalg.cross(left, up), dim=-1)
    return Frame(torch.linalg.cross(up, forward), up, forward)


def _swung(frame: Frame, up: Float[Tensor, "*batch 3"]) -> Frame:
    """A part that turns by the smallest angle until its axis points up."""
    up = torch.nn.functional.normalize(up, dim=-1)
    half = frame.y + up
    cosine = (frame.y * up).sum(-1, keepdim=True)
    left = frame.x - half * (up * frame.x).sum(-1, keepdim=True) / (1 + cosine).clamp_min(1e-3)
    return _facing(up, left)


def _bend(frame: Frame, angles: Float[Tensor, "*batch 3"]) -> Frame:
    """Flexion, bending to the left and turning to the left of a trunk segment."""
    flexion, lateral, turn = angles.unbind(-1)
    return frame.turned("y", turn).turned("z", -lateral).turned("x", flexion)


def _limb(parent: Frame, angles: Float[Tensor, "*batch 3"], sign: float) -> Frame:
    """Flexion forward, abduction away from the body and inward rotation of a limb that hangs at rest."""
    flexion, abduction, rotation = angles.unbind(-1)
    return parent.turned("z", sign * abduction).turned("x", -flexion).turned("y", -sign * rotation)


def _forward(frame: Frame, pitch: Float[Tensor, "*#batch"]) -> Float[Tensor, "*batch 3"]:
    """The direction that leans forward from up by an angle."""
    return pitch.cos()[..., None] * frame.y + pitch.sin()[..., None] * frame.z


def _sideways(frame: Frame, sign: float, lift: Float[Tensor, "*#batch"]) -> Float[Tensor, "*batch 3"]:
    """The direction to the left (sign 1) or right (-1), lifted by an angle."""
    return sign * lift.cos()[..., None] * frame.x + lift.sin()[..., None] * frame.y


def _limit(angles: Float[Tensor, "*batch angle"], limits: tuple[tuple[int, int], ...]) -> Float[Tensor, "*batch angle"]:
    low, high = angles.new_tensor(limits).deg2rad().unbind(-1)
    return angles.clamp(low, high)
