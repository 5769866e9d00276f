"""Depths that give bones the lengths that they typically have in their sequence (`lib.sequences.bone_lengths`).

Joints move along their lines of sight alone, so that what they project to stays.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.pose.landmarks import JOINT_OF, JOINTS
from lib.pose.layout import Layout
from lib.pose.skeleton import Skeleton
from lib.sequences.medians import medians, some
from lib.sequences.rows import Tree, norm, points_of, rows_of, sizes

LEAST_SPREAD = 0.01  # of a bone's length over a sequence, since joints are not quite where bones meet
DENOISED = 0.5  # of the keypoints' noise is left in what a model lifts
LEAST_DEPTH = 5e-4  # standard deviation of a bone's depth, of the sum of bones
ROOT_SPREAD = 0.03  # of the root's depth
OUTLIER = 3.0  # standard deviations
FURTHEST = 5.0  # standard deviations that a bone's depth may move, since equations are linear near the prediction alone
STEPS = 3  # of Gauss and Newton
CHUNK = 1 << 12  # frames at a time, whose numbers fit the cache
FAR = 5.0  # body sizes from the camera: beyond, float32 loses how far the root may move among what limbs pull at it
LEAST_SIZE = 1e-4  # the sum of bones, in units of root depth: what is smaller, a millimetre at 10 m, is no body


def refine_depths(
    pose: Float[Tensor, "frame joint 3"],
    lengths: Float[Tensor, "frame bone"],
    noise: Float[Tensor, "*frames joint"],
    skeleton: Skeleton,
    detected: Bool[Tensor, " frame"] | None = None,
) -> Float[Tensor, "frame joint 3"]:
    """Move joints along their lines of sight so that bones come near the given relative lengths.

    Poses are root-centred, in the crop frame, in units of root depth, as `lib.models.lifters.lift_crops` gives them,
    and so is the result; what they project to stays. `noise` is the standard deviation of each joint's rays, in all
    frames or in each (`joint_noise`).

    A few steps of Gauss and Newton on depths minimise how far lengths are from the given ones, and depths from the
    predicted ones, each in its standard deviations: those of lengths come from the keypoints' noise, those of depths
    from how much predicted lengths vary. Lengths and depths couple each joint to its parent alone, so the equations of
    a step are solved from the leaves to the root. Frames that are not `detected`, and poses that are no body but a
    point, stay as they are and have no part in how much lengths vary.
    """
    noise = noise.expand(len(pose), -1)
    rows, tree = rows_of(pose), Tree.of(skeleton, pose.device)
    size = sizes(rows, tree)
    bodies = (size > LEAST_SIZE) & size.isfinite()
    bodies = bodies if detected is None else bodies & detected
    if not bodies.all():
        rest = pose.clone()
        if bodies.any():
            rest[bodies] = refine_depths(pose[bodies], lengths[bodies], noise[bodies], skeleton)
        return rest
    x, y, z = rows
    scene = _Scene(
        x / (z + 1).clamp_min(0.05), y / (z + 1).clamp_min(0.05), lengths.mT.contiguous(), noise.mT.contiguous()
    )
    depth = (z + 1) / size  # from here on, bones add up to 1
    chunks = [(scene.part(frames), depth[:, frames]) for frames in _chunks(len(pose))]
    variance = _depth_variance([_spread(part, depths, tree) for part, depths in chunks], tree)
    refined = [_balanced(part, depths, variance[:, None], tree) for part, depths in chunks]
    return points_of(torch.cat(refined, -1))


def joint_noise(
    of_joints: Float[Tensor, " joint"],
    error: Float[Tensor, "frame joint"],
    visible: Bool[Tensor, "frame keypoint"],
    metre: Float[Tensor, " frame"],
    layout: Layout,
) -> Float[Tensor, "frame joint"]:
    """How far off the rays of lifted joints are: standard deviations, in units of the root's distance.

    Where a visible keypoint marks the joint, that of what is left of the keypoints' noise, `of_joints`, and of where
    from the joint the layout's keypoint may be (`Layout.spreads`); `metre` is a metre's length in each frame. Where
    none does, the model guesses: it is as far off as it says, `error`.
    """
    marking = {slot: key for key, slot in enumerate(layout.slots) if slot < JOINTS and len(layout.mixtures[key]) == 1}
    joints, keypoints = list(marking), list(marking.values())
    spread = error.new_tensor([layout.spreads[key] for key in keypoints])
    marked = ((DENOISED * of_joints[joints]).square() + (spread * metre[:, None]).square()).sqrt()
    noise = error.clone()
    noise[:, joints] = torch.where(visible[:, keypoints], marked, error[:, joints])
    return noise


def with_joints(
    points: Float[Tensor, "frame point 3"], joints: Float[Tensor, "frame joint 3"], layout: Layout
) -> Float[Tensor, "frame point 3"]:
    """The points that a model lifts with other joints of Human3.6M, with which keypoints go nearer or farther.

    Points are root-centred, as a camera sees them that looks at the root, in units of the root's distance; keypoints
    move along their lines of sight.
    """
    depth = points[:, JOINTS:, 2:] + (joints - points[:, :JOINTS])[:, [JOINT_OF[slot] for slot in layout.slots], 2:]
    rays = points[:, JOINTS:, :2] / (points[:, JOINTS:, 2:] + 1).clamp_min(0.05)
    return torch.cat([joints, torch.cat([rays * (depth + 1), depth], -1)], 1)


class _Scene(NamedTuple):
    """What is known of some frames, and stays."""

    x: Float[Tensor, "joint frame"]  # of rays
    y: Float[Tensor, "joint frame"]
    lengths: Float[Tensor, "bone frame"]
    noise: Float[Tensor, "joint frame"]

    def part(self, frames: slice) -> "_Scene":
        return _Scene(*(rows[:, frames] for rows in self))

    def across(self, depth: Tensor, tree: Tree) -> Float[Tensor, "bone frame"]:
        """The variance of where bones' ends are, across the line of sight."""
        child, parent = tree.ends(depth * self.noise)
        return child.square() + parent.square()


