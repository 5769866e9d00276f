"""Writers of BVH files, of one body under the names that several programs give its joints."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Joint(NamedTuple):
    """Its parent and its offset from it in metres: y up, x to the left, z forward, on a body in a T-pose."""

    parent: str
    offset: tuple[float, float, float]


_SIDE = {
    "hip": Joint("pelvis", (0.11, -0.05, 0.0)),
    "knee": Joint("hip", (0.0, -0.43, 0.0)),
    "ankle": Joint("knee", (0.0, -0.42, 0.0)),
    "collar": Joint("chest", (0.03, 0.2, 0.0)),
    "shoulder": Joint("collar", (0.13, 0.0, 0.0)),
    "elbow": Joint("shoulder", (0.29, 0.0, 0.0)),
    "wrist": Joint("elbow", (0.25, 0.0, 0.0)),
}
_SIDED = ("hip", "knee", "ankle", "collar", "shoulder", "elbow", "wrist")
BODY = {
    "pelvis": Joint("", (0.0, 0.0, 0.0)),
    "belly": Joint("pelvis", (0.0, 0.1, 0.0)),
    "chest": Joint("belly", (0.0, 0.13, 0.0)),
    "neck": Joint("chest", (0.0, 0.23, 0.0)),
    "head": Joint("neck", (0.0, 0.1, 0.02)),
    **{
        f"{side}_{name}": Joint(
            f"{side}_{joint.parent}" if joint.parent in _SIDED else joint.parent,
            (sign * joint.offset[0], *joint.offset[1:]),
        )
        for side, sign in (("left", 1.0), ("right", -1.0))
        for name, joint in _SIDE.items()
    },
}
_MIDDLE = ("pelvis", "belly", "chest", "neck", "head")


def _names(middle: str, limbs: str, left: str, right: str) -> dict[str, str]:
    """`left` and `right` are patterns of a limb joint's name, in which {} is what `limbs` calls it."""
    found = dict(zip(_MIDDLE, middle.split(","), strict=True))
    for side, pattern in (("left", left), ("right", right)):
        found |= {f"{side}_{name}": pattern.format(own) for name, own in zip(_SIDED, limbs.split(","), strict=True)}
    return found


_MIXAMO = "UpLeg,Leg,Foot,Shoulder,Arm,ForeArm,Hand"
_SPINES = "Hips,Spine,Spine1,Neck,Head"
_XSENS = "Hip,Knee,Ankle,Collar,Shoulder,Elbow,Wrist"
_UPPER = "UpperLeg,LowerLeg,Foot,Shoulder,UpperArm,LowerArm,Hand"
FLAVOURS: dict[str, Mapping[str, str]] = {
    "motionbuilder": _names(_SPINES, _MIXAMO, "Left{}", "Right{}"),
    "mixamo": _names(
        ",".join(f"mixamorig:{n}" for n in _SPINES.split(",")), _MIXAMO, "mixamorig:Left{}", "mixamorig:Right{}"
    ),
    "xsens": _names("Hips,Chest,Chest2,Neck,Head", _XSENS, "Left{}", "Right{}"),
    "bandai": _names("Hips,Spine,Chest,Neck,Head", _UPPER, "{}_L", "{}_R"),
    "rokoko": _names("Hips,Spine1,Spine2,Neck,Head", "Thigh,Shin,Foot,Shoulder,Arm,ForeArm,Hand", "Left{}", "Right{}"),
    "poser": _names("hip,abdomen,chest,neck,head", "Thigh,Shin,Foot,Collar,Shldr,ForeArm,Hand", "l{}", "r{}"),
    "biped": _names(
        "Bip01,Bip01 Spine,Bip01 Spine1,Bip01 Neck,Bip01 Head",
        "Thigh,Calf,Foot,Clavicle,UpperArm,Forearm,Hand",
        "Bip01 L {}",
        "Bip01 R {}",
    ),
    "unreal": _names(
        "pelvis,spine_01,spine_02,neck_01,head", "thigh,calf,foot,clavicle,upperarm,lowerarm,hand", "{}_l", "{}_r"
    ),
    "blender": _names("hips,spine,chest,neck,head", "thigh,shin,foot,shoulder,upper_arm,forearm,hand", "{}.L", "{}.R"),
    "smpl": _names("Pelvis,Spine1,Spine2,Neck,Head", _XSENS, "L_{}", "R_{}"),
    "vroid": _names(
        "J_Bip_C_Hips,J_Bip_C_Spine,J_Bip_C_Chest,J_Bip_C_Neck,J_Bip_C_Head", _UPPER, "J_Bip_L_{}", "J_Bip_R_{}"
    ),
}


