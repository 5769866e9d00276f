"""Every reader against bytes that nobody chose: it gives a value or one line, and nothing else.

`make fuzz` tries thousands of them, other ones each time.
"""

import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.runtime.errors import UserError
from tests.security.readers import READERS

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))  # of each reader
ODD = (b"\0", b"\xff", b"nan", b"-1", b"1e999", b"9" * 400, b"[" * 2000, b'"', b"{", b",", b"\n", b"\xed\xa0\x80")
PLACES = st.floats(0, 1, exclude_max=True)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), PLACES, st.integers(1, 255)),
        st.tuples(st.just("cut"), PLACES, st.integers(1, 64)),
        st.tuples(st.just("end"), PLACES, st.just(0)),
        st.tuples(st.just("again"), PLACES, st.integers(1, 64)),
        st.tuples(st.just("odd"), PLACES, st.integers(0, len(ODD) - 1)),
    ),
    min_size=1,
    max_size=4,
)


def changed(content: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    """Bytes with some of them flipped, cut out, there twice or odd."""
    for what, place, number in changes:
        at = int(place * len(content))
        before, after = content[:at], content[at:]
        if what == "flip" and after:
            content = before + bytes([after[0] ^ number]) + after[1:]
        elif what == "cut":
            content = before + after[number:]
        elif what == "end":
            content = before
        elif what == "again":
            content = before + after[:number] + after
        elif what == "odd":
            content = before + ODD[number] + after[len(ODD[number]) if number % 2 else 0 :]
    return content


@pytest.mark.parametrize("name", READERS)
def test_a_reader_reads_what_is_whole(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    reader.write(tmp_path)
    reader.read(tmp_path)


@pytest.mark.parametrize("name", READERS)
@settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_bytes_that_nobody_chose_are_a_value_or_one_line(name: str, data: st.DataObject) -> None:
    reader = READERS[name]
    files = dict(reader.files())
    if data.draw(st.integers(0, 7)):
        files[reader.file] = changed(files[reader.file], data.draw(CHANGES))
    else:
        files[reader.file] = data.draw(st.binary(max_size=200))
    with TemporaryDirectory() as folder:
        for path, content in files.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reader.read(Path(folder))
        except UserError as error:
            line = str(error)
            assert len(line) < 2000 and "\n" not in line and line.encode("utf-8", "strict")
        assert {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()} == set(files)
