"""From joints to a skeleton in rest pose and rotations, as formats of animation want them.

The rest pose is a T-pose: standing, arms to the sides, facing +z, y up, the left hand at +x. In it no node is rotated,
so that all nodes have the axes of the world.

A joint that carries several bones (pelvis, thorax) cannot turn each of them where it lies. So there is a node more for
every one of these bones, at the same place: `lower_back`, `left_pelvis`, `left_collar` and so on, as motion capture
software has them. Every joint is then where it was, to rounding, once bones keep their lengths.

Twist, the rotation of a bone about itself, is not seen in joints. It is chosen so that knees and elbows are hinges: the
plane in which a limb bends turns its upper bone, the more the more it bends, and the trunk turns that of a straight
limb. It stays within 90 degrees of the trunk's, so that nothing flips. Along the trunk, hips turn into shoulders in
equal steps. Feet, hands and the top of the head are not measured: they go on as they do in the rest pose.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.pose.geometry import bone_lengths
from lib.pose.landmarks import STANDING
from lib.pose.skeleton import H36M

_BRANCHES = {  # the first joint of a bone from a joint that carries several -> the node that turns it
    "right_hip": "right_pelvis",
    "left_hip": "left_pelvis",
    "spine": "lower_back",
    "neck": "neck_base",
    "left_shoulder": "left_collar",
    "right_shoulder": "right_collar",
}
_ENDS = {"head": "head_top"} | {
    f"{side}_{joint}": f"{side}_{end}"
    for side in ("left", "right")
    for joint, end in (("ankle", "big_toe"), ("wrist", "index"))
}
_ARM = ("elbow", "wrist", "index")  # what points to the side in the rest pose
_LEG = ("knee", "ankle")  # and what points down
_BENT = 0.134  # 1 - cos of 30 degrees: limbs that bend more say all of their twist
_TRUNK = 0.2  # the least that the trunk counts for a limb's twist
_SHORTEST = 1e-9  # metres


class Node(NamedTuple):
    """A node of the tree: where it lies, and which bone it turns."""

    name: str
    parent: int  # -1: the root
    place: int  # the joint that it lies at
    tip: int  # the joint at the other end of the bone that it turns; -1: several bones, or none


@dataclass(frozen=True)
class Rig:
    """A skeleton in rest pose, in metres, and its motion. A node's parent precedes it."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float[Tensor, "node 3"]  # from the parent in rest pose; the root's is its height above the feet
    ends: dict[int, Float[Tensor, "3"]]  # of nodes without children: where their bones end
    position: Float[Tensor, "frame 3"]  # of the root
    rotations: Float[Tensor, "frame node 3 3"]  # relative to the parent

    @property
    def children(self) -> dict[int, list[int]]:
        """The nodes that hang on each."""
        found: dict[int, list[int]] = {node: [] for node in range(len(self.names))}
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                found[parent].append(node)
        return found

    @property
    def rest(self) -> Float[Tensor, "node 3"]:
        """Where the nodes are in rest pose."""
        places: list[Tensor] = []
        for offset, parent in zip(self.offsets, self.parents, strict=True):
            places.append(offset if parent < 0 else places[parent] + offset)
        return torch.stack(places)


@cache
def nodes() -> tuple[Node, ...]:
    """The nodes of Human3.6M's skeleton: its joints, and those of `_BRANCHES`, in depth-first order."""
    found: list[Node] = []

    def add(joint: int, parent: int) -> None:
        children = [child for child, above in H36M.bones if above == joint]
        found.append(Node(H36M.names[joint], parent, joint, children[0] if len(children) == 1 else -1))
        own = len(found) - 1
        for child in children:
            above = own
            if len(children) > 1:
                found.append(Node(_BRANCHES[H36M.names[child]], own, joint, child))
                above = len(found) - 1
            add(child, above)

    add(H36M.root, -1)
    return tuple(found)


