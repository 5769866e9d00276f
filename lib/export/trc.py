"""TRC: the places of points, for OpenSim and its tools.

Metres, y up. Human3.6M's joints are markers under their names, and keypoints of another layout after them as
`keypoint_NAME`. Of a motion in the camera frame, y and z change their signs. Frames are evenly spaced
(`lib.export.upright`), numbered from 1; times are the video's.
"""

from pathlib import Path

import torch

from lib.export.upright import evenly_spaced, points_of, upright
from lib.inference.motion import Motion


def write(motion: Motion, path: Path) -> None:
    """Write one file."""
    motion = evenly_spaced(upright(motion))
    names, places = points_of(motion)
    frames, rate = len(motion), f"{motion.fps:.6g}"
    head = (
        ("PathFileType", "4", "(X/Y/Z)", f"{_word(motion.name)}.trc"),
        ("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame")
        + ("OrigNumFrames",),
        (rate, rate, str(frames), str(len(names)), "m", rate, "1", str(frames)),
        ("Frame#", "Time", *(part for name in names for part in (_word(name), "", ""))),
        ("", "", *(f"{axis}{number}" for number in range(1, len(names) + 1) for axis in "XYZ")),
        (),
    )
    line = "\t".join(["%d", "%.6f", *["%.5f"] * (3 * len(names))])
    rows = torch.cat([motion.times.double()[:, None], places.double().flatten(1)], 1).tolist()
    text = ["\t".join(words) for words in head] + [line % (number, *row) for number, row in enumerate(rows, 1)]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


def _word(name: str) -> str:
    """A name without spaces, which divide columns."""
    return "_".join(name.split())
