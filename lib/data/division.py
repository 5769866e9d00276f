"""`data.split: auto`: sequences divided into training, validation and test where nobody names subjects."""

import random
from collections.abc import Sequence

from lib.sources.base import Recorded

SHARES = {"test": 0.15, "validation": 0.1}  # of subjects, videos or frames; the rest, at least a third, trains
_LEAST = 3  # of what is divided, so that every split has one


def divide(sequences: Sequence[Recorded], min_frames: int) -> tuple[dict[str, list[Recorded]], str]:
    """The sequences of each split, and a line that says how they were divided: the same in every run.

    By subject, if there are three; else by video; else in time: the end of every sequence tests, and what comes before
    it validates. A part that is shorter than `min_frames` is left out.
    """
    by_subject = {sequence.subject for sequence in sequences}
    by_video = {(sequence.subject, sequence.video) for sequence in sequences}
    if len(by_subject) >= _LEAST:
        place = _places(sorted(by_subject))
        splits = _sorted(sequences, [place[s.subject] for s in sequences])
        return splits, f"data.split=auto: {len(by_subject)} subjects are divided ({_counts(place)})"
    if len(by_video) >= _LEAST:
        videos = _places(sorted(f"{subject}/{video}" for subject, video in by_video))
        splits = _sorted(sequences, [videos[f"{s.subject}/{s.video}"] for s in sequences])
        return splits, f"data.split=auto: {len(by_video)} videos are divided ({_counts(videos)})"
    parts = [(name, part) for sequence in sequences for name, part in _cut(sequence, min_frames)]
    fit = [(name, part) for name, part in parts if part.frames >= min_frames]
    splits = _sorted([part for _, part in fit], [name for name, _ in fit])
    return splits, (
        "data.split=auto: there are fewer than 3 videos, so each is divided in time: the same person, clothes and "
        "camera train and test, and errors say little about others"
    )


def _places(names: Sequence[str]) -> dict[str, str]:
    """The split of each name."""
    shuffled = random.Random(0).sample(names, len(names))
    test = max(1, round(SHARES["test"] * len(names)))
    validation = max(1, round(SHARES["validation"] * len(names)))
    splits = ["test"] * test + ["validation"] * validation
    return dict(zip(shuffled, splits + ["train"] * (len(names) - len(splits)), strict=True))


def _counts(places: dict[str, str]) -> str:
    return ", ".join(f"{name} {list(places.values()).count(name)}" for name in ("train", "validation", "test"))


def _sorted(sequences: Sequence[Recorded], names: Sequence[str]) -> dict[str, list[Recorded]]:
    splits: dict[str, list[Recorded]] = {name: [] for name in ("train", "validation", "test")}
    for sequence, name in zip(sequences, names, strict=True):
        splits[name].append(sequence)
    return splits


def _cut(sequence: Recorded, min_frames: int) -> list[tuple[str, Recorded]]:
    """The parts of a sequence, one after the other."""
    length = sequence.frames
    test = length - max(min_frames, round(SHARES["test"] * length))
    validation = test - max(min_frames, round(SHARES["validation"] * length))
    if validation < min_frames:  # too short for three
        return [("train", sequence)]
    return [
        (name, sequence.part(slice(start, stop)))
        for name, start, stop in (("train", 0, validation), ("validation", validation, test), ("test", test, length))
    ]
