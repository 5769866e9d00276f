"""What a lifter makes of 2D as users have it: hidden joints, views from above, other layouts, wrong focal lengths.

Each condition changes the 2D of a labelled split of Human3.6M's joints. Other layouts' keypoints are put on its bodies
through the landmarks of `lib.prior.bodies`, with offsets of their own for each subject, as `Layout.spreads` has them.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from lib.data.split import Split
from lib.evaluation import metrics
from lib.inference.lifter import Lifter
from lib.inference.predictions import root_distance
from lib.pose.geometry import project, root_centred, rotation_about
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.prior.bodies import ATTACHED_LANDMARKS, Body, attached_offset
from lib.prior.kinematics import posed_of
from lib.runtime.errors import UserError

MM = 1000.0
COLUMNS = ("condition", "joints", "frames", "n_mpjpe_mm", "p_mpjpe_mm", "stated_mm")
_LEGS = tuple(f"{side}_{name}" for side in ("left", "right") for name in ("knee", "ankle"))
HIDDEN: dict[str, tuple[str, ...]] = {
    "spine, neck, head hidden": ("spine", "neck", "head"),
    "right elbow and wrist hidden": ("right_elbow", "right_wrist"),
    "left knee and ankle hidden": ("left_knee", "left_ankle"),
    "both legs below the hip hidden": _LEGS,
    "root and hips hidden": ("pelvis", "left_hip", "right_hip"),
}
WEBCAM = ("pelvis", "left_hip", "right_hip", *_LEGS)
FOCAL = (0.7, 1.4)
HIGHER = (30.0, 60.0)  # degrees
NEAREST = 1.0  # metres: nobody comes nearer to a camera that was moved


def conditions(split: Split, seed: int = 0) -> Iterator[tuple[str, Split, tuple[int, ...]]]:
    """The name of each condition, the split under it, and the joints that are measured."""
    whole = tuple(range(len(split.layout)))
    yield "nothing hidden", split, whole
    for name, joints in HIDDEN.items():
        yield name, _hide(split, joints), whole
    seen = tuple(joint for joint, name in enumerate(H36M.names) if name not in WEBCAM)
    yield "upper body only, of what is seen", _hide(split, WEBCAM), seen
    generator = torch.Generator().manual_seed(seed)
    confidence = 0.3 + 0.7 * torch.rand(split.confidence.shape, generator=generator)
    yield "confidences from 0.3 to 1, without meaning", replace(split, confidence=confidence), whole
    for factor in FOCAL:
        yield f"focal length wrong by {factor}", replace(split, rays=split.rays / factor), whole
    for degrees in HIGHER:
        yield f"seen from {degrees:.0f} degrees higher", seen_from_above(split, degrees), whole
    for name, layout in LAYOUTS.items():
        if name != "h36m":
            other = marked_as(split, layout, generator)
            yield f"marked as {name}", other, tuple(range(len(layout)))


def check_split(split: Split) -> None:
    """Refuse a split of which the conditions cannot be made.

    Raises:
        UserError: it is not in Human3.6M's layout, or has no 3D.
    """
    if split.layout.name != "h36m" or split.positions is None:
        raise UserError("robustness needs 3D of Human3.6M's joints")


def robustness(lifter: Lifter, split: Split, batch_size: int = 4096) -> pd.DataFrame:
    """COLUMNS of every condition; a layout has a row of its keypoints, and one of Human3.6M's joints.

    Raises:
        UserError: the split is not in Human3.6M's layout, or has no 3D.
    """
    check_split(split)
    assert split.positions is not None
    joints = root_centred(split.positions, H36M)
    rows = []
    for name, changed, counted in conditions(split):
        lifted = lifter.lift(changed, batch_size)
        assert changed.positions is not None
        own = root_centred(changed.positions, changed.skeleton)
        distance = root_distance(changed.positions, changed.skeleton)[:, None]
        stated = (lifted.keypoint_error * distance)[:, list(counted)]
        rows.append((name, "own", *_errors(lifted.keypoints, own, counted), float(stated.mean()) * MM))
        if changed.layout != split.layout:
            error = float((lifted.joint_error * distance).mean()) * MM
            rows.append((name, "h36m", *_errors(lifted.joints, joints, tuple(range(JOINTS))), error))
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def seen_from_above(split: Split, degrees: float) -> Split:
    """The same motion before cameras that were moved up on circles around the middle of each sequence; exact 2D.

    Positions and rays are those of the moved cameras; what was hidden stays so, and pixels stay as they were. A camera
    that somebody would come too near to stands farther away.
    """
    assert split.positions is not None
    turned = []
    for part in split.positions.split(split.table["length"].tolist()):
        middle = part.mean((0, 1))
        moved = (part - middle) @ rotation_about("x", torch.tensor(math.radians(degrees))).mT + middle
        nearer = (NEAREST - moved[..., 2].min()).clamp_min(0.0)
        turned.append(moved + moved.new_tensor([0.0, 0.0, 1.0]) * nearer)
    positions = torch.cat(turned)
    return replace(split, positions=positions, rays=project(positions))


def _errors(predicted: Tensor, target: Tensor, counted: tuple[int, ...]) -> tuple[int, float, float]:
    some, true = predicted[:, list(counted)] * MM, target[:, list(counted)] * MM
    centred = some - some.mean(1, keepdim=True), true - true.mean(1, keepdim=True)
    return len(some), float(metrics.n_mpjpe(*centred).mean()), float(metrics.p_mpjpe(some, true).mean())


def _hide(split: Split, names: tuple[str, ...]) -> Split:
    hidden = torch.tensor([name in names for name in split.skeleton.names])
    return replace(
        split, confidence=split.confidence.masked_fill(hidden, 0.0), rays=split.rays.masked_fill(hidden[:, None], 0.0)
    )


def marked_as(split: Split, layout: Layout, generator: torch.Generator) -> Split:
    """The same people, marked as another layout marks them; exact 2D."""
    assert split.positions is not None
    posed = posed_of(split.positions)
    attached = torch.tensor([attached_offset(name) for name in ATTACHED_LANDMARKS])
    landmarks = posed.landmarks(Body(torch.zeros(0), torch.zeros(0), attached))
    subjects = split.table["subject"]
    offset = {
        subject: torch.tensor(layout.spreads)[:, None] * torch.randn(len(layout), 3, generator=generator)
        for subject in sorted(subjects.unique())
    }
    off = torch.cat([offset[s].expand(n, -1, -1) for s, n in zip(subjects, split.table["length"], strict=True)])
    positions = layout.mixing @ landmarks + posed.moved(off, layout)
    rays = project(positions)
    return Split(layout, split.table, rays, torch.ones_like(rays[..., 0]), rays, positions)
