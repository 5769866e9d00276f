"""Limbs towards the camera or away: frames that contradict their neighbours are mended, real changes are kept."""

import math
import tracemalloc

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from lib.pose.geometry import bone_lengths, project, root_centred
from lib.pose.skeleton import H36M
from lib.sequences.depth_signs import LIMBS, with_constant_signs
from lib.sequences.noise import Timing
from tests.synthetic import STANDING

DISTANCE = 4.0  # metres from the camera
WRIST, ELBOW = H36M.index("left_wrist"), H36M.index("left_elbow")
FROM_CAMERA = torch.tensor([0.0, 0.0, 1.0])
FRAMES = 60


def body(depth: Float[Tensor, " frame"], limb: tuple[int, int] = (WRIST, ELBOW)) -> Float[Tensor, "frame joint 3"]:
    """Somebody who stands, all of whose limbs point a little away, and one (child, parent) as far as `depth` says.

    In units of the root's distance; `depth` is the cosine of the angle between the limb and the line of sight.
    """
    joints = root_centred(STANDING, H36M).repeat(len(depth), 1, 1) / DISTANCE
    for joint in LIMBS:
        joints[:, joint, 2] += 0.2 / DISTANCE
    child, parent = limb
    return put(joints, child, parent, depth)


def put(joints: Tensor, child: int, parent: int, depth: Tensor) -> Float[Tensor, "frame joint 3"]:
    """The child at the same distance from its parent, in a direction with this cosine to the line of sight."""
    joints = joints.clone()
    near, length = joints[:, parent] + FROM_CAMERA, (joints[:, child] - joints[:, parent]).norm(dim=-1, keepdim=True)
    sight = torch.nn.functional.normalize(near, dim=-1)
    down = torch.tensor([0.0, 1.0, 0.0]) - sight[:, 1:2] * sight
    across = torch.nn.functional.normalize(down, dim=-1)
    cosine = depth[:, None]
    joints[:, child] = joints[:, parent] + length * (cosine * sight + (1 - cosine.square()).sqrt() * across)
    return joints


def flipped(joints: Tensor, frames: Tensor, child: int = WRIST, parent: int = ELBOW) -> Float[Tensor, "frame joint 3"]:
    """The other place on the child's line of sight that is as far from the parent."""
    far, near = joints[:, child] + FROM_CAMERA, joints[:, parent] + FROM_CAMERA
    sight = torch.nn.functional.normalize(far, dim=-1)
    nearest = (near * sight).sum(-1, keepdim=True) * sight
    other = joints.clone()
    other[frames, child] = (2 * nearest - far - FROM_CAMERA)[frames]
    return other


def timing(*lengths: int) -> Timing:
    return Timing(list(lengths), [50.0] * len(lengths))


@pytest.mark.parametrize("depth", [0.7, -0.7])
@pytest.mark.parametrize(
    "limb", [("left_wrist", "left_elbow"), ("right_knee", "right_hip"), ("left_ankle", "left_knee")]
)
def test_a_sign_that_flips_for_some_frames_is_mended(depth: float, limb: tuple[str, str]) -> None:
    child, parent = (H36M.index(name) for name in limb)
    true = body(torch.full((FRAMES,), depth), (child, parent))
    wrong = torch.tensor([0, 7, 8, 9, 30, 31, 59])
    seen = flipped(true, wrong, child, parent)
    assert (seen - true)[wrong, child].norm(dim=-1).min() > 0.02
    kept = [joint for joint in range(len(H36M)) if H36M.parents[joint] != child]  # what hangs on it had a wrong length
    mended = with_constant_signs(seen, timing(FRAMES))
    torch.testing.assert_close(mended[:, kept], true[:, kept], atol=1e-4, rtol=0)


def test_a_limb_that_passes_through_the_plane_keeps_both_signs() -> None:
    swing = 0.9 * torch.cos(torch.linspace(0, 2 * math.pi, FRAMES))  # away, towards, and away
    true = body(swing)
    torch.testing.assert_close(with_constant_signs(true, timing(FRAMES)), true, atol=1e-4, rtol=0)
    seen = flipped(true, torch.tensor([3, 28, 55]))
    torch.testing.assert_close(with_constant_signs(seen, timing(FRAMES)), true, atol=1e-4, rtol=0)


