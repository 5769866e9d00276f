"""What a lifter makes of real detections and of unusual motion: the recordings and the climbing of data/raw/wild."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.calibration import calibrate
from lib.data.split import Split
from lib.evaluation import metrics
from lib.inference.camera_search import find_cameras
from lib.inference.lifter import Lifter
from lib.pose.cameras import assumed_camera
from lib.pose.geometry import project
from lib.pose.landmarks import LANDMARKS, side_of
from lib.pose.layout import Layout
from lib.pose.layouts import LAYOUTS
from lib.sources.base import PoseSequence
from lib.sources.climbing import JOINTS as CLIMBING_JOINTS
from lib.sources.climbing import Motion
from lib.sources.recordings import Recording

MM = 1000.0
THINNED = 4  # every so many frames of the climbing, which is at 120 a second
COLUMNS = ("motion", "layout", "condition", "focal", "frames", "p_mpjpe_mm", "windows_p_mpjpe_mm")
DETECTED = LAYOUTS["mediapipe_33"]
READ_AS = ("mediapipe_33", "coco", "body_25", "h36m_from_coco")
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")  # what all layouts have: errors are of these
FACE = ("nose", "eye", "ear", "head", "neck", "spine", "mouth", "eye_inner", "eye_outer")
FOCAL = (0.7, 1.4)
PER_WINDOW = {"constant_bone_lengths": False, "denoise": False}
_CLIMBING = {**{name: name for name in CLIMBING_JOINTS}, "thorax": "neck"}  # HumanEva's keypoints among their joints


class Condition(NamedTuple):
    """What is changed of a split."""

    name: str
    hidden: tuple[str, ...] = ()  # landmarks without their side
    focal: float = 1.0  # over the true focal length


CONDITIONS = (
    Condition("as detected"),
    Condition("face, head and spine hidden", FACE),
    Condition("legs below the hip hidden", ("knee", "ankle", "heel", "big_toe", "small_toe")),
    *(Condition(f"focal length wrong by {factor}", focal=factor) for factor in FOCAL),
)
ASSUMED, FOUND = "camera assumed", "camera found"  # where nothing is said, cameras are known


def wild(
    lifter: Lifter, recordings: Sequence[Recording], climbing: Sequence[Motion], batch_size: int = 4096
) -> pd.DataFrame:
    """COLUMNS: the error of shoulders, elbows, wrists, hips, knees and ankles under each condition.

    Of joints that are hidden, too. Errors are means over frames whose reference is known. `focal` has the focal lengths
    that were used, over the known ones: one number, or the least and the greatest of the cameras; of those that are
    found, how many cameras' motion told theirs, where the others kept the assumed one.
    """
    rows = []
    for motion, split, assumed, factors in _splits(recordings, climbing):
        for name, focal, changed in _conditions(lifter, split, assumed, factors):
            errors = [_error(lifter, changed, split, batch_size, way) for way in ({}, PER_WINDOW)]
            rows.append((motion, split.layout.name, name, focal, len(errors[0]), *(float(e.mean()) for e in errors)))
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def _splits(
    recordings: Sequence[Recording], climbing: Sequence[Motion]
) -> Iterator[tuple[str, Split, Split, dict[str, float]]]:
    """Each motion: its name, before known cameras, before assumed ones, and their focal lengths over the known ones."""
    for session in dict.fromkeys(recording.session for recording in recordings):
        known = [recording for recording in recordings if recording.session == session]
        assumed = [one._replace(camera=assumed_camera(one.camera.size, one.camera.name)) for one in known]
        pairs = zip(known, assumed, strict=True)
        factors = {one.camera.name: other.camera.focal[0] / one.camera.focal[0] for one, other in pairs}
        for name in READ_AS:
            yield session, recorded(known, LAYOUTS[name]), recorded(assumed, LAYOUTS[name]), factors
    if climbing:
        split = climbed(climbing)
        camera = climbing[0].cameras()[0]
        factor = assumed_camera(camera.size).focal[0] / camera.focal[0]
        names = dict.fromkeys(split.table["camera"], factor)
        yield "climbing", split, replace(split, rays=split.rays / factor), names


def _conditions(
    lifter: Lifter, split: Split, assumed: Split, factors: dict[str, float]
) -> Iterator[tuple[str, str, Split]]:
    """The name of each condition, the focal lengths over the known ones, and what is lifted."""
    for condition in CONDITIONS:
        changed = _changed(split, condition)
        if condition.hidden and torch.equal(changed.confidence, split.confidence):
            continue  # the layout has nothing of the kind
        yield condition.name, f"{condition.focal:g}", changed
    yield ASSUMED, _range(factors.values()), assumed
    found = find_cameras(assumed, lifter)
    likely = {name: one.focal_factor if one.tells else 1.0 for name, one in found.items()}
    told = sum(one.tells for one in found.values())
    per_frame = torch.tensor(assumed.table["camera"].map(likely).to_numpy(), dtype=torch.float32).repeat_interleave(
        torch.tensor(assumed.table["length"].to_numpy())
    )
    focal = _range([factor * likely[name] for name, factor in factors.items()])
    rays = assumed.rays / per_frame[:, None, None]
    yield FOUND, f"{focal}, {told} of {len(found)} told", replace(assumed, rays=rays)


def _range(values: Collection[float]) -> str:
    ends = [f"{end:.2f}" for end in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def recorded(recordings: Sequence[Recording], layout: Layout) -> Split:
    """Recordings as a split: keypoints in one of the layouts that BlazePose's can be made into, and the reference."""
    mixing = _from_detected(layout)
    made_of = mixing != 0
    made = made_of.any(1)
    parts, rows, start = [], [], 0
    for recording in recordings:
        known = recording.keypoints.isfinite().all(-1) & (recording.confidence > 0)
        sure = torch.where(known, recording.confidence, 0.0)[:, None]
        least = torch.where(made_of, sure, torch.inf).amin(-1)  # of the keypoints that one is made of
        confidence = torch.where(made, least, 0.0)
        keypoints = mixing @ recording.keypoints.nan_to_num(0.0)
        head = recording.person, recording.session, recording.camera, recording.fps
        sequence = PoseSequence(*head, keypoints, confidence, None)
        seen = calibrate(sequence, layout.skeleton)
        determined = made & (recording.reference.isfinite().all(-1)[:, None] | ~made_of).all(-1)
        reference = (mixing @ recording.reference.nan_to_num(0.0)).masked_fill(~determined[..., None], torch.nan)
        parts.append((seen.keypoints, seen.confidence, seen.rays, reference))
        rows.append(_row(sequence, start))
        start += len(keypoints)
    return Split(layout, pd.DataFrame(rows), *(torch.cat(part) for part in zip(*parts, strict=True)))


