"""Poses moved onto others by what an error should not count: scale, or rotation, translation and scale.

The best rotation is found without a singular value decomposition, whose batches of 3x3 matrices are slow: it is the
quaternion with the largest eigenvalue of a symmetric 4x4 matrix (B. K. P. Horn, Closed-form solution of absolute
orientation using unit quaternions, JOSA A 1987), which Newton's method finds from the characteristic polynomial (D. L.
Theobald, Rapid calculation of RMSDs using a quaternion-based characteristic polynomial, Acta Crystallographica A 2005).
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.geometry import quaternion_to_matrix

STEPS = 16  # of Newton's method: a bound comes down to the root, quadratically in the end
# Where the largest eigenvalue is not alone, the quaternion is not determined well: of a matrix whose norm is 1, the
# product of its distances from the others.
UNCERTAIN = 1e-2
CONVERGED = 1e-14  # step: less is rounding
FLATTEST = 1e-6  # slope of the polynomial: less is rounding, at a root that is double
CHUNK = 1 << 12  # poses a step, whose numbers fit the cache
Rows = tuple[tuple[Tensor, ...], ...]


def align_scale(
    predicted: Float[Tensor, "*batch joint 3"], target: Float[Tensor, "*batch joint 3"]
) -> Float[Tensor, "*batch joint 3"]:
    """Scale each prediction by its least-squares factor to the target; both root-centred already."""
    factor = (predicted * target).sum((-2, -1)) / predicted.square().sum((-2, -1)).clamp_min(1e-12)
    return predicted * factor[..., None, None]


def align_similarity(
    predicted: Float[Tensor, "*batch joint 3"], target: Float[Tensor, "*batch joint 3"]
) -> Float[Tensor, "*batch joint 3"]:
    """Move each prediction onto its target by the best rotation, translation and scale, without reflection.

    What is best is as in S. Umeyama, Least-squares estimation of transformation parameters between two point patterns,
    TPAMI 1991, equations 39 to 43.
    """
    chunks = [_aligned(*pair).permute(2, 1, 0) for pair in _chunks(predicted, target)]
    return torch.cat(chunks).view_as(predicted)


def aligned_distances(
    predicted: Float[Tensor, "*batch joint 3"], target: Float[Tensor, "*batch joint 3"]
) -> Float[Tensor, "*batch joint"]:
    """How far each joint is from its target after `align_similarity`."""
    pairs = _chunks(predicted, target)
    chunks = [(_aligned(p, t) - t).square().sum(0).sqrt().mT for p, t in pairs]
    return torch.cat(chunks).view(predicted.shape[:-1])


def _chunks(predicted: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Some poses after others as rows of poses: what is side by side in memory is computed together."""
    flat = (part.reshape(-1, *part.shape[-2:]).split(CHUNK) for part in (predicted, target))
    for pair in zip(*flat, strict=True):
        p, t = (part.permute(2, 1, 0).contiguous() for part in pair)
        yield p, t


def _aligned(
    predicted: Float[Tensor, "3 joint pose"], target: Float[Tensor, "3 joint pose"]
) -> Float[Tensor, "3 joint pose"]:
    target_mean = target.mean(1, keepdim=True)
    p, t = predicted - predicted.mean(1, keepdim=True), target - target_mean
    covariance = torch.stack([(row * t).sum(1) for row in p])
    rotation, overlap, certain = _best_rotation(covariance)
    if not certain.all():
        some = _by_singular_values(covariance[..., ~certain].permute(2, 0, 1))
        rotation[..., ~certain], overlap[~certain] = some[0].permute(1, 2, 0), some[1]
    x, y, z = p
    scaled = rotation * (overlap / p.square().sum((0, 1)).clamp_min(1e-12))
    return torch.stack([x * to[0] + y * to[1] + z * to[2] for to in scaled]) + target_mean


