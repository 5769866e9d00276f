"""Frame by frame: 3D of each frame as it comes, by windows that end with it."""

import math
from collections import deque
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.data.calibration import detected_joints
from lib.data.store import split_of
from lib.inference.lifter import Lifter
from lib.pose.cameras import Camera
from lib.pose.geometry import bone_lengths, rotate
from lib.pose.landmarks import JOINTS
from lib.pose.layout import Layout
from lib.pose.skeleton import H36M
from lib.sequences.filters import OneEuroFilter
from lib.sources.base import PoseSequence

MARGIN = 3  # frames that are kept beyond a window's first
MOST = 1024  # frames that are kept
FORGOTTEN = 1.0  # seconds without anybody, or backwards, after which a person is a new one
SIZE_SECONDS = 0.3  # after which the body's size in the picture has forgotten itself to 1/e


class LivePose(NamedTuple):
    """A person in one frame, in the camera frame, in metres."""

    joints: Float[Tensor, "joint 3"]
    joint_error: Float[Tensor, " joint"]
    keypoints: Float[Tensor, "keypoint 3"]
    keypoint_error: Float[Tensor, " keypoint"]


class Live:
    """Lifts a stream of one person's frames."""

    def __init__(
        self, lifter: Lifter, layout: Layout, camera: Camera, body_size: float | None = None, smooth: bool = True
    ) -> None:
        """`body_size`, metres of all bones together, is that of the lifter's prior if it is None."""
        self.lifter, self.layout, self.camera = lifter, layout, camera
        self.body_size = lifter.body_size if body_size is None else body_size
        self._smooth = smooth
        self._frames: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=MOST)
        self._forget()

    def _forget(self) -> None:
        self._frames.clear()
        self._filter = OneEuroFilter() if self._smooth else None
        self._log_size: float | None = None

    @torch.inference_mode()
    def add(
        self, pixels: Float[Tensor, "keypoint 2"], confidence: Float[Tensor, " keypoint"], seconds: float
    ) -> LivePose | None:
        """The 3D of the next frame, taken at `seconds`; None of one that shows nobody.

        Time should go on from frame to frame: what comes no later than the last frame is as if it came a millisecond
        later, and after a leap backwards the stream begins anew.
        """
        last = self._frames[-1][2] if self._frames else None
        if last is not None and abs(seconds - last) > FORGOTTEN:
            self._forget()
            last = None
        seconds = seconds if last is None else max(seconds, last + 1e-3)
        if not detected_joints(pixels[None], confidence[None]).any():
            return None
        self._frames.append((pixels, confidence, seconds))
        reach = self.lifter.window.interval_seconds * (self.lifter.window.frames // 2)
        while len(self._frames) > MARGIN + 1 and self._frames[MARGIN][2] < seconds - reach:
            self._frames.popleft()
        return self._lifted(0.0 if last is None else seconds - last)

    def _lifted(self, since: float) -> LivePose:
        places, sure, times = zip(*self._frames, strict=True)
        moments = torch.tensor(times, dtype=torch.float64)
        rate = 1 / float(moments.diff().median()) if len(times) > 1 else 30.0
        sequence = PoseSequence(
            "", "", self.camera, rate, torch.stack(places), torch.stack(sure), None, moments - moments[0]
        )
        split = split_of([sequence], self.layout)
        poses = self.lifter.lift_windows(split, frames=torch.tensor([len(times) - 1]), live=True)
        points, rotation = poses.points[0].cpu(), poses.rotation[0].mT.cpu()
        size = float(bone_lengths(points[:JOINTS], H36M).sum().clamp_min(1e-9).log())
        keep = 0.0 if self._log_size is None else math.exp(-since / SIZE_SECONDS)
        self._log_size = size if self._log_size is None else keep * self._log_size + (1 - keep) * size
        distance = self.body_size / math.exp(self._log_size)
        placed = distance * rotate(rotation, points + points.new_tensor([0.0, 0.0, 1.0]))
        error = distance * poses.error[0].cpu()
        if self._filter is not None:
            placed = self._filter(placed, max(since, 1e-3))
        own = slice(JOINTS) if self.layout.exact else slice(JOINTS, None)
        return LivePose(placed[:JOINTS], error[:JOINTS], placed[own], error[own])