def write_bvh(
    path: Path,
    flavour: str = "motionbuilder",
    frames: int = 60,
    fps: float = 50.0,
    unit: float = 0.01,
    positions: str = "root",
    z_up: bool = False,
) -> None:
    """Write somebody who walks along z, in a T-pose that lowers its arms; `unit` is in metres.

    `positions` are those of the `root` alone, or of all joints: as `places` from the parent, or to `add` to offsets.
    With `z_up` the root's first turn makes z up; it then walks along -y.
    """
    names, lines, order = FLAVOURS[flavour], ["HIERARCHY"], []

    def write(joint: str, depth: int) -> None:
        space, parent = "\t" * depth, BODY[joint].parent
        order.append(joint)
        own = positions != "root" or not parent
        channels = ["Xposition", "Yposition", "Zposition"] * own + ["Zrotation", "Xrotation", "Yrotation"]
        lines.append(f"{space}{'JOINT' if parent else 'ROOT'} {names[joint]}")
        lines.append(f"{space}{{")
        lines.append(f"{space}\tOFFSET {_row(BODY[joint].offset, unit)}")
        lines.append(f"{space}\tCHANNELS {len(channels)} {' '.join(channels)}")
        below = [child for child, other in BODY.items() if other.parent == joint]
        for child in below:
            write(child, depth + 1)
        if not below:
            lines.extend((f"{space}\tEnd Site", f"{space}\t{{", f"{space}\t\tOFFSET {_row((0, 0.1, 0), unit)}"))
            lines.append(f"{space}\t}}")
        lines.append(f"{space}}}")

    write("pelvis", 0)
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.7f}"]
    for frame in range(frames):
        words = []
        for joint in order:
            place = (0.0, 0.96, 1.2 * frame / fps) if joint == "pelvis" else BODY[joint].offset
            if joint == "pelvis" and z_up:
                place = (place[0], -place[2], place[1])
            if joint == "pelvis" or positions == "places":
                words.append(_row(place, unit))
            elif positions == "add":
                words.append(_row((0, 0, 0), unit))
            words.append(_turns(joint, frame / fps, z_up))
        lines.append(" ".join(words))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(values: tuple[float, float, float], unit: float) -> str:
    return " ".join(f"{value / unit:.6f}" for value in values)


def _turns(joint: str, seconds: float, z_up: bool) -> str:
    """Degrees about z, x and y."""
    side = 1 if joint.startswith("left") else -1
    swing = 25 * side * math.sin(math.tau * seconds)
    z, x, y = {
        "hip": (0.0, -swing, 0.0),
        "knee": (0.0, 15.0 + swing * side * 0.5, 0.0),
        "shoulder": (-75.0 * side, 0.0, 0.0),
        "elbow": (0.0, 0.0, -20.0 * side),
        "head": (0.0, 5.0, 20 * math.sin(math.tau * seconds)),
        "pelvis": (0.0, 90.0 if z_up else 0.0, 0.0),
    }.get(joint.removeprefix("left_").removeprefix("right_"), (0.0, 0.0, 0.0))
    return f"{z:.6f} {x:.6f} {y:.6f}"