def make_rig(joints: Float[Tensor, "frame joint 3"], detected: Bool[Tensor, " frame"] | None = None) -> Rig:
    """The rig whose forward kinematics give the joints of a person back; y up, metres.

    Bones get the lengths that they typically have (`typical_lengths`). Where a frame has others, its joints move along
    its bones, from the pelvis outwards: bones keep their directions, and the pelvis its place.
    """
    joints = joints.double()
    lengths = typical_lengths(joints, detected)
    directions = _directions(joints)
    world = _orientations(directions)
    tree = nodes()
    rest = rest_directions()
    offsets, ends = torch.zeros(len(tree), 3, dtype=torch.float64), {}
    for index, node in enumerate(tree):
        if node.parent >= 0 and tree[node.parent].tip == node.place:
            offsets[index] = rest[node.place] * lengths[node.place]
        if H36M.names[node.place] in _ENDS and node.tip < 0:
            ends[index] = _end(H36M.names[node.place]) * lengths.sum() / _standing_lengths().sum()
    rotations = torch.stack(
        [turn if node.parent < 0 else world[node.parent].mT @ turn for node, turn in zip(tree, world, strict=True)], 1
    )
    names, parents = tuple(node.name for node in tree), tuple(node.parent for node in tree)
    rig = Rig(names, parents, offsets, ends, joints[:, H36M.root], rotations)
    lowest = min(float((rig.rest[node] + end)[1]) for node, end in ends.items())
    offsets[0, 1] = -lowest
    return rig


def typical_lengths(
    joints: Float[Tensor, "frame joint 3"], detected: Bool[Tensor, " frame"] | None = None
) -> Float[Tensor, " joint"]:
    """The median length of the bone that ends at each joint, of the frames that show the person; the root's is 0."""
    shown = joints if detected is None or not detected.any() else joints[detected]
    medians = bone_lengths(shown, H36M).median(0).values
    lengths = joints.new_zeros(len(H36M))
    lengths[[child for child, _ in H36M.bones]] = medians.clamp_min(_SHORTEST)
    return lengths


@cache
def rest_directions() -> Float[Tensor, "joint 3"]:
    """Where in rest pose the bone points that ends at each joint; the root's is 0."""
    rest = torch.zeros(len(H36M), 3, dtype=torch.float64)
    for child, parent in H36M.bones:
        rest[child] = _pointing(H36M.names[child], H36M.names[parent])
    unit: Tensor = torch.nn.functional.normalize(rest, dim=-1)
    return unit


def _pointing(name: str, above: str) -> Float[Tensor, "3"]:
    """From a landmark to another that hangs on it, in rest pose."""
    place = torch.tensor(STANDING[name], dtype=torch.float64) - torch.tensor(STANDING[above], dtype=torch.float64)
    length = float(torch.linalg.vector_norm(place))
    side, _, part = name.partition("_")
    if part in _ARM:
        return place.new_tensor([length if side == "left" else -length, 0.0, 0.0])
    return place.new_tensor([0.0, -length, 0.0]) if part in _LEG else place


def _end(joint: str) -> Float[Tensor, "3"]:
    ahead = 0.0 if joint.endswith("ankle") else 1.0  # big toes are not straight ahead of ankles, but feet are
    return _pointing(_ENDS[joint], joint) * torch.tensor([ahead, 1.0, 1.0], dtype=torch.float64)


def _standing_lengths() -> Float[Tensor, " bone"]:
    standing = torch.tensor([STANDING[name] for name in H36M.names], dtype=torch.float64)
    return bone_lengths(standing, H36M)


def _directions(joints: Float[Tensor, "frame joint 3"]) -> Float[Tensor, "frame joint 3"]:
    """Where the bone points that ends at each joint; one without a length points as in the rest pose."""
    directions = torch.zeros_like(joints)
    for child, parent in H36M.bones:
        bone = joints[:, child] - joints[:, parent]
        length: Tensor = torch.linalg.vector_norm(bone, dim=-1, keepdim=True)
        directions[:, child] = torch.where(length > _SHORTEST, bone / length, rest_directions()[child])
    return directions


