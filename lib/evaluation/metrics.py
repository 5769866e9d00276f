"""Errors of predicted 3D poses: pure functions on batches that keep what they measure per frame and per joint.

Poses are root-centred and in millimetres (any one unit works where no threshold is named; the result has the unit of
the poses). Nothing is averaged here: callers average over frames, joints, sequences or actions. No joint is left out:
the root, which is zero by centring, counts in every mean, as in Human3.6M's protocol with 17 joints.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.alignment import align_scale, aligned_distances
from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import Skeleton

PCK_THRESHOLD = 150.0  # mm: about half a head, Mehta et al. 2017
_LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# The keypoints of MPI-INF-3DHP that PCK and AUC are of in its protocol (mpii_get_pck_auc_joint_groups of its code)
PCK_KEYPOINTS = ("head_top", "neck", *(f"{side}_{name}" for name in _LIMBS for side in ("right", "left")))
AUC_THRESHOLDS = tuple(5.0 * step for step in range(31))  # mm: 0 to 150 in steps of 5, Mehta et al. 2017


def mpjpe(
    predicted: Float[Tensor, "*batch joint 3"], target: Float[Tensor, "*batch joint 3"]
) -> Float[Tensor, "*batch joint"]:
    """The distance of every joint from its target; the mean is the mean per joint position error.

    Source: C. Ionescu et al., Human3.6M, TPAMI 2014 (protocol 1 of the literature).
    """
    distance: Tensor = torch.linalg.vector_norm(predicted - target, dim=-1)
    return distance


def n_mpjpe(
    predicted: Float[Tensor, "*batch joint 3"], target: Float[Tensor, "*batch joint 3"]
) -> Float[Tensor, "*batch joint"]:
    """`mpjpe` after each pose is scaled by its least-squares factor to the target.

    Source: H. Rhodin et al., Unsupervised geometry-aware representation for 3D human pose estimation, ECCV 2018.
    """
    return mpjpe(align_scale(predicted, target), target)


def p_mpjpe(
    predicted: Float[Tensor, "*batch joint 3"], target: Float[Tensor, "*batch joint 3"]
) -> Float[Tensor, "*batch joint"]:
    """`mpjpe` after each pose is moved by the best rotation, translation and scale; a mirrored pose stays wrong.

    Source: J. Martinez et al., A simple yet effective baseline for 3D human pose estimation, ICCV 2017
    (protocol 2); the alignment is Umeyama's.
    """
    return aligned_distances(predicted, target)


def mpjve(
    predicted: Float[Tensor, "*batch frame joint 3"],
    target: Float[Tensor, "*batch frame joint 3"],
    fps: float | Float[Tensor, " frame-1"],
) -> Float[Tensor, "*batch frame-1 joint"]:
    """The error of every joint's velocity between neighbouring frames of one sequence, in units a second.

    Frames of different sequences must not be in one call. The source gives it a frame: multiply that by `fps`, one
    number or, where frames are not evenly spaced, one for each two in a row.

    Source: D. Pavllo et al., 3D human pose estimation in video with temporal convolutions and semi-supervised
    training, CVPR 2019.
    """
    error = mpjpe(predicted.diff(dim=-3), target.diff(dim=-3))
    return error * (fps[:, None] if isinstance(fps, Tensor) else fps)


def pck(errors: Float[Tensor, "*batch joint"], threshold: float = PCK_THRESHOLD) -> Float[Tensor, "*batch joint"]:
    """100 where a joint's error in mm is below the threshold, else 0: the mean is the 3D PCK in percent.

    Source: D. Mehta et al., Monocular 3D human pose estimation in the wild using improved CNN supervision, 3DV 2017
    (there on `PCK_KEYPOINTS`; here on all that are given).
    """
    return (errors < threshold).to(errors.dtype) * 100


def auc(errors: Float[Tensor, "*batch joint"]) -> Float[Tensor, "*batch joint"]:
    """Every joint's share in percent of `AUC_THRESHOLDS` that lie above its error in mm: the mean is the AUC.

    The area under the PCK curve is the mean of the PCK over the thresholds 0, 5, ..., 150 mm, so a perfect prediction
    has 30 / 31: no error is below 0 mm.

    Source: D. Mehta et al., 3DV 2017, and the evaluation code of MPI-INF-3DHP.
    """
    thresholds = errors.new_tensor(AUC_THRESHOLDS)
    at_or_below = torch.bucketize(errors, thresholds, right=True)
    return (len(thresholds) - at_or_below).to(errors.dtype) * (100 / len(thresholds))


def bone_symmetry_error(pose: Float[Tensor, "*batch joint 3"], skeleton: Skeleton) -> Float[Tensor, "*batch pair"]:
    """How far each left bone's length is from the right one's, in percent of their mean; needs no label, no scale."""
    pairs = [(bone, mirrored) for bone, mirrored in enumerate(skeleton.mirror_bones) if bone < mirrored]
    lengths = bone_lengths(pose, skeleton)
    one, other = (lengths[..., list(bones)] for bones in zip(*pairs, strict=True))
    return (one - other).abs() / ((one + other) / 2).clamp_min(1e-12) * 100


def bone_constancy_error(
    pose: Float[Tensor, "*batch frame joint 3"], skeleton: Skeleton
) -> Float[Tensor, "*batch bone"]:
    """The standard deviation over a sequence of each bone's length in percent of its mean; needs no label, no scale.

    Every frame is first scaled to unit total bone length, so that a scale which varies over time is no error.
    """
    lengths = bone_lengths(pose, skeleton)
    lengths = lengths / lengths.sum(-1, keepdim=True).clamp_min(1e-12)
    return lengths.std(dim=-2, correction=0) / lengths.mean(dim=-2).clamp_min(1e-12) * 100