def _chunks(frames: int) -> list[slice]:
    return [slice(begin, begin + CHUNK) for begin in range(0, frames, CHUNK)]


def _spread(scene: _Scene, depth: Tensor, tree: Tree) -> tuple[Tensor, Tensor, Tensor]:
    """Squares of how far lengths are from the given ones, the sight of bones, and the variance that noise explains."""
    bone = _Bones.of(scene, depth, tree)
    explained = _length_variance(scene.lengths, bone.sight, scene.across(depth, tree))
    return (bone.length - scene.lengths).square(), bone.sight, explained


def _depth_variance(parts: Sequence[tuple[Tensor, Tensor, Tensor]], tree: Tree) -> Float[Tensor, " bone"]:
    """The variance of bones' predicted depths, from that of their lengths where they point along the line of sight."""
    squares, sight, explained = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    furthest = OUTLIER**2 * medians(some(squares.mT).mT) / 0.45  # the median of chi-squared is 0.45
    excess = sight.square() * (torch.minimum(squares, furthest[:, None]) - explained)
    above, below = (part.mT.contiguous().sum(0) for part in (excess, sight.pow(4)))
    variance = (above / below.clamp_min(1e-6)).clamp_min(LEAST_DEPTH**2)
    return (variance + variance[torch.tensor(tree.skeleton.mirror_bones, device=variance.device)]) / 2


def _balanced(scene: _Scene, depth: Tensor, variance: Tensor, tree: Tree) -> Float[Tensor, "coord joint frame"]:
    """Poses after some steps of Gauss and Newton from predicted depths; of who is FAR, in float64 on the CPU."""
    joints, far = _stepped(scene, depth, variance, tree), depth[tree.skeleton.root] > FAR
    if far.any():
        some = _Scene(*(rows[:, far].cpu().double() for rows in scene))
        on_cpu = Tree.of(tree.skeleton, some.x.device)
        joints[..., far] = _stepped(some, depth[:, far].cpu().double(), variance.cpu().double(), on_cpu).to(joints)
    return joints


