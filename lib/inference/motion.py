"""A person's motion in metres: what predictions are written from, shown from, and made into other formats from.

Two frames of reference, both right-handed, in metres:

- camera: x right, y down, z forward, the camera at the origin;
- world: y up, x as the camera's x, z towards the camera; the floor is y = 0, and in its first frame the first person
  of a video has the pelvis above the origin. Formats of animation (BVH, GLB, TRC) have the same axes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.pose.layout import Layout

Frame = Literal["camera", "world"]


@dataclass(frozen=True)
class Motion:
    """One person in one video, or in one sequence of a data set.

    Where nobody was detected in a frame, its 3D lies in time between the frames that show somebody, and its confidence
    is 0.
    """

    name: str  # of the video: a file's or a folder's, or subject/action/camera
    person: str  # who of the people in it: a number
    layout: Layout  # of the keypoints
    frame: Frame
    scale: str  # where the metres come from, in words
    size: tuple[int, int]  # width and height of the pictures, in pixels
    fps: float  # frames a second, of the median distance of frames
    numbers: Int[Tensor, " frame"]  # of the frames in their video, from 0
    times: Float[Tensor, " frame"]  # seconds since the video's start, in float64
    pixels: Float[Tensor, "frame keypoint 2"]  # as detected; not a number where they were not
    confidence: Float[Tensor, "frame keypoint"]  # 0 to 1; 0: not detected
    keypoints: Float[Tensor, "frame keypoint 3"]  # metres, as the layout marks them
    keypoint_error: Float[Tensor, "frame keypoint"]  # metres: how far off the model expects each to be
    joints: Float[Tensor, "frame joint 3"]  # metres, of Human3.6M's skeleton; the pelvis is first
    joint_error: Float[Tensor, "frame joint"]  # metres
    target: Float[Tensor, "frame keypoint 3"] | None = None  # the true keypoints, where they are known
    video: Path | None = None  # a file or a folder of pictures that `pixels` belong to
    model: str = ""  # which one predicted it: its file's name

    def __len__(self) -> int:
        return len(self.times)

    @property
    def detected(self) -> Bool[Tensor, " frame"]:
        """The frames that show the person."""
        return (self.confidence > 0).any(-1)
