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

from lib.pose.geometry import rotation_about
from lib.prior.bodies import SEGMENTS, SKELETON, TILTS, Body

# Joint limits (low, high): flexion, abduction, inward rotation; for spine and neck the latter two are to the left.
LIMITS = {
    "spine": ((-30, 85), (-35, 35), (-45, 45)),
    "neck": ((-50, 60), (-45, 45), (-75, 75)),
    "hip": ((-30, 125), (-30, 50), (-45, 45)),
    "shoulder": ((-60, 180), (-45, 180), (-90, 70)),
}
KNEE = (0, 150)
ELBOW = (0, 150)

DOWN = torch.tensor([0.0, -1.0, 0.0])


class Angles(NamedTuple):
    """Joint angles in radians; sides are (left, right), triples (flexion, abduction or lateral, rotation)."""

    pelvis: Float[Tensor, "*batch 3"]  # pitch forward, roll to the left, heading
    spine: Float[Tensor, "*batch 3"]
    neck: Float[Tensor, "*batch 3"]
    shoulder: Float[Tensor, "*batch 2 3"]
    elbow: Float[Tensor, "*batch 2"]
    hip: Float[Tensor, "*batch 2 3"]
    knee: Float[Tensor, "*batch 2"]

    @classmethod
    def from_vector(cls, vector: Float[Tensor, "*batch angle"]) -> "Angles":
        """Angles from one vector a pose: the fields in their order, sides before triples."""
        pelvis, spine, neck, shoulder, elbow, hip, knee = vector.split([3, 3, 3, 6, 2, 6, 2], dim=-1)
        return cls(pelvis, spine, neck, shoulder.unflatten(-1, (2, 3)), elbow, hip.unflatten(-1, (2, 3)), knee)

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
        )


def forward_kinematics(angles: Angles, body: Body) -> Float[Tensor, "*batch joint 3"]:
    """Root-centred poses of the prior's skeleton in the body frame, turned by the pelvis's pitch, roll and heading."""
    length = dict(zip(SEGMENTS, body.lengths.unbind(-1), strict=True))
    tilt = dict(zip(TILTS, body.tilts.unbind(-1), strict=True))
    pelvis = rotation_about("y", angles.pelvis[..., 2]) @ rotation_about("x", angles.pelvis[..., 0])
    pelvis = pelvis @ rotation_about("z", -angles.pelvis[..., 1])
    half = _bend(angles.spine / 2)
    lower = pelvis @ half
    chest = lower @ half
    nod = chest @ _bend(angles.neck)
    joints = {
        "pelvis": torch.zeros_like(angles.pelvis),
    }
    trunk = (
        ("spine", "lower_spine", lower),
        ("thorax", "upper_spine", chest),
        ("neck", "neck", nod),
        ("head", "head", nod),
    )
    below = joints["pelvis"]
    for name, segment, frame in trunk:
        pitch = tilt[segment] + math.radians(TILTS[segment])
        below = joints[name] = below + _step(frame, _forward(pitch), length[segment])
    for index, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        hip, knee = _limb(pelvis, angles.hip[..., index, :], sign), angles.knee[..., index]
        joints[f"{side}_hip"] = _step(pelvis, _sideways(sign, tilt["hip"]), length["hip"])
        joints[f"{side}_knee"] = joints[f"{side}_hip"] + _step(hip, DOWN, length["thigh"])
        shank = hip @ rotation_about("x", knee)
        joints[f"{side}_ankle"] = joints[f"{side}_knee"] + _step(shank, DOWN, length["shank"])

        shoulder, elbow = angles.shoulder[..., index, :], angles.elbow[..., index]
        # The shoulder girdle follows a raised arm: about a quarter of its elevation above 40 degrees.
        raised = (shoulder[..., :2].norm(dim=-1) - math.radians(40)).clamp(0, math.radians(120)) / 4
        lifted = raised + tilt["shoulder"] + math.radians(TILTS["shoulder"])
        joints[f"{side}_shoulder"] = joints["thorax"] + _step(chest, _sideways(sign, lifted), length["shoulder"])
        arm = _limb(chest, shoulder, sign)
        joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] + _step(arm, DOWN, length["upper_arm"])
        forearm = arm @ rotation_about("x", -elbow)
        joints[f"{side}_wrist"] = joints[f"{side}_elbow"] + _step(forearm, DOWN, length["forearm"])
    return torch.stack([joints[name] for name in SKELETON.names], dim=-2)


def _bend(angles: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Flexion, bending to the left and turning to the left of a trunk segment."""
    flexion, lateral, turn = angles.unbind(-1)
    return rotation_about("y", turn) @ rotation_about("z", -lateral) @ rotation_about("x", flexion)


def _limb(parent: Tensor, angles: Float[Tensor, "*batch 3"], sign: float) -> Float[Tensor, "*batch 3 3"]:
    """Flexion forward, abduction away from the body and inward rotation of a limb that hangs at rest."""
    flexion, abduction, rotation = angles.unbind(-1)
    swing = rotation_about("z", sign * abduction) @ rotation_about("x", -flexion)
    return parent @ swing @ rotation_about("y", -sign * rotation)


def _step(rotation: Tensor, direction: Tensor, length: Tensor) -> Float[Tensor, "*batch 3"]:
    """A bone: `direction` (a unit vector of the rotated frame) times its length."""
    return (rotation @ direction.to(rotation)[..., None])[..., 0] * length[..., None]


def _forward(pitch: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3"]:
    """The direction that leans forward from up by an angle."""
    return torch.stack([torch.zeros_like(pitch), pitch.cos(), pitch.sin()], -1)


def _sideways(sign: float, lift: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3"]:
    """The direction to the left (sign 1) or right (-1), lifted by an angle."""
    return torch.stack([sign * lift.cos(), lift.sin(), torch.zeros_like(lift)], -1)


def _limit(angles: Float[Tensor, "*batch 3"], limits: tuple[tuple[int, int], ...]) -> Float[Tensor, "*batch 3"]:
    low, high = angles.new_tensor(limits).deg2rad().unbind(-1)
    return angles.clamp(low, high)
