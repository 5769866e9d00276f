"""The people of a video, a sequence each time that they are there."""

from collections import Counter
from dataclasses import replace

import numpy as np
import torch

from lib.pose.cameras import UNNAMED, Camera, assumed_camera
from lib.sources.base import Dropped, PoseSequence, Reason, SourceParams
from lib.sources.keypoints.detections import Array
from lib.sources.keypoints.directions import MIRRORED, chirality
from lib.sources.keypoints.pictures import rotated
from lib.sources.keypoints.tracking import LOST_SECONDS, given, track
from lib.sources.keypoints.videos import RARELY, Report, Video


def sequences_of(
    video: Video, size: tuple[int, int], params: SourceParams, report: Report
) -> tuple[list[PoseSequence], int]:
    """The sequences of the people of a video that are chosen, and how many people there are."""
    found, fps = video.detections, video.detections.fps or params.fps
    points, size = rotated(found.points, found.size or size, 0 if params.rotate == "auto" else params.rotate)
    frame, person = found.frame, found.person
    if person is not None and len(np.unique(person)) > 1:
        kept = given(points, frame, person)
        points, frame, person = points[kept], frame[kept], person[kept]
    else:
        person = track(points, frame, fps)
    order = np.lexsort((frame, person))
    new = np.diff(person[order]) != 0
    gap = np.diff(frame[order]) > max(1.0, LOST_SECONDS * fps)
    parts = np.split(order, np.flatnonzero(new | gap) + 1)
    people = np.unique(person)
    shown = Counter(person.tolist())
    wanted = {
        "all": set(people.tolist()),
        "longest": {shown.most_common(1)[0][0]},
    }.get(str(params.people), {params.people})
    camera = assumed_camera(size, UNNAMED)
    sequences, takes = [], Counter[int]()
    mirrored = 0
    for part in parts:
        number = int(person[part[0]])
        takes[number] += 1
        action = video.action if len(people) == 1 else f"{video.action}_p{number}"
        action += f" {takes[number]}" if takes[number] > 1 else ""
        length = int(frame[part[-1]] - frame[part[0]]) + 1
        unfit: Reason | None = "not_chosen" if number not in wanted else None
        if unfit is None and len(part) < RARELY * length:
            unfit = "rarely_seen"
        if unfit is not None:
            report.dropped.append(Dropped(video.subject, action, UNNAMED, length, unfit))
            continue
        sequence = _sequence(video, action, camera, fps, points[part], frame[part])
        sequences.append(replace(sequence, person=number))
        left_right = chirality(points[part], video.layout)
        mirrored += left_right is not None and left_right < MIRRORED
    if mirrored:
        report.doubts.append(
            f"{video.subject}/{video.action}: left and right seem exchanged: {mirrored} of {len(sequences)} people "
            "point their feet the other way than their shoulders; are x and y exchanged, or is one turned round?"
        )
    return sequences, len(people)


def _sequence(video: Video, action: str, camera: Camera, fps: float, points: Array, frame: Array) -> PoseSequence:
    """A person's frames from the first to the last, not a number in those without the person."""
    length = int(frame[-1] - frame[0]) + 1
    whole = np.full((length, points.shape[1], 3), np.nan, np.float32)
    whole[..., 2] = 0.0
    whole[frame - frame[0]] = points
    tensor = torch.from_numpy(whole)
    return PoseSequence(
        subject=video.subject,
        action=action,
        camera=camera,
        fps=float(fps),
        keypoints=tensor[..., :2].contiguous(),
        confidence=tensor[..., 2].contiguous(),
        positions=None,
        group=video.name,
        first_frame=int(frame[0]),
    )
