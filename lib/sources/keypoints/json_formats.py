"""Detectors' JSON: OpenPose, COCO, AlphaPose, MMPose and YOLO-pose.

A format is recognised by the keys of its entries. Some write a file a frame: their detections are of frame 0, and
`lib.sources.keypoints.formats` joins them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lib.sources.keypoints.detections import Array, BadFile, Detections, detections, expect
from lib.sources.keypoints.image_names import frames_of
from lib.sources.keypoints.mediapipe import is_body
from lib.sources.keypoints.values import Json, entries_with, number_of, stated_size, str_key, whole

_ENTRIES_LOOKED_AT = 1000


def recognise(content: Json) -> str | None:
    """The format of a file's content; None: unknown, or nothing in it."""
    if isinstance(content, Mapping):
        return _of_mapping(content)
    if isinstance(content, list):
        some = next((entry for entry in content[:_ENTRIES_LOOKED_AT] if entry), None)
        if isinstance(some, list):
            some = next((entry for entry in some if entry), None)
            return _of_entry(some) if _of_entry(some) in ("mediapipe", "yolo") else None
        return _of_entry(some)
    return None


def _of_mapping(content: Mapping[str, Json]) -> str | None:
    keys = {
        "people": "openpose",
        "bodies": "alphapose",
        "instance_info": "mmpose",
        "instances": "mmpose",
        "annotations": "coco",
        **dict.fromkeys(("landmarks", "pose_landmarks", "poseLandmarks"), "mediapipe"),
    }
    for key, name in keys.items():
        if key in content:
            return name
    if isinstance(content.get("frames"), list):
        return "mediapipe"
    first = next(iter(content.values()), None)
    return "alphapose" if isinstance(first, Mapping) and ({"people", "bodies"} & set(first)) else None


def _of_entry(entry: Json) -> str | None:
    if not isinstance(entry, Mapping):
        return None
    keypoints = entry.get("keypoints")
    if "instances" in entry or "keypoint_scores" in entry:
        return "mmpose"
    if isinstance(keypoints, Mapping):
        return "yolo"
    if "image_id" in entry and keypoints is not None:
        return "alphapose" if "idx" in entry or isinstance(entry["image_id"], str) else "coco"
    if {"landmarks", "pose_landmarks", "poseLandmarks"} & set(entry) or {"x", "y"} <= set(entry):
        return "mediapipe"
    return None


def openpose(content: Json) -> Detections:
    """A frame of OpenPose: `people`, each with `pose_keypoints_2d`; a person_id of -1 is none."""
    return _people(content, "pose_keypoints_2d")


def _people(content: Json, key: str) -> Detections:
    people = content.get("people", content.get("bodies")) if isinstance(content, Mapping) else None
    if not isinstance(people, list):
        raise BadFile("no list of people")
    known = [person for person in people if isinstance(person, Mapping) and person.get(key)]
    numbers = [number_of(person.get("person_id")) for person in known]
    chosen = None if any(number is None or number < 0 for number in numbers) else numbers
    return detections([person[key] for person in known], [0] * len(known), chosen, 1)


def coco(content: Json) -> Detections:
    """COCO's results, or a data set of COCO with its images; frames are the images in the order of their numbers."""
    if isinstance(content, Mapping):
        return _coco_data_set(content)
    entries = entries_with(content, "keypoints", "image_id")
    frames = np.array([whole(entry["image_id"], "image_id") for entry in entries], np.int64)
    return _coco_entries(entries, frames - frames.min() if len(frames) else frames)


def _coco_data_set(content: Mapping[str, Json]) -> Detections:
    images = entries_with(content.get("images"), "id")
    entries = [entry for entry in entries_with(content.get("annotations"), "image_id") if entry.get("keypoints")]
    place = {image["id"]: number for number, image in enumerate(sorted(images, key=lambda image: str_key(image["id"])))}
    expect(all(entry["image_id"] in place for entry in entries), "an annotation of an image that is not listed")
    sizes = {(image.get("width"), image.get("height")) for image in images}
    size = sizes.pop() if len(sizes) == 1 else None
    found = _coco_entries(entries, np.array([place[entry["image_id"]] for entry in entries], np.int64), len(images))
    return found._replace(size=stated_size(size))


