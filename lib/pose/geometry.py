"""Rotations, projection and bone lengths: pure functions on batches, in torch.

Camera frame: x right, y down, z forward, as in OpenCV. A ray is the point (x, y, 1) that a calibrated camera sees a
joint along; lifting finds how far along. Everything keeps the dtype and the device of its input.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.skeleton import Skeleton


def all_finite(values: Tensor) -> bool:
    """Whether all are; a sum is only where they are, and takes a tenth of the time of looking at each."""
    return bool(values.sum().isfinite() or values.isfinite().all())


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


def matrix_to_quaternion(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """W-first quaternions of rotation matrices, w not negative; of matrices not quite orthogonal, the nearest rotation.

    Source: I. Y. Bar-Itzhack, New method for extracting the quaternion from a rotation matrix, Journal of Guidance,
    Control and Dynamics 2000, version 3: the eigenvector of the largest eigenvalue.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in rotation.unbind(-2))
    rows = (
        *(xx + yy + zz, zy - yz, xz - zx, yx - xy),
        *(zy - yz, xx - yy - zz, yx + xy, zx + xz),
        *(xz - zx, yx + xy, yy - xx - zz, zy + yz),
        *(yx - xy, zx + xz, zy + yz, zz - xx - yy),
    )
    _, vectors = torch.linalg.eigh(torch.stack(rows, dim=-1).unflatten(-1, (4, 4)))
    quaternion: Tensor = vectors[..., -1]
    return quaternion.where(quaternion[..., :1] >= 0, -quaternion)


def rotate(rotation: Float[Tensor, "*#batch 3 3"], points: Float[Tensor, "*#batch joint 3"]) -> Float[Tensor, "..."]:
    """Rotate each batch element's points (rows) by its matrix."""
    return points @ rotation.mT


def homogeneous(rays: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 3"]:
    """(x, y) -> (x, y, 1)."""
    return torch.nn.functional.pad(rays, (0, 1), value=1.0)


def project(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 2"]:
    """Rays of points in front of an ideal camera (unit focal length, no distortion)."""
    return points[..., :2] / points[..., 2:]


def bone_lengths(pose: Float[Tensor, "*batch joint 3"], skeleton: Skeleton) -> Float[Tensor, "*batch bone"]:
    """The length of every bone of the skeleton, in the unit of the pose."""
    child, parent = torch.tensor(skeleton.bones, device=pose.device).unbind(1)
    lengths: Tensor = torch.linalg.vector_norm(pose.index_select(-2, child) - pose.index_select(-2, parent), dim=-1)
    return lengths


def root_centred(positions: Float[Tensor, "*batch joint 3"], skeleton: Skeleton) -> Float[Tensor, "*batch joint 3"]:
    """Positions relative to the pelvis, or where the skeleton has none, to the middle of the hips."""
    return positions - positions[..., list(skeleton.centre), :].mean(-2, keepdim=True)


def mirror_pose(pose: Float[Tensor, "*batch joint 3"], skeleton: Skeleton) -> Float[Tensor, "*batch joint 3"]:
    """The pose in a mirror: x changes its sign, left and right joints their names."""
    order = torch.tensor(skeleton.mirror, device=pose.device)
    return pose[..., order, :] * pose.new_tensor([-1.0, 1.0, 1.0])


def levelling(up: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The smallest rotations that make directions of length 1 point upwards, to -y of a level camera.

    Rodrigues' formula between two directions a and b: I + [v] + [v]^2 / (1 + a.b), v = a x b.
    """
    level = up.new_tensor([0.0, -1.0, 0.0]).expand_as(up)
    x, y, z = torch.linalg.cross(up, level).unbind(-1)
    nothing = torch.zeros_like(x)
    rows = (nothing, -z, y, z, nothing, -x, -y, x, nothing)
    cross = torch.stack(rows, -1).unflatten(-1, (3, 3))
    along = (1 - up[..., 1]).clamp_min(1e-4)[..., None, None]
    rotation: Tensor = torch.eye(3, device=up.device, dtype=up.dtype) + cross + cross @ cross / along
    return rotation
