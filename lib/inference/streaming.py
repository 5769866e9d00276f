"""A stream of frames to lines of JSON: one a frame, as soon as the frame came."""

import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from lib.inference.lifter import Lifter
from lib.inference.live import Live, LivePose
from lib.pose.skeleton import H36M
from lib.sources.inputs import as_options
from lib.sources.keypoints.detections import BadFile
from lib.sources.streams import Moment, Stream, layout_of

DIGITS = 4  # of metres


def stream(
    lifter: Lifter,
    source: Stream,
    write: Callable[[dict[str, Any]], None],
    body_size: float | None = None,
    smooth: bool = True,
) -> list[float]:
    """Lift frames as they come; returns the milliseconds from each frame to its line.

    `write` gets what stands in the lines: first about the stream, as soon as its layout is known, then of each frame
    its number, its time and, if it shows somebody, `joints` and `keypoints` with the errors that the model states, in
    metres and in the camera frame. A frame that cannot be read has `bad` in place of them. The stream ends when there
    are no more frames, when nobody reads the lines any more, or at Ctrl-C.

    Of a layout that the lifter does not know, it reads the keypoints that are those of one that it knows.
    """
    known: _Known | None = None
    taken: list[float] = []
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        for number, moment in enumerate(source.moments):
            line: dict[str, Any] = {"frame": number, "time": round(moment.seconds, 6)}
            try:
                if moment.bad:
                    raise BadFile(moment.bad)
                if known is None and len(moment.points):
                    layout, part = lifter.known(layout_of(moment, source.layout))
                    live = Live(lifter, layout, source.camera, body_size, smooth)
                    known = _Known(live, len(moment.points), slice(None) if part is None else part)
                    write(_about(live))
                pose = None if known is None or not len(moment.points) else known.lifted(moment)
                line |= {} if pose is None else {name: _rounded(part) for name, part in pose._asdict().items()}
            except BadFile as error:
                line["bad"] = as_options(str(error))
            taken.append(1e3 * (time.perf_counter() - moment.came))
            write(line)
    return taken


class _Known(NamedTuple):
    """What is lifted of a stream's frames."""

    live: Live
    size: int  # how many keypoints a frame has
    part: list[int] | slice  # of them, in the layout that is lifted

    def lifted(self, moment: Moment) -> LivePose | None:
        if len(moment.points) != self.size:
            raise BadFile(f"a frame of {len(moment.points)} keypoints, where those before have {self.size}")
        points = moment.points[self.part]
        return self.live.add(points[:, :2], points[:, 2].nan_to_num(0.0), moment.seconds)


def speed(taken: list[float], bad: int = 0) -> str:
    """How long frames took, in one line."""
    if not taken:
        return "the stream ended without a frame"
    frames = f"{len(taken)} frame{'s' if len(taken) > 1 else ''}"
    most = sorted(taken)[int(0.95 * (len(taken) - 1))]
    return (
        f"{frames}: {statistics.median(taken):.1f} ms each, 95 % within {most:.1f} ms, "
        f"{1e3 * len(taken) / sum(taken):.0f} a second" + (f"; {bad} could not be read" if bad else "")
    )


def _about(live: Live) -> dict[str, Any]:
    width, height = live.camera.size
    return {
        "about": {
            "units": "metres",
            "frame_of_reference": "camera: x right, y down, z forward",
            "layout": live.layout.name,
            "keypoint_names": list(live.layout.keypoints),
            "joint_names": list(H36M.names),
            "joint_parents": list(H36M.parents),
            "picture_size": [width, height],
            "focal": live.camera.focal[0],
            "focal_assumed": live.camera.assumed,
            "body_size": round(live.body_size, DIGITS),
        }
    }


def _rounded(values: Tensor) -> list[Any]:
    rounded: list[Any] = values.double().mul(10**DIGITS).round().div(10**DIGITS).tolist()
    return rounded
