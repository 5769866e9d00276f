"""What `make wild` records from: packages, videos, and what is known of their cameras.

The videos and their calibration are pose2sim's demonstration (D. Pagnon et al., Pose2Sim: an open-source Python package
for multiview markerless kinematics, JOSS 2022; BSD-3): a man who balances on a beam, and the same with a woman put into
the pictures by computer. 100 frames at 60 Hz, four cameras.

What is known of the calibration:

- Its distortion is right as the file has it. A calibration from the chessboard pictures of the same wheel (three of the
  cameras, six pictures each) gives k1 -0.044 to -0.048 and k2 0.10 to 0.13, at 0.13 to 0.16 pixels; the file says
  -0.046 to -0.048 and 0.13 to 0.14. pose2sim's own converter divides both by 64. Keypoints could not tell: people are
  in the middle of the pictures.
- Two of the single person's videos are scaled by 1080 / 1088, with black bars above and below; those of the pair were
  moved and scaled one by one. Matched features of the background say so (SIFT, 0.3 to 0.5 pixels RMS).
- The cameras' places and turns are off by half a degree and one or two centimetres: fixed points of the treadmill,
  marked by hand in the calibration's own pictures, disagree by 10.8 pixels, and by 0.9 once the cameras are adjusted.
"""

import dataclasses
from typing import NamedTuple

from lib.pose.cameras import Camera
from lib.sources.parcels import Parcel

CAMERAS = ("cam01", "cam02", "cam03", "cam04")
CALIBRATION = "calibration.qca.txt"


class Scaling(NamedTuple):
    """How a video's pixels lie in the calibrated picture, x and y: calibrated = scale * pixel + offset."""

    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def applied_to(self, camera: Camera, size: tuple[int, int]) -> Camera:
        """The calibrated camera as it sees a video of `size` pixels."""
        (x, y), (right, down) = self.scale, self.offset
        return dataclasses.replace(
            camera,
            size=size,
            focal=(camera.focal[0] / x, camera.focal[1] / y),
            center=((camera.center[0] - right) / x, (camera.center[1] - down) / y),
        )


class Session(NamedTuple):
    """A performance: who is in it, where its videos lie in the wheel, and how in the calibrated pictures."""

    people: dict[str, tuple[float, float]]  # each one's name and usual place on the floor: world x and y in metres
    folder: str
    scalings: tuple[Scaling, ...]

    def videos(self, name: str) -> dict[str, str]:
        """The path inside the wheel of each camera's video -> the file's name outside."""
        return {f"{self.folder}/videos/{camera}.mp4": video_name(name, camera) for camera in CAMERAS}


def video_name(session: str, camera: str) -> str:
    """The file of a video."""
    return f"{session}_{camera}.mp4"


# A picture of 1088 x 1920 scaled to a width of 1080 and put in the middle of 1080 x 1920; (0, 0) is a pixel's middle.
_RATIO = 1088 / 1080
_FITTED = Scaling((_RATIO, _RATIO), ((_RATIO - 1) / 2, 959.5 * (1 - _RATIO)))
_MAN = (-1.1, -0.1)
SESSIONS = {
    "balance": Session({"man": _MAN}, "Pose2Sim/Demo_SinglePerson", (_FITTED, _FITTED, Scaling(), Scaling())),
    "pair": Session(
        {"man": _MAN, "woman": (0.3, -0.4)},
        "Pose2Sim/Demo_MultiPerson",
        (
            Scaling((1.00364, 1.00398), (-0.49, -0.73)),
            Scaling((1.00839, 1.00828), (0.54, -7.66)),
            Scaling((0.99625, 0.99641), (1.86, 12.13)),
            Scaling((1.0, 1.0), (0.72, -0.54)),
        ),
    ),
}
ADJUSTED_ON = "balance"  # the session that the cameras are corrected by; they stand in the same places in all

# Fixed points of the treadmill in the calibrated pictures, marked by hand to a pixel or two, a row a point and a column
# a camera: bolts of its four brackets, then the marks beside them; far left, near left, far right, near right as the
# first camera sees them.
_HIDDEN = (float("nan"), float("nan"))
CONTROL_POINTS = (
    ((66.0, 1058.0), (417.6, 1035.7), (911.0, 1229.0), (886.0, 1429.0)),
    ((281.0, 1364.0), (285.6, 1215.5), (533.0, 1080.0), (935.0, 1056.0)),
    ((515.0, 1035.0), (829.8, 1064.5), (520.0, 1499.0), _HIDDEN),
    ((793.0, 1281.0), (808.5, 1269.8), (141.0, 1267.0), (489.0, 1134.0)),
    ((110.0, 1061.0), (442.6, 1041.6), (875.0, 1234.0), (838.0, 1411.0)),
    ((320.0, 1338.0), (328.7, 1209.7), (517.0, 1091.0), (889.0, 1071.0)),
    ((522.0, 1065.0), (794.7, 1085.2), (486.0, 1432.0), (386.0, 1397.0)),
    ((772.0, 1293.0), (763.8, 1272.4), (165.0, 1241.0), (519.0, 1116.0)),
)

VIDEOS = Parcel(
    "pose2sim==0.10.49",
    "pose2sim-0.10.49-py3-none-any.whl",
    "403e0dc4065898ba6a595e72a8970950310979253d60e24c2e00b16b36bf21e1",
    51,
    "videos of four calibrated cameras",
    {member: name for session in SESSIONS for member, name in SESSIONS[session].videos(session).items()}
    | {
        "Pose2Sim/Demo_SinglePerson/calibration/Calib.qca.txt": CALIBRATION,
        "pose2sim-0.10.49.dist-info/licenses/LICENSE": "POSE2SIM-LICENSE.txt",
    },
)
HEAVY = Parcel(
    "@mediapipe/pose@0.5.1675469404",
    "mediapipe-pose-0.5.1675469404.tgz",
    "8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84",
    41,
    "BlazePose's heavy network",
    {"package/pose_landmark_heavy.tflite": "pose_landmark_heavy.tflite"},
    client="npm",
)