def _best_rotation(covariance: Float[Tensor, "3 3 pose"]) -> tuple[Tensor, Tensor, Tensor]:
    """The rotations R with the largest trace of R times each matrix, those traces, and where both are certain."""
    exact = covariance.double()
    norm = exact.square().sum((0, 1)).sqrt().clamp_min(1e-30)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = exact / norm
    a, b, c, d, e, f = yz - zy, zx - xz, xy - yx, xy + yx, zx + xz, yz + zy
    diagonal = (xx + yy + zz, xx - yy - zz, yy - xx - zz, zz - xx - yy)

    def less(value: Tensor | float) -> Rows:
        w, x, y, z = (part - value for part in diagonal)
        return (w, a, b, c), (a, x, d, e), (b, d, y, f), (c, e, f, z)

    determinant = xx * (yy * zz - yz * zy) - xy * (yx * zz - yz * zx) + xz * (yx * zy - yy * zx)
    rows = less(0.0)
    s0, s1, s2, s3, s4, s5 = _minors(*rows[:2])
    c0, c1, c2, c3, c4, c5 = _minors(*rows[2:])
    constant = s0 * c5 - s1 * c4 + s2 * c3 + s3 * c2 - s4 * c1 + s5 * c0
    root = torch.full_like(xx, math.sqrt(3))  # no sum of three singular values is larger
    for _ in range(STEPS):
        square = root * root
        value = (square - 2) * square - 8 * determinant * root + constant
        slope = 4 * (square - 1) * root - 8 * determinant
        step = value / slope.clamp_min(FLATTEST)
        root = root - step
        if not (step.abs() > CONVERGED).any():
            break
    adjugate = _adjugate(less(root))
    size, row = adjugate.diagonal(dim1=-2, dim2=-1).abs().max(-1)
    quaternion = adjugate[torch.arange(len(row), device=row.device), row]
    certain = (size > UNCERTAIN) & root.isfinite()
    return quaternion_to_matrix(quaternion).permute(1, 2, 0).to(covariance), (root * norm).to(covariance), certain


def _minors(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The six determinants of two columns of two rows: columns 01, 02, 03, 12, 13, 23."""
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    return tuple(first[i] * second[j] - first[j] * second[i] for i, j in pairs)


def _adjugate(rows: Rows) -> Float[Tensor, "batch 4 4"]:
    """The adjugates of symmetric 4x4 matrices, by Laplace's expansion along two rows."""
    (a00, a01, a02, a03), (_, a11, a12, a13), (_, _, a22, a23), (*_, a33) = rows
    s0, s1, s2, s3, s4, s5 = _minors(*rows[:2])
    c0, c1, c2, c3, c4, c5 = _minors(*rows[2:])
    w, x = a11 * c5 - a12 * c4 + a13 * c3, a00 * c5 - a02 * c2 + a03 * c1
    y, z = a03 * s4 - a13 * s2 + a33 * s0, a02 * s3 - a12 * s1 + a22 * s0
    wx, wy, wz = a02 * c4 - a01 * c5 - a03 * c3, a13 * s5 - a23 * s4 + a33 * s3, a22 * s4 - a12 * s5 - a23 * s3
    xy, xz, yz = a23 * s2 - a03 * s5 - a33 * s1, a02 * s5 - a22 * s2 + a23 * s1, a12 * s2 - a02 * s4 - a23 * s0
    adjugate = torch.stack((w, wx, wy, wz, wx, x, xy, xz, wy, xy, y, yz, wz, xz, yz, z), -1)
    return adjugate.view(-1, 4, 4)


def _by_singular_values(covariance: Float[Tensor, "batch 3 3"]) -> tuple[Tensor, Tensor]:
    """The same rotations and traces by Umeyama's formula, for any matrices."""
    u, singular, vh = torch.linalg.svd(covariance.mT)
    sign = torch.ones_like(singular)
    sign[..., -1] = torch.linalg.det(u @ vh).sign()
    overlap: Tensor = (singular * sign).sum(-1)
    return (u * sign[..., None, :]) @ vh, overlap
