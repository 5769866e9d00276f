"""The table of sequences in an HDF5 file: one column a dataset, a row a sequence."""

import h5py
import pandas as pd

COLUMNS = ("subject", "action", "camera", "fps", "width", "height", "start", "length")


def write_table(group: h5py.Group, table: pd.DataFrame) -> None:
    """Write COLUMNS of a table of sequences to a file or a group of one."""
    for name in COLUMNS:
        column = table[name]
        text = column.dtype.kind == "O"
        group.create_dataset(name, data=column.to_numpy(), dtype=h5py.string_dtype() if text else None)


def read_table(group: h5py.Group) -> pd.DataFrame:
    """What `write_table` wrote."""
    columns = {name: group[name].asstr()[:] if group[name].dtype.kind == "O" else group[name][:] for name in COLUMNS}
    return pd.DataFrame(columns)