def _coco_entries(entries: Sequence[Mapping[str, Json]], frames: Array, length: int = 0) -> Detections:
    people = [number_of(entry.get("track_id")) for entry in entries]
    found = detections([entry["keypoints"] for entry in entries], frames, people, length)
    flags = found.points[..., 2]
    if flags.size and set(np.unique(flags[: 1 << 12]).tolist()) <= {0.0, 1.0, 2.0} and flags.max() == 2:
        found.points[..., 2] = flags / 2  # labelled by people: 1 is hidden, and 2 is seen
    return found


def alphapose(content: Json) -> Detections:
    """AlphaPose's results: COCO's with a text for an image, or by image, or a file an image (`bodies`)."""
    if isinstance(content, Mapping):
        if {"people", "bodies"} & set(content):
            return _people(content, "pose_keypoints_2d" if "people" in content else "joints")
        return _alphapose_images(content)
    entries = entries_with(content, "keypoints", "image_id")
    frames, length = frames_of([str(entry["image_id"]) for entry in entries])
    people = [number_of(entry.get("idx")) for entry in entries]
    return detections([entry["keypoints"] for entry in entries], frames, people, length)


def _alphapose_images(content: Mapping[str, Json]) -> Detections:
    frames, length = frames_of(list(content))
    parts = [alphapose(image) for image in content.values()]
    keypoints = [points for part in parts for points in part.points]
    counts = [len(part.points) for part in parts]
    return detections(keypoints, np.repeat(frames, counts), None, length)


def mmpose(content: Json) -> Detections:
    """MMPose's predictions of a video, a list of frames with `instances`, or of an image, a list of instances."""
    if isinstance(content, Mapping):
        if "instances" in content:
            return _instances([content])
        content = content["instance_info"]
        expect(isinstance(content, list), "instance_info that is no list")
    frames = content if any("instances" in frame for frame in content if isinstance(frame, Mapping)) else None
    return _instances(frames if frames is not None else [{"frame_id": 0, "instances": content}])


def _instances(frames: Sequence[Json]) -> Detections:
    numbers, keypoints, people = [], [], []
    first = min((whole(frame.get("frame_id", 0), "frame_id") for frame in frames), default=0)
    last = 0
    for place, frame in enumerate(frames):
        last = whole(frame.get("frame_id", place + first), "frame_id") - first
        for instance in entries_with(frame["instances"], "keypoints"):
            scores = instance.get("keypoint_scores")
            keypoints.append(_scored(instance["keypoints"], scores))
            numbers.append(last)
            people.append(number_of(instance.get("track_id", instance.get("instance_id"))))
    return detections(keypoints, numbers, people, last + 1)


def _scored(keypoints: Json, scores: Json) -> Array:
    """Keypoints (keypoint, 2 or 3 for 3D) with their scores as a third column."""
    try:
        points = np.asarray(keypoints, np.float64)
        points = points[0] if points.ndim == 3 and len(points) == 1 else points
        score = np.ones(len(points)) if scores is None else np.asarray(scores, np.float64).reshape(-1)
        return np.column_stack([points[:, :2], score])
    except (ValueError, TypeError, IndexError):
        raise BadFile("keypoints and scores that do not fit") from None


def yolo(content: Json) -> Detections:
    """YOLO-pose's results of a frame, or a list of frames: objects with `keypoints` of x, y and visible."""
    frames = content if any(isinstance(frame, list) for frame in content) else [content]
    numbers, keypoints, people = [], [], []
    for number, frame in enumerate(frames):
        for entry in entries_with(frame, "keypoints"):
            points = entry["keypoints"]
            expect(isinstance(points, Mapping) and {"x", "y"} <= set(points), "keypoints without x and y")
            if points["x"]:
                keypoints.append(_scored(_transposed(points["x"], points["y"]), points.get("visible")))
                numbers.append(number)
                people.append(number_of(entry.get("track_id")))
    return detections(keypoints, numbers, people, len(frames), shares=True)


def _transposed(x: Json, y: Json) -> list[tuple[Any, Any]]:
    expect(isinstance(x, list) and isinstance(y, list) and len(x) == len(y), "as many x as y")
    return list(zip(x, y, strict=True))


def single_frame(content: Json) -> bool:
    """Whether a list, of MediaPipe or YOLO, is of one frame: landmarks, or objects."""
    first = content[0]
    return is_body(content) or (isinstance(first, Mapping) and isinstance(first.get("keypoints"), Mapping))
