"""Bones keep their lengths: what a whole sequence says about a body, put into each of its frames.

A lifter sees a window and cannot know the lengths of a person's bones: where a bone points along the line of sight, an
error of its length is a large error of its depth. Over a sequence lengths are the same, so that depths can be
corrected afterwards, without any label.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.pose.geometry import bone_lengths
from lib.pose.landmarks import JOINT_OF, JOINTS
from lib.pose.layouts import Layout
from lib.pose.skeleton import Skeleton
from lib.sequences.medians import some

LEAST_SPREAD = 0.01  # of a bone's length over a sequence, since joints are not quite where bones meet
DENOISED = 0.5  # of the keypoints' noise is left in what a model lifts
LEAST_DEPTH = 5e-4  # standard deviation of a bone's depth, of the sum of bones
ROOT_SPREAD = 0.03  # of the root's depth
OUTLIER = 3.0  # standard deviations
FURTHEST = 5.0  # standard deviations that a bone's depth may move, since equations are linear near the prediction alone
STEPS = 3  # of Gauss and Newton
LEAST_ACROSS = 0.02  # weight of a bone that points along the line of sight, where 1 is one that lies across
LEAST_SIZE = 1e-4  # the sum of bones, in units of root depth: what is smaller, a millimetre at 10 m, is no body
UNSEEN = 1e-9  # what a frame that shows nobody counts for: the guess that there is where a body was never seen
REMEMBERED = 0.95  # of what was seen of a body, each time that some is seen anew


def typical_lengths(
    pose: Float[Tensor, "*batch frame joint 3"],
    skeleton: Skeleton,
    detected: Bool[Tensor, "*batch frame"] | None = None,
) -> tuple[Float[Tensor, "*batch bone"], Float[Tensor, "*batch bone"]]:
    """Bone lengths over frames, relative to their sum, and how much they are to be trusted: the frames' weights.

    Poses are root-centred, in the crop frame. Lengths are medians, in which frames count by how far a bone lies across
    the line of sight: there, what is seen and not the depth determines its length. Frames that are not `detected` have
    poses that are guesses, and count for next to nothing.
    """
    child, parent = _ends(skeleton)
    bone = pose[..., child, :] - pose[..., parent, :]
    length: Tensor = torch.linalg.vector_norm(bone, dim=-1).clamp_min(1e-6)
    weight = (1 - (bone[..., 2] / length).square()).clamp_min(LEAST_ACROSS).square()
    if detected is not None:
        weight = torch.where(detected[..., None], weight, UNSEEN * weight)
    relative, order = (length / length.sum(-1, keepdim=True)).sort(dim=-2)
    below = weight.gather(-2, order).cumsum(-2)
    middle = (below >= below[..., -1:, :] / 2).float().argmax(-2, keepdim=True)
    return relative.gather(-2, middle).squeeze(-2), below[..., -1, :]


def symmetric(lengths: Float[Tensor, "*batch bone"], skeleton: Skeleton) -> Float[Tensor, "*batch bone"]:
    """Lengths with left like right, relative to their sum."""
    both = lengths + lengths[..., torch.tensor(skeleton.mirror_bones, device=lengths.device)]
    return both / both.sum(-1, keepdim=True)


class BoneLengthMemory:
    """The relative bone lengths of the person in each sequence, from whatever was seen of it so far."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self._sum = self._weight = torch.zeros(0, len(skeleton.bones))

    def state_dict(self) -> dict[str, Tensor]:
        """What was seen."""
        return {"sum": self._sum, "weight": self._weight}

    def load_state_dict(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Know what was seen by the time of a state."""
        self._sum, self._weight = (state[name].to(device) for name in ("sum", "weight"))

    def update(
        self,
        sequence: Int[Tensor, " clip"],
        pose: Float[Tensor, "clip frame joint 3"],
        detected: Bool[Tensor, "clip frame"] | None = None,
    ) -> Float[Tensor, "clip bone"]:
        """Add clips to what was seen of their sequences, and return the lengths known by then.

        Poses, and which frames are `detected`, are as for `typical_lengths`. The clips of a sequence count by their
        weights; old ones fade. What is not finite is not remembered.
        """
        lengths, weight = typical_lengths(pose, self.skeleton, detected)
        finite = (lengths * weight).isfinite()
        lengths, weight = lengths.where(finite, 0.0), weight.where(finite, 0.0)
        missing = int(sequence.max()) + 1 - len(self._sum)
        if missing > 0:
            more = lengths.new_zeros(missing, lengths.shape[-1])
            self._sum, self._weight = (torch.cat([part.to(more), more]) for part in (self._sum, self._weight))
        kept = torch.ones_like(self._sum[:, :1]).index_fill_(0, sequence, REMEMBERED)
        self._sum = (kept * self._sum).index_add(0, sequence, lengths * weight)
        self._weight = (kept * self._weight).index_add(0, sequence, weight)
        return symmetric(self._sum[sequence] / self._weight[sequence], self.skeleton)


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
    child, parent = _ends(skeleton)
    noise = noise.expand(len(pose), -1)
    size = bone_lengths(pose, skeleton).sum(-1)
    bodies = (size > LEAST_SIZE) & size.isfinite()
    bodies = bodies if detected is None else bodies & detected
    if not bodies.all():
        rest = pose.clone()
        if bodies.any():
            rest[bodies] = refine_depths(pose[bodies], lengths[bodies], noise[bodies], skeleton)
        return rest
    depth = (pose[..., 2] + 1) / size[:, None]  # from here on, bones add up to 1
    rays = torch.cat([pose[..., :2] / (pose[..., 2:] + 1).clamp_min(0.05), torch.ones_like(pose[..., :1])], -1)
    across = (depth[:, child] * noise[:, child]).square() + (depth[:, parent] * noise[:, parent]).square()
    variance = _depth_variance(rays * depth[..., None], lengths, across, skeleton)
    trust_depth, furthest = variance.reciprocal(), FURTHEST * variance.sqrt()
    predicted = depth[:, child] - depth[:, parent]
    root, trust_root = depth[:, skeleton.root], (ROOT_SPREAD * depth[:, skeleton.root]).square().reciprocal()
    parents = torch.tensor(parent, device=pose.device)
    for _ in range(STEPS):
        bone, length, sight = _bones(rays * depth[..., None], skeleton)
        trust_length = _length_variance(lengths, sight, across).reciprocal()
        by_child, by_parent = ((bone * rays[:, ends]).sum(-1) / length for ends in (child, parent))
        pull = trust_depth * (depth[:, child] - depth[:, parent] - predicted)
        tension = trust_length * (length - lengths)
        diagonal, force = torch.zeros_like(depth), torch.zeros_like(depth)
        diagonal[:, skeleton.root], force[:, skeleton.root] = trust_root, trust_root * (root - depth[:, skeleton.root])
        diagonal[:, child] += trust_length * by_child.square() + trust_depth
        force[:, child] -= tension * by_child + pull
        diagonal.index_add_(1, parents, trust_length * by_parent.square() + trust_depth)
        force.index_add_(1, parents, tension * by_parent + pull)
        depth = depth + _solve_tree(diagonal, -(trust_length * by_child * by_parent) - trust_depth, force, skeleton)
        depth = _within(depth, predicted - furthest, predicted + furthest, skeleton)
    joints = rays * depth[..., None]
    return (joints - joints[:, skeleton.root, None]) / depth[:, skeleton.root, None, None]


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


def _depth_variance(joints: Tensor, lengths: Tensor, across: Tensor, skeleton: Skeleton) -> Float[Tensor, " bone"]:
    """The variance of bones' predicted depths, from that of their lengths where they point along the line of sight."""
    _, length, sight = _bones(joints, skeleton)
    squares = (length - lengths).square()
    furthest = OUTLIER**2 * some(squares).median(0).values / 0.45  # the median of chi-squared is 0.45
    squares = torch.minimum(squares, furthest)
    excess = sight.square() * (squares - _length_variance(lengths, sight, across))
    variance = (excess.sum(0) / sight.pow(4).sum(0).clamp_min(1e-6)).clamp_min(LEAST_DEPTH**2)
    return (variance + variance[torch.tensor(skeleton.mirror_bones, device=variance.device)]) / 2


def _length_variance(lengths: Tensor, sight: Tensor, across: Tensor) -> Float[Tensor, "frame bone"]:
    """The variance of lengths that the keypoints' noise makes, and joints that are not quite where bones meet."""
    return (LEAST_SPREAD * lengths).square() + (1 - sight.square()) * across


def _within(depth: Tensor, low: Tensor, high: Tensor, skeleton: Skeleton) -> Float[Tensor, "frame joint"]:
    """Depths whose differences along bones, from the root on, are brought between two limits."""
    children, parents = _ends(skeleton)
    off = torch.minimum(torch.maximum(depth[:, children] - depth[:, parents], low), high)
    placed = {skeleton.root: depth[:, skeleton.root]}
    for bone, (child, parent) in enumerate(skeleton.bones):
        placed[child] = placed[parent] + off[:, bone]
    return torch.stack([placed[joint] for joint in range(len(skeleton))], -1)


def _bones(joints: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor, Tensor]:
    """Bones from parent to child, their lengths, and the cosine of the angle to the child's line of sight."""
    child, parent = _ends(skeleton)
    bone = joints[:, child] - joints[:, parent]
    length = torch.linalg.vector_norm(bone, dim=-1).clamp_min(1e-6)
    sight = torch.nn.functional.normalize(joints[:, child], dim=-1)
    return bone, length, ((bone * sight).sum(-1) / length).clamp(-1, 1)


def _ends(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """The child and the parent joint of every bone."""
    child, parent = zip(*skeleton.bones, strict=True)
    return list(child), list(parent)


def _solve_tree(diagonal: Tensor, coupling: Tensor, force: Tensor, skeleton: Skeleton) -> Tensor:
    """Solve symmetric equations that couple joints to their parents alone, by elimination from the leaves on."""
    rows, rest = list(diagonal.unbind(-1)), list(force.unbind(-1))
    bones = list(enumerate(skeleton.bones))
    for bone, (child, parent) in reversed(bones):
        factor = coupling[:, bone] / rows[child]
        rows[parent] = rows[parent] - factor * coupling[:, bone]
        rest[parent] = rest[parent] - factor * rest[child]
    solved = {skeleton.root: rest[skeleton.root] / rows[skeleton.root]}
    for bone, (child, parent) in bones:
        solved[child] = (rest[child] - coupling[:, bone] * solved[parent]) / rows[child]
    return torch.stack([solved[joint] for joint in range(len(skeleton))], -1)
