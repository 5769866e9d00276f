"""A small store of walking-like random motion with known 3D, and predictions whose errors are known."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lib.data import store
from lib.inference.lifter import LiftedSplit
from lib.plotting.skeletons import FRONT
from lib.pose.cameras import Camera
from lib.pose.geometry import bone_lengths, root_centred
from lib.pose.layouts import H36M_LAYOUT
from lib.pose.skeleton import H36M
from lib.sources.base import PoseSequence

CAMERA = Camera("camera1", (1000, 1000), (1150.0, 1150.0), (500.0, 500.0))
STANDING = torch.tensor([[FRONT[name][0], 1 - FRONT[name][1], 0.0] for name in H36M.names])  # metres, camera frame
BODY_SIZE = float(bone_lengths(STANDING, H36M).sum())


def motion(frames: int, seed: int = 0) -> Float[Tensor, "frame joint 3"]:
    """A person of constant bones who turns about the vertical while walking away; metres, camera frame."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.linspace(0, 2, frames) + 6 * torch.rand(1, generator=generator)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x, y, z = STANDING.unbind(-1)
    turned = torch.stack([cos * x + sin * z, y.expand(frames, -1), cos * z - sin * x], dim=-1)
    aside = torch.full((frames,), 0.8)  # of the optical axis, where depth and distance differ
    return turned + torch.stack([aside, -0.3 * aside, torch.linspace(4, 6, frames)], dim=-1)[:, None]


def sequence(subject: str, action: str, frames: int, seed: int = 0, labels: bool = True) -> PoseSequence:
    """A sequence at 50 Hz; two of a subject and action differ by their seed."""
    positions = motion(frames, seed)
    return PoseSequence(
        subject, action, CAMERA, 50.0, CAMERA.project(positions), torch.ones(frames, 17), positions if labels else None
    )


def write_store(path: Path, labels: bool = True) -> Path:
    """Training: one sequence; test: two takes of Eating of 30 and 10 frames and a Walking of 20."""
    test = [("S9", "Eating 1", 30), ("S9", "Walking", 20), ("S11", "Eating 2", 10)]
    sequences = [sequence(*which, seed=number, labels=labels) for number, which in enumerate(test)]
    store.write(path, {"train": [sequence("S1", "Eating", 20, seed=9, labels=labels)], "test": sequences}, H36M_LAYOUT)
    return path


def lifted_truth(positions: Float[Tensor, "frame joint 3"]) -> Float[Tensor, "frame joint 3"]:
    """What a perfect lifter gives: root-centred, in units of root depth."""
    distance: Tensor = torch.linalg.vector_norm(positions[:, H36M.root], dim=-1)
    return root_centred(positions, H36M) / distance[:, None, None]


def lifted(joints: Float[Tensor, "frame joint 3"]) -> LiftedSplit:
    """What a lifter gives that has these joints and is all but sure of them."""
    stated = torch.full_like(joints[..., 0], 1e-3)
    return lifted_points(joints, joints, stated, stated)


def lifted_points(joints: Tensor, keypoints: Tensor, joint_error: Tensor, keypoint_error: Tensor) -> LiftedSplit:
    """What a lifter gives, of somebody straight ahead of a level camera."""
    ahead, up = (joints.new_tensor(direction).expand(len(joints), -1) for direction in ([0, 0, 1], [0, -1, 0]))
    return LiftedSplit(joints, keypoints, joint_error, keypoint_error, ahead, up)
