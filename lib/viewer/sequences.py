"""Sequences of a store and their predictions as motions: the poses get the places that the true ones have, or that fit.

A lifter's poses are root-centred. Where a sequence has no 3D, the root is where the pose of a known size projects onto
its keypoints.
"""

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.data.split import Split
from lib.inference.motion import Motion
from lib.inference.predictions import Predictions
from lib.inference.trajectory import World, world_rotation
from lib.pose.cameras import Camera
from lib.pose.geometry import quaternion_to_matrix
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.sequences.gaps import fill_frames
from lib.sequences.noise import Timing
from lib.viewer.packing import Scene, lowest_foot

TRUE_ROOT = "the true distance of the pelvis"
BODY_SIZE = "the size of an average body"
UNKNOWN = (1.0, 0.0, 0.0, 0.0)  # the orientation of a camera of which none is known
LEAST = 1e-9


def scenes(split: Split, predictions: Predictions, cameras: list[Camera], rows: pd.DataFrame) -> list[Scene]:
    """A scene for every one of some rows of a split's table, with its predictions and, where it has any, its true 3D.

    `cameras` are those of all rows of the table. Where a camera's orientation in the world is known, the motion is in
    the world frame, upright and on the floor; else it is in the camera's.

    Raises:
        UserError: the predictions were made from other sequences.
    """
    if not predictions.table.equals(split.table):
        raise UserError("the predictions belong to other sequences than the store: run `dvc repro evaluate` first")
    return [
        Scene(f"{row['subject']} · {row['action']} · {row['camera']}", [_motion(split, predictions, cameras, number)])
        for number, row in rows.iterrows()
        if isinstance(number, int)
    ]


def root_from_2d(
    pose: Float[Tensor, "frame joint 3"],
    rays: Float[Tensor, "frame joint 2"],
    seen: Bool[Tensor, "frame joint"],
) -> Float[Tensor, "frame 3"]:
    """Where poses of a known size have to be, to be seen along their rays; camera frame, the unit of the pose.

    Least squares of X + x - u (Z + z) and Y + y - v (Z + z) over the joints (x, y, z) seen along the rays (u, v, 1).
    Of frames with less than two seen joints it is not a number.
    """
    weight = seen.double()
    x, y, z = pose.double().unbind(-1)
    u, v = rays.double().unbind(-1)
    count = weight.sum(-1)
    mean = (weight[..., None] * torch.stack([u, v, u * z - x, v * z - y], -1)).sum(-2) / count[..., None]
    mean_u, mean_v, mean_x, mean_y = mean.unbind(-1)
    u, v = weight * (u - mean_u[:, None]), weight * (v - mean_v[:, None])
    # X and Y eliminated, what is left is a line through the origin in Z
    along = (u * u + v * v).sum(-1).clamp_min(LEAST)
    depth = -(u * (rays[..., 0] * z - x) + v * (rays[..., 1] * z - y)).sum(-1) / along
    root = torch.stack([mean_u * depth + mean_x, mean_v * depth + mean_y, depth], -1)
    return torch.where((count > 1)[:, None], root, torch.nan).to(pose)


def _motion(split: Split, predictions: Predictions, cameras: list[Camera], number: int) -> Motion:
    row = split.table.iloc[number]
    length, fps = int(row["length"]), float(row["fps"])
    frames = slice(int(row["start"]), int(row["start"]) + length)
    confidence, pose = split.confidence[frames], predictions.predicted[frames]
    times = torch.arange(length, dtype=torch.float64) / fps if split.times is None else split.times[frames].double()
    target = None if split.positions is None else split.positions[frames]
    if target is not None and not target.isfinite().all(-1).any():
        target = None
    seen = confidence > 0
    root = root_from_2d(pose, split.rays[frames], seen)
    if target is not None:
        true_root = target[:, list(split.skeleton.centre)].mean(1)
        root = torch.where(true_root.isfinite(), true_root, root)
    known = root.isfinite().all(-1)
    root = fill_frames(root[:, None], known, Timing([length], [fps], times))
    keypoints, joints = pose + root, predictions.joints[frames] + root
    points = [keypoints, joints] if target is None else [keypoints, joints, target]
    upright = _upright(points, cameras[number], split.layout.landmarks)
    shown = upright or points
    return Motion(
        name=f"{row['subject']}/{row['action']}/{row['camera']}",
        person="0",
        layout=split.layout,
        frame="camera" if upright is None else "world",
        scale=BODY_SIZE if target is None else TRUE_ROOT,
        size=(int(row["width"]), int(row["height"])),
        fps=fps,
        numbers=torch.arange(length),
        times=times,
        pixels=torch.where(seen[..., None], split.keypoints[frames], torch.nan),
        confidence=confidence,
        keypoint_error=predictions.error[frames],
        joint_error=predictions.joint_error[frames],
        keypoints=shown[0],
        joints=shown[1],
        target=None if target is None else shown[2],
    )


def _upright(points: list[Tensor], camera: Camera, landmarks: tuple[str, ...]) -> list[Tensor] | None:
    """Keypoints, joints and target in the world frame, if it is known how the camera is turned."""
    if camera.orientation == UNKNOWN:
        return None
    up = quaternion_to_matrix(points[0].new_tensor(camera.orientation))[2]  # the store's world has z up
    turned = World(world_rotation(up), torch.zeros_like(up))
    points = [turned.points(part) for part in points]
    floor = lowest_foot(points[-1] if len(points) > 2 else points[0], landmarks)  # the true one, if it is known
    origin = points[1][0, H36M.root].clone()
    origin[1] = floor or 0.0
    return [part - origin for part in points]