def _stepped(scene: _Scene, depth: Tensor, variance: Tensor, tree: Tree) -> Float[Tensor, "coord joint frame"]:
    skeleton, root = tree.skeleton, depth[tree.skeleton.root]
    across, trust_depth, furthest = scene.across(depth, tree), variance.reciprocal(), FURTHEST * variance.sqrt()
    child, parent = tree.ends(depth)
    predicted, trust_root = child - parent, (ROOT_SPREAD * root).square().reciprocal()
    rays = [tree.ends(part) for part in (scene.x, scene.y)]
    for _ in range(STEPS):
        (x, y, z), length, sight = _Bones.of(scene, depth, tree)
        trust_length = _length_variance(scene.lengths, sight, across).reciprocal()
        by_child, by_parent = ((x * rays[0][end] + y * rays[1][end] + z) / length for end in (0, 1))
        child, parent = tree.ends(depth)
        pull = trust_depth * (child - parent - predicted)
        tension = trust_length * (length - scene.lengths)
        diagonal, force = torch.empty_like(depth), torch.empty_like(depth)
        diagonal[skeleton.root], force[skeleton.root] = trust_root, trust_root * (root - depth[skeleton.root])
        diagonal.index_copy_(0, tree.child, trust_length * by_child.square() + trust_depth)
        force.index_copy_(0, tree.child, -(tension * by_child + pull))
        diagonal.index_add_(0, tree.parent, trust_length * by_parent.square() + trust_depth)
        force.index_add_(0, tree.parent, tension * by_parent + pull)
        depth = depth + _solve_tree(diagonal, -(trust_length * by_child * by_parent) - trust_depth, force, skeleton)
        depth = _within(depth, predicted - furthest, predicted + furthest, tree)
    joints = torch.stack([scene.x * depth, scene.y * depth, depth])
    return (joints - joints[:, skeleton.root, None]) / depth[skeleton.root]


class _Bones(NamedTuple):
    """Bones from parent to child, their lengths, and the cosine of the angle to the child's line of sight."""

    along: tuple[Tensor, Tensor, Tensor]
    length: Float[Tensor, "bone frame"]
    sight: Float[Tensor, "bone frame"]

    @classmethod
    def of(cls, scene: _Scene, depth: Tensor, tree: Tree) -> "_Bones":
        ends = [tree.ends(part) for part in (scene.x * depth, scene.y * depth, depth)]
        x, y, z = (child - parent for child, parent in ends)
        length, away = norm(x, y, z).clamp_min(1e-6), norm(*(child for child, _ in ends)).clamp_min(1e-12)
        dot = x * (ends[0][0] / away) + y * (ends[1][0] / away) + z * (ends[2][0] / away)
        return cls((x, y, z), length, (dot / length).clamp(-1, 1))


def _length_variance(lengths: Tensor, sight: Tensor, across: Tensor) -> Float[Tensor, "bone frame"]:
    """The variance of lengths that the keypoints' noise makes, and joints that are not quite where bones meet."""
    return (LEAST_SPREAD * lengths).square() + (1 - sight.square()) * across


def _within(depth: Tensor, low: Tensor, high: Tensor, tree: Tree) -> Float[Tensor, "joint frame"]:
    """Depths whose differences along bones, from the root on, are brought between two limits."""
    child, parent = tree.ends(depth)
    off = torch.minimum(torch.maximum(child - parent, low), high)
    placed = {tree.skeleton.root: depth[tree.skeleton.root]}
    for bone, (end, start) in zip(off, tree.skeleton.bones, strict=True):
        placed[end] = placed[start] + bone
    return torch.stack([placed[joint] for joint in range(len(depth))])


def _solve_tree(diagonal: Tensor, coupling: Tensor, force: Tensor, skeleton: Skeleton) -> Tensor:
    """Solve symmetric equations that couple joints to their parents alone, by elimination from the leaves on."""
    rows, rest, coupled = list(diagonal), list(force), list(coupling)
    bones = list(enumerate(skeleton.bones))
    for bone, (child, parent) in reversed(bones):
        factor = coupled[bone] / rows[child]
        rows[parent] = rows[parent] - factor * coupled[bone]
        rest[parent] = rest[parent] - factor * rest[child]
    solved = {skeleton.root: rest[skeleton.root] / rows[skeleton.root]}
    for bone, (child, parent) in bones:
        solved[child] = (rest[child] - coupled[bone] * solved[parent]) / rows[child]
    return torch.stack([solved[joint] for joint in range(len(rows))])