def _orientations(directions: Float[Tensor, "frame joint 3"]) -> list[Float[Tensor, "frame 3 3"]]:
    """How each node is turned in the world, from where bones point."""
    across = {  # to the left
        part: directions[:, H36M.index(f"left_{joint}")] - directions[:, H36M.index(f"right_{joint}")]
        for part, joint in (("pelvis", "hip"), ("thorax", "shoulder"))
    }
    along = {"pelvis": directions[:, H36M.index("spine")], "thorax": directions[:, H36M.index("thorax")]}
    trunk = {part: _facing(across[part], along[part]) for part in across}
    left = {part: turn[..., 0] for part, turn in trunk.items()}
    twisted = {
        "lower_back": _upright(along["pelvis"], 2 * left["pelvis"] + left["thorax"]),
        "spine": _upright(along["thorax"], left["pelvis"] + 2 * left["thorax"]),
    }
    world: list[Tensor] = []
    for node in nodes():
        parent = world[node.parent] if node.parent >= 0 else trunk["pelvis"]
        if node.name in trunk:
            turn = trunk[node.name]
        elif node.name in twisted:
            turn = twisted[node.name]
        elif node.tip < 0:
            turn = parent
        elif node.name.endswith(("_hip", "_shoulder")):
            turn = _upper_limb(parent, node.tip, directions)
        else:
            turn = _swing(parent, node.tip, directions)
        world.append(turn)
    return world


def _swing(parent: Tensor, tip: int, directions: Tensor) -> Float[Tensor, "frame 3 3"]:
    """The parent's orientation, turned the shortest way so that the bone points where it should."""
    return _shortest(parent @ rest_directions()[tip], directions[:, tip]) @ parent


def _upper_limb(parent: Tensor, tip: int, directions: Tensor) -> Float[Tensor, "frame 3 3"]:
    """The orientation of a thigh or an upper arm: its hinge is across the plane in which the limb bends."""
    upper, lower = directions[:, tip], directions[:, H36M.parents.index(tip)]
    rest = rest_directions()[tip]
    # Hinges bend knees backward and elbows forward: about the left with the legs down, about the vertical in a T-pose.
    hinge = torch.linalg.cross(rest, rest.new_tensor([0.0, 0.0, -1.0 if "knee" in H36M.names[tip] else 1.0]))
    straight = _swing(parent, tip, directions) @ hinge
    bend: Tensor = torch.nn.functional.normalize(torch.linalg.cross(upper, lower), dim=-1)
    bend = bend - (bend * straight).sum(-1, keepdim=True).clamp_max(0) * straight
    certain = ((1 - (upper * lower).sum(-1, keepdim=True)) / _BENT).clamp(0, 1)
    found = torch.nn.functional.normalize(certain * bend + (1 - certain).clamp_min(_TRUNK) * straight, dim=-1)
    posed = torch.stack([upper, found, torch.linalg.cross(upper, found)], -1)
    return posed @ torch.stack([rest, hinge, torch.linalg.cross(rest, hinge)], -1).mT


def _facing(left: Tensor, up: Tensor) -> Float[Tensor, "frame 3 3"]:
    """The orientation whose x is to the left, and whose y is as near to up as can be."""
    left, forward = _pair(left, up)
    return torch.stack([left, torch.linalg.cross(forward, left), forward], -1)


def _upright(up: Tensor, left: Tensor) -> Float[Tensor, "frame 3 3"]:
    """The orientation whose y is up, and whose x is as near to the left as can be."""
    up, backward = _pair(up, left)
    return torch.stack([torch.linalg.cross(backward, up), up, -backward], -1)


def _pair(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two directions at right angles: the first, and what is across it and the second, or across anything."""
    length: Tensor = torch.linalg.vector_norm(first, dim=-1, keepdim=True)
    first = torch.where(length > _SHORTEST, first / length, first.new_tensor([1.0, 0.0, 0.0]))
    across = torch.linalg.cross(first, second)
    other = torch.linalg.cross(first, torch.eye(3).to(first)[first.abs().argmin(-1)])
    length = torch.linalg.vector_norm(across, dim=-1, keepdim=True)
    return first, torch.nn.functional.normalize(torch.where(length > 1e-6, across, other), dim=-1)


def _shortest(start: Float[Tensor, "frame 3"], end: Float[Tensor, "frame 3"]) -> Float[Tensor, "frame 3 3"]:
    """The smallest rotations between directions of length 1: two reflections, start -> end."""
    identity = torch.eye(3).to(start)
    middle = start + end
    square = middle.square().sum(-1, keepdim=True)
    perpendicular = _pair(start, torch.zeros_like(start))[1]  # opposite directions: half a turn about any
    middle = torch.where(square > 1e-18, middle / square.clamp_min(1e-18).sqrt(), perpendicular)
    turned = 2 * middle[..., :, None] * middle[..., None, :] - identity  # half a turn about the middle
    about = 2 * start[..., :, None] * start[..., None, :] - identity
    return turned @ about