def climbed(motions: Sequence[Motion]) -> Split:
    """Climbing before cameras at its elevations, exact 2D, marked as HumanEva marks bodies, whose head it lacks."""
    layout, joints = LAYOUTS["humaneva_15"], list(CLIMBING_JOINTS)
    index = [joints.index(_CLIMBING[name]) for name in layout.landmarks]
    known = torch.tensor([name != "head" for name in layout.landmarks])  # theirs is the base of the skull
    parts, rows, start = [], [], 0
    for motion in motions:
        for camera in motion.cameras():
            positions = camera.to_camera(motion.positions[::THINNED])[:, index]
            rays = project(positions)
            confidence = known.float().expand(len(rays), -1)
            sequence = PoseSequence(motion.name, motion.name, camera, motion.fps / THINNED, rays, confidence, None)
            parts.append((rays, confidence, rays, torch.where(known[:, None], positions, torch.nan)))
            rows.append(_row(sequence, start))
            start += len(rays)
    return Split(layout, pd.DataFrame(rows), *(torch.cat(part) for part in zip(*parts, strict=True)))


def _from_detected(layout: Layout) -> Float[Tensor, "keypoint detected"]:
    """What keypoints are made of, as weights of BlazePose's; nothing where it does not mark what they mark."""
    marked = torch.zeros(len(LANDMARKS), len(DETECTED))
    for detected, slot in enumerate(DETECTED.slots):
        marked[slot, detected] = 1
    lacking = (layout.mixing * (marked.sum(1) == 0)).abs().sum(1) > 0
    return (layout.mixing @ marked) * ~lacking[:, None]


def _row(sequence: PoseSequence, start: int) -> dict[str, object]:
    width, height = sequence.camera.size
    return {
        "subject": sequence.subject,
        "action": sequence.action,
        "camera": sequence.camera.name,
        "fps": sequence.fps,
        "width": width,
        "height": height,
        "start": start,
        "length": len(sequence.keypoints),
    }


def _changed(split: Split, condition: Condition) -> Split:
    hidden = torch.tensor([side_of(name)[1] in condition.hidden for name in split.layout.landmarks])
    confidence = split.confidence.masked_fill(hidden, 0.0)
    return replace(split, confidence=confidence, rays=split.rays / condition.focal)


def _error(
    lifter: Lifter, changed: Split, split: Split, batch_size: int, way: dict[str, bool]
) -> Float[Tensor, " frame"]:
    """P-MPJPE in mm of the limbs' joints, in the frames whose reference has all of them."""
    assert split.positions is not None
    limbs = [number for number, name in enumerate(split.layout.landmarks) if side_of(name)[1] in LIMBS]
    predicted, reference = lifter.lift(changed, batch_size, **way).keypoints[:, limbs], split.positions[:, limbs]
    known = reference.isfinite().flatten(1).all(1)
    return metrics.p_mpjpe(predicted[known] * MM, reference[known] * MM).mean(-1)
