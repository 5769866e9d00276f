"""The table of sequences comes out of a file as it went in."""

from pathlib import Path

import h5py
import pandas as pd
import pytest

from lib.data.tables import COLUMNS, read_table, write_table
from tests.settings import synthetic_split


@pytest.mark.parametrize("lengths", [(7, 1, 12), (3,)])
def test_a_table_survives_its_file(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    table = synthetic_split(*lengths).table.assign(action="Été")
    with h5py.File(tmp_path / "table.h5", "w") as file:
        write_table(file.create_group("test"), table)
    with h5py.File(tmp_path / "table.h5") as file:
        read = read_table(file["test"])
    pd.testing.assert_frame_equal(read, table[list(COLUMNS)])


def test_a_table_without_rows_survives_its_file(tmp_path: Path) -> None:
    table = synthetic_split(3).table[:0]
    with h5py.File(tmp_path / "table.h5", "w") as file:
        write_table(file, table)
        read = read_table(file)
    assert len(read) == 0 and tuple(read.columns) == COLUMNS


def test_other_columns_are_left_out_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    table = synthetic_split(3).table.assign(mood="good")
    with h5py.File(tmp_path / "table.h5", "w") as file:
        write_table(file, table)
        assert set(file) == set(COLUMNS)
        with pytest.raises(KeyError, match="fps"):
            write_table(file.create_group("other"), table.drop(columns="fps"))
