"""Which sequences are for what: those of the subjects that are named, or all, divided."""

from collections.abc import Iterable, Sequence
from typing import Literal

from lib.data.calibration import detected_joints
from lib.data.division import divide
from lib.data.statistics import count_dropped
from lib.runtime.errors import UserError
from lib.sources.base import AutoSplit, Dropped, Reason, Recorded, SourceData, SourceParams, SplitParams

_NAMED = 20  # subjects in a message
_FIRST = 100  # frames


def check_split(split: SplitParams) -> None:
    """Refuse a split without subjects, and a subject that is named twice.

    Raises:
        UserError: naming the split, or the subject and where it stands.
    """
    if isinstance(split, AutoSplit):
        return
    for name in SplitParams.model_fields:
        if not getattr(split, name):
            raise UserError(f"params.yaml: data.split.{name} names nobody: every split needs a subject")
    places: dict[str, list[str]] = {}
    for name in SplitParams.model_fields:
        for subject in getattr(split, name):
            places.setdefault(subject, []).append(name)
    for subject, names in places.items():
        if len(names) > 1:
            raise UserError(
                f"params.yaml: data.split names {subject} more than once ({', '.join(names)}): "
                "a subject belongs to one split"
            )


def split_sequences(
    data: SourceData, params: SourceParams
) -> tuple[dict[str, list[Recorded]], list[Dropped], list[str]]:
    """Sort sequences by their subject's split; drop those with fewer than `min_frames`, or that show nobody.

    Returns also all that was dropped, and what is to be said of a division that nobody named.

    Raises:
        UserError: a subject is not in the source, or no sequence of it is left.
    """
    kept, dropped = [], [*data.dropped]
    for sequence in data.recorded:
        reason = _unfit(sequence, params.min_frames)
        if reason is None:
            kept.append(sequence)
        else:
            frames = sequence.frames
            dropped.append(Dropped(sequence.subject, sequence.action, sequence.camera.name, frames, reason))
    if isinstance(params.split, AutoSplit):
        if not data.recorded and not data.dropped:
            known = ", ".join(data.subjects[:_NAMED])
            raise UserError(f"params.yaml: data.split = auto: name subjects of the {params.source} source: {known}")
        splits, note = divide(kept, params.min_frames)
        for name, sequences in splits.items():
            if not sequences:
                raise UserError(_nothing_left(name, "auto", dropped, params.min_frames))
        return splits, dropped, [note]
    splits = {}
    for name in SplitParams.model_fields:
        subjects = getattr(params.split, name)
        for subject in subjects:
            if subject not in data.subjects:
                known = ", ".join(data.subjects[:_NAMED]) or "no subjects"
                more = f" and {len(data.subjects) - _NAMED} more" if len(data.subjects) > _NAMED else ""
                hint = "; data.split=auto divides what there is" if params.source == "keypoints" else ""
                raise UserError(
                    f"params.yaml: data.split.{name} names {subject}, which the {params.source} source does not have; "
                    f"it has {known}{more}{hint}"
                )
        splits[name] = [s for s in kept if s.subject in subjects]
        if subjects and not splits[name]:
            raise UserError(_nothing_left(name, subjects, dropped, params.min_frames))
        there = {sequence.subject for sequence in splits[name]}
        if nobody := [subject for subject in subjects if subject not in there]:
            raise UserError(_nothing_left(name, nobody, dropped, params.min_frames))
    return splits, dropped, []


def _nothing_left(
    name: str, subjects: Sequence[str] | Literal["auto"], dropped: Iterable[Dropped], min_frames: int
) -> str:
    """Why a split has no sequence."""
    counts = count_dropped(dropped, None if subjects == "auto" else subjects)
    why = ", ".join(f"{count['sequences']} {reason}" for reason, count in counts.items())
    what = "data.split = auto" if subjects == "auto" else f"data.split.{name} = {', '.join(subjects)}"
    where = f" for {name}" if subjects == "auto" else ""
    none = "what there is is too short to be divided" if subjects == "auto" else "the source has none"
    return f"params.yaml: {what} leaves no sequence{where} ({why or none}; data.min_frames = {min_frames})"


def _unfit(sequence: Recorded, min_frames: int) -> Reason | None:
    if sequence.frames < min_frames:
        return "too_short"
    # Hardly any shows nobody in its first frames, so no more than these are read of the others.
    for frames in (slice(_FIRST), slice(_FIRST, None)):
        part = sequence.read(frames)
        if detected_joints(part.keypoints, part.confidence).any():
            return None
    return "no_2d"
