"""Names for the files of motions."""

import re
from collections.abc import Iterator, Sequence

from lib.inference.motion import Motion


def file_names(motions: Sequence[Motion]) -> Iterator[str]:
    """A name a motion: the video's, with the person's number if there are several, and a number if that was given."""
    people: dict[str, set[str]] = {}
    for motion in motions:
        people.setdefault(motion.name, set()).add(motion.person)
    taken = set[str]()
    for motion in motions:
        name = file_name(motion.name) + (f"_person{motion.person}" if len(people[motion.name]) > 1 else "")
        numbered = (f"{name}_{number}" for number in range(2, len(motions) + 2))
        own = next(each for each in (name, *numbered) if each.lower() not in taken)  # some systems ignore the case
        taken.add(own.lower())
        yield own


def file_name(text: str) -> str:
    """What a file can be named on any system."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._")[:100] or "motion"
