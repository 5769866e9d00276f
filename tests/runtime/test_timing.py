"""Sections of time: each for itself, together no more than has passed."""

import pytest

from lib.runtime import timing
from lib.runtime.timing import Sections, timed


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "SECTIONS", Sections(clock))
    return clock


def test_a_section_inside_another_counts_for_itself_alone(clock: Clock) -> None:
    @timed("teacher")
    def lift() -> None:
        clock.now += 2
        with timed("inputs"):
            clock.now += 0.5

    clock.now += 100  # in no section
    with timed("model"):
        clock.now += 1
        lift()
        clock.now += 4
        assert timing.SECTIONS.read() == {"model": 5, "teacher": 2, "inputs": 0.5}  # also of one that is on
        lift()
    clock.now += 100
    assert timing.SECTIONS.read() == {"model": 5, "teacher": 4, "inputs": 1}


def test_a_whole_section_has_all_that_is_inside(clock: Clock) -> None:
    with timed("validation", whole=True):
        clock.now += 1
        with timed("prior"):
            clock.now += 2
            with timed("loader"):
                clock.now += 4
    with timed("prior"):
        clock.now += 8
    assert timing.SECTIONS.read() == {"validation": 7, "prior": 8}


def test_an_error_ends_its_section(clock: Clock) -> None:
    with timed("model"):
        with pytest.raises(ValueError, match="loss"), timed("prior"):
            clock.now += 1
            raise ValueError("loss")
        clock.now += 2
    assert timing.SECTIONS.read() == {"prior": 1, "model": 2}
