"""Rotations, the perspective crop, unprojection and alignment: pure functions on batches, in torch.

Camera frame: x right, y down, z forward, as in OpenCV. A ray is the point (x, y, 1) that a calibrated camera sees a
joint along; lifting finds how far along. Everything keeps the dtype and the device of its input.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.skeleton import H36M


class Crop(NamedTuple):
    """A view whose optical axis is the root's ray (see `perspective_crop`)."""

    keypoints: Float[Tensor, "*batch joint 2"]  # root-centred rays, divided by `scale`
    scale: Float[Tensor, "*batch"]  # RMS or largest length of the root-centred rays
    rotation: Float[Tensor, "*batch 3 3"]  # camera frame -> crop frame


def rotation_about(axis: str, angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices about the 'x', 'y' or 'z' axis, for column vectors; angles in radians, right-handed."""
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = {
        "x": (one, zero, zero, zero, cos, -sin, zero, sin, cos),
        "y": (cos, zero, sin, zero, one, zero, -sin, zero, cos),
        "z": (cos, -sin, zero, sin, cos, zero, zero, zero, one),
    }[axis]
    return torch.stack(rows, dim=-1).reshape(*angle.shape, 3, 3)


def quaternion_to_matrix(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of w-first quaternions, which need not be normalised."""
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    )
    return torch.stack(rows, dim=-1).reshape(*w.shape, 3, 3)


def rotate(rotation: Float[Tensor, "*#batch 3 3"], points: Float[Tensor, "*#batch joint 3"]) -> Float[Tensor, "..."]:
    """Rotate each batch element's points (rows) by its matrix."""
    return points @ rotation.mT


def homogeneous(rays: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 3"]:
    """(x, y) -> (x, y, 1)."""
    return torch.nn.functional.pad(rays, (0, 1), value=1.0)


def project(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 2"]:
    """Rays of points in front of an ideal camera (unit focal length, no distortion)."""
    return points[..., :2] / points[..., 2:]


def perspective_crop(
    rays: Float[Tensor, "*batch joint 2"], normalization: str = "rms", seen: Bool[Tensor, "*batch joint"] | None = None
) -> Crop:
    """Turn the camera so that the root's ray is its optical axis, then centre and scale.

    The turn is a pan followed by a tilt, so a level camera sees the vertical in the crop's plane x = 0. Nothing is
    approximated: the crop is the picture that a camera of the same centre, looking at the root, would take. Joints that
    are not `seen` have no part in the scale. The root's ray is the origin whether it is seen or not: of a root that is
    not, the store has a stand-in (see `lib.data.calibration`), and nothing here asks how good it is.
    """
    x, y = rays[..., H36M.root, :].unbind(-1)
    pan = rotation_about("y", -torch.atan2(x, torch.ones_like(x)))
    tilt = rotation_about("x", torch.atan2(y, (x * x + 1).sqrt()))
    rotation = tilt @ pan
    turned = project(rotate(rotation, homogeneous(rays)))
    scale = crop_scale(turned, normalization, seen)
    return Crop(turned / scale[..., None, None], scale, rotation)


def crop_scale(
    centred: Float[Tensor, "*batch joint 2"], normalization: str, seen: Bool[Tensor, "*batch joint"] | None = None
) -> Float[Tensor, "*batch"]:
    """The RMS ('rms') or the largest ('max') length of the root-centred rays that are seen: a crop's unit.

    Where none is seen, all count: they are the store's stand-ins of a frame in which nobody was detected.
    """
    squares = centred.square().sum(-1)
    if seen is not None:
        seen = seen | ~seen.any(-1, keepdim=True)
        squares = torch.where(seen, squares, 0.0)
    count = squares.shape[-1] if seen is None else seen.sum(-1).clamp_min(1)
    return {"rms": squares.sum(-1) / count, "max": squares.amax(-1)}[normalization].sqrt().clamp_min(1e-6)


def unproject_crop(
    keypoints: Float[Tensor, "*batch joint 2"], scale: Float[Tensor, "*batch"], depth: Float[Tensor, "*batch joint"]
) -> Float[Tensor, "*batch joint 3"]:
    """The pose that a crop and relative depths stand for: root-centred, in the crop frame, in units of root depth.

    With X_i the joint, Z_0 the root's depth and d_i = Z_i / Z_0 - 1, which the model gives as `depth` = d_i / scale:
    (X_i - X_0) / Z_0 = (x_i (1 + d_i), d_i). Exact under perspective; only Z_0 stays unknown.
    """
    relative = depth * scale[..., None]
    rays = keypoints * scale[..., None, None]
    return torch.cat([rays * (1 + relative)[..., None], relative[..., None]], dim=-1)


def bone_lengths(pose: Float[Tensor, "*batch joint 3"]) -> Float[Tensor, "*batch bone"]:
    """The length of every bone of H36M's skeleton, in the unit of the pose."""
    child, parent = zip(*H36M.bones, strict=True)
    lengths: Tensor = torch.linalg.vector_norm(pose[..., child, :] - pose[..., parent, :], dim=-1)
    return lengths


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

    Source: S. Umeyama, Least-squares estimation of transformation parameters between two point patterns, TPAMI 1991,
    equations 39 to 43.
    """
    target_mean = target.mean(-2, keepdim=True)
    p, t = predicted - predicted.mean(-2, keepdim=True), target - target_mean
    u, singular, vh = torch.linalg.svd(t.mT @ p)
    nearest = u @ vh  # orthogonal; its determinant as a triple product costs a tenth of two calls of linalg.det
    determinant = (torch.linalg.cross(nearest[..., 0], nearest[..., 1]) * nearest[..., 2]).sum(-1)
    sign = torch.ones_like(singular)
    sign[..., -1] = determinant.sign()
    rotation = (u * sign[..., None, :]) @ vh
    factor = (singular * sign).sum(-1) / p.square().sum((-2, -1)).clamp_min(1e-12)
    return rotate(factor[..., None, None] * rotation, p) + target_mean