def test_sequences_do_not_speak_for_each_other() -> None:
    away, towards = body(torch.full((30,), 0.7)), body(torch.full((8,), -0.7))
    both = torch.cat([away, towards, away[:1]])
    torch.testing.assert_close(with_constant_signs(both, timing(30, 8, 1)), both, atol=1e-4, rtol=0)
    together = with_constant_signs(both, timing(39))
    assert (together - both)[30:38, WRIST].norm(dim=-1).min() > 0.02  # in one sequence the eight are outvoted


def test_passers_by_beside_somebody_who_stays_take_no_memory_of_their_own() -> None:
    """As in a video of a crowd: not as much each as the longest sequence does."""
    lengths = (2000, *[3] * 400, 40)
    depth = 0.9 * torch.cos(torch.arange(sum(lengths)) * 1.7)
    joints = body(depth)
    tracemalloc.start()
    together = with_constant_signs(joints, timing(*lengths))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6  # bytes of NumPy; an eighth of what they would take side by side
    alone = [with_constant_signs(part, timing(len(part))) for part in joints.split(lengths)]
    torch.testing.assert_close(together, torch.cat(alone), atol=0, rtol=0)


def test_lengths_and_lines_of_sight_stay_whatever_the_depths() -> None:
    generator = torch.Generator().manual_seed(0)
    joints = body(torch.zeros(FRAMES))
    for child in LIMBS:  # from the trunk outwards
        joints = put(joints, child, H36M.parents[child], 1.6 * torch.rand(FRAMES, generator=generator) - 0.8)
    signed = with_constant_signs(joints, timing(FRAMES))
    assert (signed - joints).norm(dim=-1).max() > 0.02  # something was changed
    torch.testing.assert_close(project(signed + FROM_CAMERA), project(joints + FROM_CAMERA), atol=1e-4, rtol=0)
    # A bone whose near end has moved may no longer reach its line of sight: then it comes as near as it can.
    longer = bone_lengths(signed, H36M) / bone_lengths(joints, H36M) - 1
    assert (longer.abs() < 1e-3).float().mean() > 0.97
    assert longer.min() > -1e-3
    trunk = [joint for joint in range(len(H36M)) if joint not in LIMBS]
    torch.testing.assert_close(signed[:, trunk], joints[:, trunk], atol=1e-6, rtol=0)


def test_joints_that_were_not_seen_say_nothing() -> None:
    """Most frames are guesses that point the wrong way: those that show the wrist decide."""
    true = body(torch.full((FRAMES,), 0.7))
    guessed = torch.arange(FRAMES) % 3 != 0
    seen = flipped(true, guessed.nonzero()[:, 0])
    known = torch.ones(FRAMES, len(H36M), dtype=torch.bool)
    known[guessed, WRIST] = False
    torch.testing.assert_close(with_constant_signs(seen, timing(FRAMES), known), true, atol=1e-4, rtol=0)
    outvoted = with_constant_signs(seen, timing(FRAMES))
    assert (outvoted - true)[:, WRIST].norm(dim=-1).min() > 0.02


def test_limbs_that_are_never_seen_stay_as_they_are() -> None:
    towards = body(torch.full((FRAMES,), -0.7))
    both = torch.cat([flipped(towards, torch.tensor([4, 5, 6]))] * 2)
    known = torch.ones(2 * FRAMES, len(H36M), dtype=torch.bool)
    known[:FRAMES, WRIST] = False  # in the first of two sequences
    signed = with_constant_signs(both, timing(FRAMES, FRAMES), known)
    torch.testing.assert_close(signed[:FRAMES], both[:FRAMES], atol=1e-4, rtol=0)
    torch.testing.assert_close(signed[FRAMES:], towards, atol=1e-4, rtol=0)
