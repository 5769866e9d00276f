"""MediaPipe's landmarks in JSON."""

from collections.abc import Iterator, Mapping
from typing import Any

from lib.sources.keypoints.detections import Detections, detections, expect
from lib.sources.keypoints.values import Json, stated_rate, stated_size, whole

MEDIAPIPE = 33  # landmarks


def mediapipe(content: Json) -> Detections:
    """MediaPipe's landmarks: a list of frames, or a mapping with `frames`, and perhaps width, height and fps.

    A frame is a list of 33 landmarks, or a mapping with such a list, or a list of people; null or [] shows nobody.
    """
    known: dict[str, Any] = {}
    if isinstance(content, Mapping) and isinstance(content.get("frames"), list):
        known = {
            "size": stated_size((content.get("width"), content.get("height"))),
            "fps": stated_rate(content.get("fps")),
        }
        content = content["frames"]
    frames = content if isinstance(content, list) and not is_body(content) else [content]
    numbers, keypoints, people = [], [], []
    listed, last = set[int](), -1
    for frame in frames:
        given = frame.get("frame", frame.get("frame_id")) if isinstance(frame, Mapping) else None
        last = last + 1 if given is None else whole(given, "frame")
        listed.add(last)
        for number, body in enumerate(_bodies(frame)):
            keypoints.append([_landmark(landmark) for landmark in body])
            numbers.append(last)
            people.append(number)
    first = 1 if min(listed, default=0) == 1 else 0  # also those of frames that show nobody
    # A number of a person within a frame follows nobody.
    return detections(
        keypoints,
        [number - first for number in numbers],
        None,
        last + 1 - first,
        shares=True,
        layout="mediapipe_33",
        **known,
    )


def is_body(value: Json) -> bool:
    """Whether this is the list of a person's landmarks."""
    return isinstance(value, list) and len(value) > 0 and isinstance(value[0], Mapping) and {"x", "y"} <= set(value[0])


def _bodies(frame: Json) -> Iterator[list[Json]]:
    if isinstance(frame, Mapping):
        frame = next((frame[key] for key in ("landmarks", "pose_landmarks", "poseLandmarks") if key in frame), None)
        if isinstance(frame, Mapping):  # a message of the older interface
            frame = frame.get("landmark")
    if not frame:
        return
    expect(isinstance(frame, list), "a frame without a list of landmarks")
    bodies = [frame] if is_body(frame) or isinstance(frame[0][0], int | float) else frame
    for body in bodies:
        expect(isinstance(body, list) and len(body) == MEDIAPIPE, f"a person without {MEDIAPIPE} landmarks")
        yield body


def _landmark(landmark: Json) -> tuple[Any, Any, Any]:
    if isinstance(landmark, Mapping):
        return landmark.get("x"), landmark.get("y"), landmark.get("visibility", 1.0)
    expect(isinstance(landmark, list) and len(landmark) >= 2, "a landmark without x and y")
    return landmark[0], landmark[1], landmark[3] if len(landmark) > 3 else 1.0
